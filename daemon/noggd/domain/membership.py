"""Who belongs to the group: one pure function over a set of signed statements, the same on every device.

Removal of a key is final. What a removed device had added, and everything that it adds or was made to add
later, is void unless each of its removals keeps it; so a stolen key can deny service but never let anything
in. A device that left may be added again, because leaving ends the statements by which it was a member, not
its key. The set only grows; order and doubles do not matter. Statements count only where the chain of adds
up to their signer is known: send the whole set, never single statements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from noggd.domain.devices import Certificate
from noggd.domain.statements import Add, Genesis, Leave, Remove, Statement

MAX_ADDS: Final = 256
"""Devices that a group can take in over its life. A member that fills this up can keep others from joining
(it may deny, never enter); removals have room of their own, so it can still be removed."""
MAX_ENDINGS: Final = 64 * 1024
"""Bytes of removals and leaves that one signer may have in the set."""


@dataclass(frozen=True, slots=True)
class Member:
    """A device as the statement that took it in describes it; `via` is the id of that statement."""

    device: str
    name: str
    certificate: Certificate
    via: str


@dataclass(frozen=True, slots=True)
class Group:
    """What the statements say: who belongs, who was removed, and whose group it is.

    `evicted` holds the devices that once were members and were removed, `former` the ids of all that once were and
    are not any more, those that left included.
    """

    id: str
    identity: str
    aliases: tuple[str, ...]
    members: Mapping[str, Member]
    evicted: Mapping[str, Member]
    former: frozenset[str]


def evaluate(genesis: Genesis, statements: Iterable[Statement]) -> Group:
    """Say what a set of statements means. Statements of other groups, and of strangers, count for nothing."""
    ours = [s for s in statements if isinstance(s, (Add, Remove, Leave)) and s.group == genesis.id]
    children = _by_parent(s for s in ours if isinstance(s, Add))
    known = _follow(genesis, children, lambda _add: True)
    signers = {member.device for member in known.values()}
    removed: dict[str, frozenset[str]] = {}  # device -> which of its adds stay
    left: dict[str, frozenset[str]] = {}  # statement that made it a member -> which adds by it stay
    for statement in ours:
        if isinstance(statement, Remove) and statement.by in signers:
            kept = removed.get(statement.device, statement.keep)
            removed[statement.device] = _kept_by_both(kept, statement.keep)
        elif isinstance(statement, Leave):
            for via in statement.of:
                if via in known and known[via].device == statement.by:
                    left[via] = _kept_by_both(left.get(via, statement.keep), statement.keep)

    def stands(add: Add) -> bool:
        return (add.by not in removed or add.id in removed[add.by]) and (
            add.via not in left or add.id in left[add.via]
        )

    accepted = _follow(genesis, children, stands)
    present = _by_device(member for via, member in accepted.items() if via not in left)
    aliases = set(genesis.aliases)
    aliases.update(*(a.aliases for a in ours if isinstance(a, Add) and a.id in accepted))
    ever = _by_device(known.values())
    members = {device: member for device, member in present.items() if device not in removed}
    return Group(
        id=genesis.id,
        identity=genesis.identity,
        aliases=tuple(sorted(aliases - {genesis.identity})),
        members=members,
        evicted={device: member for device, member in ever.items() if device in removed},
        former=frozenset(ever.keys() - members.keys()),
    )


def _kept_by_both(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Join what two endings keep. Were it the union, a puppet could "remove" its master and keep itself."""
    return one & other


def _by_parent(adds: Iterable[Add]) -> dict[tuple[str, str], list[Add]]:
    """Sort adds by who signed them and as which member."""
    children: dict[tuple[str, str], list[Add]] = {}
    for add in adds:
        children.setdefault((add.via, add.by), []).append(add)
    return children


def _follow(
    genesis: Genesis, children: Mapping[tuple[str, str], list[Add]], counts: Callable[[Add], bool]
) -> dict[str, Member]:
    """Return who is reached from the founder by adds that count, by the statement that took them in."""
    reached = {genesis.id: Member(genesis.by, genesis.name, genesis.certificate, genesis.id)}
    waiting = list(reached.values())
    while waiting:
        member = waiting.pop()
        for add in children.get((member.via, member.device), ()):
            if add.id not in reached and counts(add):
                added = Member(add.certificate.device, add.name, add.certificate, add.id)
                reached[add.id] = added
                waiting.append(added)
    return reached


def _by_device(members: Iterable[Member]) -> dict[str, Member]:
    """Choose one entry for each device, the same on every device whatever the order."""
    return {m.device: m for m in sorted(members, key=lambda member: member.via, reverse=True)}


def admit(
    genesis: Genesis, held: Mapping[str, Statement], offered: Iterable[Statement]
) -> dict[str, Statement]:
    """Return which of the offered statements to take into the set `held`, both by id, within the bounds.

    Taken is only what hangs together with what is held, so that strangers' statements cost no room. What is
    refused here is offered again at the next exchange of whole sets.
    """
    new = {s.id: s for s in offered if s.id not in held and getattr(s, "group", None) == genesis.id}
    fresh = sorted(new.values(), key=lambda s: s.id)
    adds = {s.id: s for s in fresh if isinstance(s, Add)}
    held_adds = [s for s in held.values() if isinstance(s, Add)]
    reached = _follow(genesis, _by_parent([*held_adds, *adds.values()]), lambda _add: True)
    hanging_together = [adds[via] for via in reached if via in adds]
    taken: dict[str, Statement] = {add.id: add for add in hanging_together[: MAX_ADDS - len(held_adds)]}
    room = dict.fromkeys({member.device for member in reached.values()}, MAX_ENDINGS)
    for statement in held.values():
        if isinstance(statement, (Remove, Leave)) and statement.by in room:
            room[statement.by] -= len(statement.raw)
    for statement in fresh:
        if isinstance(statement, (Remove, Leave)) and len(statement.raw) <= room.get(statement.by, 0):
            room[statement.by] -= len(statement.raw)
            taken[statement.id] = statement
    return taken


def digest(genesis: Genesis, statements: Iterable[str]) -> bytes:
    """Return the SHA-256 over the ids of a set: equal where two devices hold the same statements."""
    return hashlib.sha256("\n".join([genesis.id, *sorted(statements)]).encode("ascii")).digest()


def adds_by(statements: Iterable[Statement], device: str) -> frozenset[str]:
    """Return the ids of all adds a device signed; its removal keeps them, so that only that device goes."""
    return frozenset(s.id for s in statements if isinstance(s, Add) and s.by == device)


def memberships(genesis: Genesis, statements: Iterable[Statement], device: str) -> frozenset[str]:
    """Return the ids of the statements by which a device is or was a member: what it ends when it leaves."""
    taken_in = {s.id for s in statements if isinstance(s, Add) and s.certificate.device == device}
    return frozenset(taken_in | ({genesis.id} if genesis.by == device else set()))
