"""Whatever a removed device and its puppets sign, nobody gets in, and all read the set the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from noggd.domain import membership
from noggd.domain.membership import Group, admit, evaluate
from noggd.domain.statements import Add, Statement
from tests.unit.domain.group import Device, World

HONEST = [Device(seed) for seed in range(100, 104)]
EVIL, *PUPPETS = [Device(seed) for seed in range(200, 204)]
HOSTILE = [EVIL, *PUPPETS]
ALL = [*HONEST, *HOSTILE]

Draw = Callable[[st.SearchStrategy[Any]], Any]


def honest_history(draw: Draw) -> tuple[World, list[Statement]]:
    """A group of the honest and the evil device, which may have vouched for honest ones, then was evicted.

    The eviction keeps some of the evil device's adds of honest devices.
    """
    world = World(draw(st.sampled_from([HONEST[0], EVIL])))
    inside = [world.founder]
    for device in [d for d in (*HONEST, EVIL) if d is not world.founder]:
        world.add(draw(st.sampled_from(inside)), device)
        inside.append(device)
    vouched = sorted(s.id for s in world.said if isinstance(s, Add) and s.by == EVIL.id)
    kept = draw(st.sets(st.sampled_from(vouched))) if vouched else set()
    evictor = draw(st.sampled_from(HONEST))
    world.remove(evictor, EVIL, kept)
    return world, list(world.said)


def attack(draw: Draw, world: World, size: int) -> list[Statement]:
    """Anything that the evil device and its puppets can sign, knowing every statement so far."""
    start = len(world.said)
    for _ in range(size):
        by = draw(st.sampled_from(HOSTILE))
        known = [world.genesis.id, *(s.id for s in world.said)]
        hostile_adds = {s.id for s in world.said[start:] if isinstance(s, Add)}
        kind = draw(st.sampled_from(["add", "add", "remove", "leave"]))
        if kind == "add":
            via = world.via(by) if draw(st.integers(0, 3)) else draw(st.sampled_from(known))
            world.add(by, draw(st.sampled_from(HOSTILE)), via=via)
        elif kind == "remove":
            keep = hostile_adds if draw(st.integers(0, 3)) else draw(st.sets(st.sampled_from(known)))
            world.remove(by, draw(st.sampled_from([EVIL, *HOSTILE, *ALL])), keep)
        else:
            world.leave(by, draw(st.sets(st.sampled_from(known), min_size=1)), hostile_adds)
    return world.said[start:]


def hostile_members(group: Group) -> set[str]:
    return set(group.members) & {device.id for device in HOSTILE}


def nobody_enters(data: st.DataObject) -> None:
    """One random attack: evicted devices stay out, and order and doubles do not matter."""
    world, honest = honest_history(data.draw)
    hostile = attack(data.draw, world, data.draw(st.integers(4, 12)))
    seen = data.draw(st.lists(st.sampled_from(hostile), unique_by=lambda s: s.id)) + hostile[:6]
    statements = data.draw(st.permutations([*honest, *seen]))
    group = evaluate(world.genesis, statements)
    assert not hostile_members(group)
    assert EVIL.id in group.evicted
    assert group == evaluate(world.genesis, [*honest, *seen])


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_nobody_enters_after_an_eviction_and_order_does_not_matter(data: st.DataObject) -> None:
    nobody_enters(data)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_removal_is_final_whatever_else_becomes_known(data: st.DataObject) -> None:
    """Also with honest devices among the later speakers: who was once evicted never is a member again."""
    world, _ = honest_history(data.draw)
    evicted: set[str] = set(world.group().evicted)
    for _ in range(data.draw(st.integers(1, 6))):
        by, device = data.draw(st.sampled_from(ALL)), data.draw(st.sampled_from(ALL))
        if data.draw(st.booleans()):
            world.add(by, device)
        else:
            world.remove(by, device)
        group = world.group()
        assert evicted <= set(group.evicted)
        assert not set(group.members) & set(group.evicted)
        evicted = set(group.evicted)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_admitted_piece_by_piece_means_the_same_in_the_end(data: st.DataObject) -> None:
    world, honest = honest_history(data.draw)
    everything = [*honest, *attack(data.draw, world, 6)]
    held: dict[str, Statement] = {}
    for piece in data.draw(st.permutations(everything)):
        held |= admit(world.genesis, held, [piece])
    held |= admit(world.genesis, held, everything)
    assert evaluate(world.genesis, held.values()) == evaluate(world.genesis, everything)


def test_the_test_has_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the union of what removals keep, instead of the intersection, a puppet gets in."""
    monkeypatch.setattr(membership, "_kept_by_both", lambda one, other: one | other)

    @given(st.data())
    @settings(max_examples=2000, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    def attacked(data: st.DataObject) -> None:
        nobody_enters(data)

    with pytest.raises(AssertionError):
        attacked()
