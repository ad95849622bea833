"""Whom this device trusts, live: the one place that pairing and links read it from and change it in.

A change is on disk before it is in memory, and in memory before anybody is told of it. Who was reached
where is kept beside it, written now and then. Not here: the file (`noggd.storage.trust_file`), what
statements mean (`noggd.domain.membership`), and any connection.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from nogg.errors import LimitExceeded, NotPaired, StorageFailed
from nogg.ids import IDENTITY_BYTES, identity_id
from noggd.domain import membership
from noggd.domain.addresses import merge_addresses
from noggd.domain.devices import Certificate, device_name
from noggd.domain.membership import Group
from noggd.domain.statements import (
    NONCE_BYTES,
    Add,
    Genesis,
    Remove,
    Statement,
    make_add,
    make_genesis,
    make_leave,
    make_remove,
)
from noggd.storage import trust_file
from noggd.storage.keys import FILE as KEY_FILE
from noggd.storage.keys import DeviceKey, copy_key, make_key
from noggd.storage.trust_file import NEXT_KEY_FILE, Peer, State

__all__ = ["Peer", "State", "Trust", "open_trust"]

T = TypeVar("T")

MAX_PEERS = 512
"""Devices that something is remembered of."""


def open_trust(
    directory: Path, name: str, *, given_key: Path | None = None, identity: str | None = None
) -> Trust:
    """Read who is trusted; on a first start make the key and found a group of one for a new person.

    `name` is what this device is then called, made into a valid name if it is none. A device that is set up
    anew brings along the file of the key that it then has, or the id of the person whose it then is. Raises
    StoreBroken if there is something that cannot be read.
    """
    found = trust_file.load(directory)
    if found is None:
        new = directory / NEXT_KEY_FILE
        key = make_key(new) if given_key is None else copy_key(given_key, new)
        identity = identity or identity_id(secrets.token_bytes(IDENTITY_BYTES))
        genesis = make_genesis(key, device_name(name), identity, secrets.token_bytes(NONCE_BYTES))
        trust_file.save(directory, key.device, State(genesis), {})
        found = trust_file.load(directory)
        assert found is not None
    return Trust(directory, *found)


class Trust:
    """Who belongs to the group, and how its devices are reached. Made by `open_trust`; lives in one event loop.

    `key` is this device's own; it is another one after a removed device has founded a group anew. `group`
    is what the statements in `state` mean.
    """

    def __init__(self, directory: Path, key: DeviceKey, state: State, peers: dict[str, Peer]) -> None:
        self.key = key
        self.state = state
        self.peers = peers
        self.group: Group = membership.evaluate(state.genesis, state.statements.values())
        self._directory = directory
        self._turn = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "trust")
        self._listeners: list[Callable[[], None]] = []
        self._unsaved = False

    # Reading

    @property
    def device(self) -> str:
        """The id of this device."""
        return self.key.device

    @property
    def removed(self) -> bool:
        """Whether this device is known to be no member of its group any more."""
        return self.device not in self.group.members

    @property
    def others(self) -> dict[str, Certificate]:
        """The other members and their certificates.

        Nobody for a device that was removed, nor before the documents are ready for a group that was joined.
        """
        if self.removed or self.state.joining is not None:
            return {}
        return {d: m.certificate for d, m in self.group.members.items() if d != self.device}

    @property
    def to_take_over(self) -> frozenset[str]:
        """Devices that count no more, and whose writings must still be taken over into this device's own maps."""
        if self.removed:
            return frozenset()
        return (self.group.former - self.state.excluded) | (self.state.inherit - self.group.members.keys())

    @property
    def counted(self) -> frozenset[str]:
        """The devices whose writings count: members, and for a while those that must still be taken over."""
        return frozenset(self.group.members) | self.to_take_over | {self.device}

    @property
    def statements(self) -> list[Statement]:
        """All statements, the genesis first."""
        return [self.state.genesis, *self.state.statements.values()]

    @property
    def digest(self) -> bytes:
        """What two devices compare to see whether they hold the same statements."""
        return membership.digest(self.state.genesis, self.state.statements)

    def name_of(self, device: str) -> str:
        """Return what a device was last called, as far as is known."""
        peer = self.peers.get(device)
        if peer is not None and peer.name:
            return peer.name
        member = self.group.members.get(device) or self.group.evicted.get(device)
        return member.name if member is not None else ""

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each change of the group; return what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # Changing the group

    async def admit(self, offered: Iterable[Statement]) -> list[Statement]:
        """Take in statements of the group that are not known yet, and return those that were taken."""
        offered = list(offered)

        async def change() -> list[Statement]:
            taken = membership.admit(self.state.genesis, self.state.statements, offered)
            if taken:
                await self._store(replace(self.state, statements={**self.state.statements, **taken}))
            return list(taken.values())

        return await self._alone(change())

    async def add(self, certificate: Certificate, name: str, aliases: Iterable[str]) -> Add:
        """State that a device joins. Raises NotPaired if this one was removed, LimitExceeded, StorageFailed."""
        own = self.group.members.get(self.device)
        if own is None:
            raise NotPaired("this device was removed from its group", hint="leave the group first")
        former = set(aliases) - {self.group.identity}
        nonce = secrets.token_bytes(NONCE_BYTES)
        made = make_add(self.key, self.group.id, own.via, certificate, name, nonce, former)
        if not await self.admit([made]):
            raise LimitExceeded(limit="devices of a group", max=membership.MAX_ADDS)
        return made

    async def remove(self, device: str) -> Remove:
        """State that a member is removed, keeping what it added. Raises NotPaired, LimitExceeded, StorageFailed."""
        if self.removed or device not in self.group.members:
            raise NotPaired(f"no such device: {device}")
        kept = membership.adds_by(self.state.statements.values(), device)
        made = make_remove(self.key, self.group.id, device, kept)
        if not await self.admit([made]):
            raise LimitExceeded(limit="removals by one device", max=membership.MAX_ENDINGS)
        return made

    def farewell(self) -> Statement:
        """Return the statement by which this device leaves: for the others, it is not stored here."""
        known = self.state.statements.values()
        return make_leave(
            self.key,
            self.group.id,
            membership.memberships(self.state.genesis, known, self.device),
            membership.adds_by(known, self.device),
        )

    async def found(self, name: str, *, new_key: bool) -> None:
        """Be a group of one from here on, for the same person; with a new key if the old one may be removed."""

        async def change() -> None:
            key = self.key
            if new_key:
                key = await self._write(make_key, self._directory / NEXT_KEY_FILE)
            nonce = secrets.token_bytes(NONCE_BYTES)
            genesis = make_genesis(key, device_name(name), self.group.identity, nonce, self.group.aliases)
            counted = frozenset(self.group.members) | {self.device} | self.state.inherit
            state = State(genesis, port=self.state.port, inherit=counted - {key.device})
            await self._store(state, key, {})

        await self._alone(change())

    async def adopt(
        self,
        genesis: Genesis,
        statements: Iterable[Statement],
        addresses: Mapping[str, tuple[str, ...]],
        named: bool,
    ) -> None:
        """Join a group: it takes the place of the present one, and `state.joining` stays set until `joined`."""
        held = membership.admit(genesis, {}, statements)
        peers = {device: Peer(addresses=known) for device, known in addresses.items()}
        state = State(genesis, held, self.state.port, joining=named, inherit=self.to_take_over)
        await self._alone(self._store(state, peers=peers))

    async def joined(self) -> None:
        """Note that the documents are ready for the group that was joined."""
        await self._alone(self._update(joining=None))

    async def note_port(self, port: int) -> None:
        """Remember the port that was taken when any free one was asked for."""
        await self._alone(self._update(port=port))

    async def note_refused(self, refused: bool) -> None:
        """Remember whether a member's device refused us."""
        await self._alone(self._update(refused=refused))

    async def note_taken_over(self, devices: frozenset[str]) -> None:
        """Remember that what these devices had written was taken over."""
        excluded = (self.state.excluded | devices) & self.group.former
        await self._alone(self._update(excluded=excluded, inherit=self.state.inherit - devices))

    async def _update(self, **fields: Any) -> None:
        changed = replace(self.state, **fields)
        if changed != self.state:
            await self._store(changed)

    # What is remembered of other devices

    def note(
        self,
        device: str,
        *,
        name: str | None = None,
        addresses: Iterable[str] = (),
        more_addresses: Iterable[str] = (),
        last_seen: int | None = None,
    ) -> None:
        """Remember something of a device, on disk at the next `flush`.

        `addresses` go before those that are known, `more_addresses` behind them.
        """
        known = self.peers.get(device, Peer())
        self._note(
            device,
            replace(
                known,
                name=name or known.name,
                addresses=merge_addresses(addresses, known.addresses, more_addresses),
                last_seen=known.last_seen if last_seen is None else max(last_seen, known.last_seen or 0),
            ),
        )

    def note_seen(self, device: str, run: str, client: int, clocks: Mapping[str, int]) -> None:
        """Remember in which run a device was linked, and how much of what it wrote is here; see `note`."""
        known = self.peers.get(device, Peer())
        self._note(device, replace(known, run=run, client=client, clocks=dict(clocks)))

    def _note(self, device: str, noted: Peer) -> None:
        room = device in self.peers or len(self.peers) < MAX_PEERS
        if room and noted != self.peers.get(device):
            self.peers[device] = noted
            self._unsaved = True

    async def flush(self) -> None:
        """Put on disk what was noted. Raises StorageFailed."""
        if self._unsaved:
            await self._alone(self._store(self.state))

    async def close(self) -> None:
        """Put on disk what was noted, as far as that is possible, and let go."""
        with suppress(StorageFailed):  # notes only: where devices were reached last
            await self.flush()
        self._writer.shutdown()

    async def _alone(self, change: Coroutine[Any, Any, T]) -> T:
        """Make one change at a time, and make it whole, even if who asked for it is cancelled meanwhile."""

        async def run() -> T:
            async with self._turn:
                return await change

        return await asyncio.shield(asyncio.ensure_future(run()))

    async def _write(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *arguments)

    async def _store(
        self, state: State, key: DeviceKey | None = None, peers: dict[str, Peer] | None = None
    ) -> None:
        """Put a new state on disk, then in memory, then tell the listeners if the group is another."""
        key = key or self.key
        written = dict(self.peers if peers is None else peers)
        self._unsaved = False
        try:
            await self._write(trust_file.save, self._directory, key.device, state, written)
        except OSError as error:
            self._unsaved = True
            raise StorageFailed("who is trusted could not be stored", retryable=True) from error
        former = (self.group, set(self.others))
        self.key = key if key.path.name == KEY_FILE else key.at(self._directory / KEY_FILE)
        self.state = state
        if peers is not None:
            self.peers = peers
        self.group = membership.evaluate(state.genesis, state.statements.values())
        if (self.group, set(self.others)) != former:
            for listener in list(self._listeners):
                listener()
