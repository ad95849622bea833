"""Ten thousand random hostile histories of a group, each read in several orders and from several partial views.

Signatures are left out (reading checks them before `evaluate` sees a statement, see `tests/unit/domain`): that
makes a history a thousand times cheaper. `NOGG_HISTORIES=1000000` runs the long form, `NOGG_HISTORY=n` replays one.
"""

from __future__ import annotations

import os
import random
from collections import deque

import pytest

from noggd.domain import membership
from noggd.domain.membership import admit, evaluate
from noggd.domain.statements import Add, Leave, Remove, Statement
from tests.unit.domain.group import Device, World

HISTORIES = int(os.environ.get("NOGG_HISTORIES", "10000"))
BLOCKS = 4
HONEST = [Device(seed) for seed in range(100, 104)]
EVIL, *PUPPETS = [Device(seed) for seed in range(200, 204)]
HOSTILE = [EVIL, *PUPPETS]
OUT = {device.id for device in HOSTILE}
WORLDS = {device.id: World(device) for device in (HONEST[0], EVIL)}
"""Founded with a signature once; who founds is all that differs."""


class History:
    """An honest group with one hostile device in it, which was evicted; then all that it and its puppets sign."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.founder = self.dice.choice((HONEST[0], EVIL))
        self.genesis = WORLDS[self.founder.id].genesis
        self.said: list[Statement] = []
        self.honest = self._honest()
        self.hostile = self._hostile(self.dice.randint(4, 12))

    def _id(self) -> str:
        return self.dice.randbytes(8).hex()

    def _via(self, device: Device) -> str:
        taken_in = (
            s.id for s in reversed(self.said) if isinstance(s, Add) and s.certificate.device == device.id
        )
        return next(taken_in, self.genesis.id)

    def _add(self, by: Device, new: Device, via: str) -> None:
        group = self.genesis.id
        self.said.append(Add(self._id(), by.id, b"raw", group, via, new.certificate, new.name, ()))

    def _remove(self, by: Device, device: Device, keep: set[str]) -> None:
        self.said.append(Remove(self._id(), by.id, b"raw", self.genesis.id, device.id, frozenset(keep)))

    def _some(self, ids: list[str]) -> set[str]:
        return {each for each in ids if self.dice.random() < 0.5}

    def _honest(self) -> list[Statement]:
        inside = [self.founder]
        for device in [each for each in (*HONEST, EVIL) if each is not self.founder]:
            by = self.dice.choice(inside)
            self._add(by, device, self._via(by))
            inside.append(device)
        vouched = [s.id for s in self.said if isinstance(s, Add) and s.by == EVIL.id]
        self._remove(self.dice.choice(HONEST), EVIL, self._some(vouched))
        return list(self.said)

    def _hostile(self, size: int) -> list[Statement]:
        start = len(self.said)
        for _ in range(size):
            dice, by = self.dice, self.dice.choice(HOSTILE)
            known = [self.genesis.id, *(s.id for s in self.said)]
            own_adds = {s.id for s in self.said[start:] if isinstance(s, Add)}
            match dice.choice(("add", "add", "remove", "leave")):
                case "add":
                    via = dice.choice(known) if dice.random() < 0.25 else self._via(by)
                    self._add(by, dice.choice(HOSTILE), via)
                case "remove":
                    keep = self._some(known) if dice.random() < 0.25 else own_adds
                    self._remove(by, dice.choice([EVIL, *HOSTILE, *HONEST]), keep)
                case _:
                    of = frozenset(self._some(known) or {known[0]})
                    self.said.append(
                        Leave(self._id(), by.id, b"raw", self.genesis.id, of, frozenset(own_adds))
                    )
        return self.said[start:]

    def shuffled(self, statements: list[Statement]) -> list[Statement]:
        return self.dice.sample(statements, len(statements))


def play(seed: int) -> None:
    history = History(seed)
    everything = [*history.honest, *history.hostile]
    group = evaluate(history.genesis, everything)
    assert not OUT & set(group.members), f"history {seed}: somebody entered"
    assert EVIL.id in group.evicted, f"history {seed}: the eviction was undone"
    assert group == evaluate(history.genesis, history.shuffled(everything * 2)), (
        f"history {seed}: order matters"
    )
    part = [each for each in history.hostile if history.dice.random() < 0.7]
    seen = evaluate(history.genesis, history.shuffled([*history.honest, *part]))
    assert not OUT & set(seen.members), f"history {seed}: somebody entered where not all is known"
    assert set(seen.evicted) <= set(group.evicted), f"history {seed}: a removal was taken back"
    held: dict[str, Statement] = {}
    for _ in range(2):
        for each in (history.shuffled(part), history.shuffled(everything)):
            held |= admit(history.genesis, held, each)
    assert evaluate(history.genesis, held.values()) == group, f"history {seed}: pieces mean something else"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_nobody_enters_in_ten_thousand_histories(block: int) -> None:
    only = os.environ.get("NOGG_HISTORY")
    for seed in [int(only)] if only else range(block, HISTORIES, BLOCKS):
        play(seed)


def test_the_histories_have_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the union of what removals keep, instead of the intersection, a puppet gets in."""
    monkeypatch.setattr(membership, "_kept_by_both", lambda one, other: one | other)
    with pytest.raises(AssertionError, match="entered"):
        deque(map(play, range(HISTORIES)), maxlen=0)
