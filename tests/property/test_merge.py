"""The merge rules of the contract (section 4), over random histories of three devices.

Delivery is reordered, duplicated and lost; devices restart, compact and disagree about the time.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, given, settings

from noggd.domain.changes import Origin
from noggd.domain.document import Document
from noggd.domain.hlc import HybridClock
from noggd.domain.session import Session
from tests.property.world import DEVICES, EXAMPLES, IDS, World

who = st.integers(0, 2)
name = st.sampled_from(IDS)
view = st.sampled_from([None, "v1", "v2"])

basic = st.one_of(
    st.tuples(st.just("register"), who, name, view, st.booleans()),
    st.tuples(st.just("register"), who, name, view, st.booleans()),
    st.tuples(st.just("update"), who, name, view, st.booleans()),
    st.tuples(st.just("clear"), who, name),
    st.tuples(st.just("remove"), who, name),
    st.tuples(st.just("touch"), who, name),
    st.tuples(st.just("touch"), who, name),
)
network = st.one_of(
    st.tuples(st.just("sync"), who, who),
    st.tuples(st.just("sync"), who, who),
    st.tuples(st.just("deliver"), who, who, st.integers(0, 30)),
    st.tuples(st.just("deliver"), who, who, st.integers(0, 30)),
)
fate = st.one_of(
    st.tuples(st.just("flush"), who),
    st.tuples(st.just("compact"), who),
    st.tuples(st.just("restart"), who),
    st.tuples(st.just("skew"), who, st.integers(-5, 5)),
    st.tuples(st.just("active"), who, st.sampled_from([None, *IDS])),
)
disaster = st.one_of(st.tuples(st.just("back_up"), who), st.tuples(st.just("roll_back"), who))
second_thoughts = st.one_of(st.tuples(st.just("restore"), who, name), st.tuples(st.just("forget"), who, name))

thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


def play(steps: list[tuple[object, ...]]) -> World:
    world = World()
    for kind, first, *rest in steps:
        world.now += 1
        match kind, first, *rest:
            case "sync", int(a), int(b):
                if a != b:
                    world.sync(a, b)
            case "deliver", int(a), int(b), int(pick):
                if a != b:
                    world.deliver(a, b, pick)
            case "flush", int(a):
                world.flush(a)
            case "compact", int(a):
                world.compact(a)
            case "restart", int(a):
                world.restart(a)
            case "skew", int(a), int(ms):
                world.devices[a].skew = ms
            case "back_up", int(a):
                world.back_up(a)
            case "roll_back", int(a):
                world.roll_back(a)
            case "active", int(a), active:
                world.activate(a, active if isinstance(active, str) else None)
            case _:
                world.act(first, str(kind), *rest)  # type: ignore[arg-type] # as the strategies above make them
    world.settle()
    return world


def seen(session: Session) -> dict[str, tuple[int, str | None, str | None]]:
    return {
        name: (reference.last_accessed, reference.view, reference.password)
        for name, reference in session.references.items()
    }


def assert_converged(world: World) -> None:
    first, *others = [device.session for device in world.devices]
    for other in others:
        assert seen(other) == seen(first)
        assert other.conflicts() == first.conflicts()
        assert other.removed == first.removed
        assert sorted(other.everywhere()) == sorted(first.everywhere())
        assert other.maps.document is not None
        assert first.maps.document is not None
        assert other.maps.document.devices() == first.maps.document.devices()
        assert other.maps.document.state_vector == first.maps.document.state_vector
        assert other.maps.document.deletions() == first.maps.document.deletions()
    for device in world.devices:
        assert device.session.maps.document is not None
        state = device.session.maps.document.encode()
        again = Session("default", "reader", HybridClock(), Document(9999, "reader", state))
        again.load()
        assert seen(again) == seen(first), "what is stored reads the same"
        assert again.conflicts() == first.conflicts()


@thorough
@given(st.lists(st.one_of(basic, basic, network, fate), min_size=20, max_size=60))
def test_latest_acts_and_values_win_and_nothing_is_lost(steps: list[tuple[object, ...]]) -> None:
    world = play(steps)
    assert_converged(world)
    session = world.devices[0].session
    for name in IDS:
        gone = world.gone(name)
        registered = world.newest(world.acts(name, "register"))
        if registered is None or registered.stamp <= gone:  # the same stamp on two devices: the removal wins
            assert name not in session.references, "a touch or a field never brings back what was removed"
            continue
        reference = session.references[name]
        last_view = world.newest(
            [a for a in world.history if a.name == name and a.writes_view and a.stamp > gone]
        )
        assert reference.view == (last_view.view if last_view else None)
        last_password = world.newest(world.passwords(name))
        assert reference.password == (last_password.password if last_password else None)
        accesses = [a.stamp for a in world.acts(name, "register", "touch") if a.stamp > gone]
        assert reference.last_accessed == max(accesses) >> 10


@thorough
@given(st.lists(st.one_of(basic, basic, network, network, disaster), min_size=20, max_size=60))
def test_a_device_restored_from_a_backup_does_not_diverge(steps: list[tuple[object, ...]]) -> None:
    world = play(steps)
    assert_converged(world)
    session = world.devices[0].session
    for name in IDS:
        registered, gone = world.newest(world.acts(name, "register")), world.gone(name)
        if registered is not None and registered.stamp > gone:
            assert name in session.references
            last_view = world.newest(
                [a for a in world.history if a.name == name and a.writes_view and a.stamp > gone]
            )
            assert session.references[name].view == (last_view.view if last_view else None)


@thorough
@given(st.lists(st.one_of(basic, basic, network, fate), min_size=20, max_size=60))
def test_a_concurrent_password_is_kept_and_a_replaced_one_is_gone(steps: list[tuple[object, ...]]) -> None:
    world = play(steps)
    session = world.devices[0].session
    conflicts = {each["microcosmID"]: each for each in session.conflicts()}
    stored = [
        device.session.maps.document.encode() for device in world.devices if device.session.maps.document
    ]
    for name in session.references:
        winner = world.newest(world.passwords(name))
        unanswered = world.unanswered(name)
        expected = {a.password for a in unanswered} - {None, winner.password if winner else None}
        told = {value["value"] for value in conflicts[name]["values"][1:]} if name in conflicts else set()
        assert told == expected, "exactly the values that no later writer knew"
        for act in world.passwords(name):
            if act not in unanswered and act.password is not None:
                assert all(act.password.encode() not in state for state in stored), (
                    "replaced, and still there"
                )


@thorough
@given(st.lists(st.one_of(basic, basic, second_thoughts, network, fate), min_size=20, max_size=60))
def test_all_devices_agree_after_restore_and_forget(steps: list[tuple[object, ...]]) -> None:
    world = play(steps)
    assert_converged(world)
    session = world.devices[0].session
    stored = [
        device.session.maps.document.encode() for device in world.devices if device.session.maps.document
    ]
    for name in IDS:
        forgotten = world.newest(world.acts(name, "forget"))
        if forgotten is None:
            continue
        later = [a for a in world.acts(name, "register", "remove", "restore") if a.stamp > forgotten.stamp]
        known = [a for a in world.log if a.name == name and a.number in forgotten.knows]
        if not later and len(known) == len([a for a in world.log if a.name == name]) - 1:
            assert name not in session.references
            assert name not in session.removed, "nothing restores what was forgotten"
            for act in known:
                if act.password:
                    assert all(act.password.encode() not in state for state in stored)


@thorough
@given(st.lists(st.one_of(basic, network, fate), min_size=10, max_size=40), st.integers(0, 2))
def test_what_an_evicted_device_wrote_stays(steps: list[tuple[object, ...]], victim: int) -> None:
    world = play(steps)
    before = seen(world.devices[victim - 1].session)
    conflicts = world.devices[victim - 1].session.conflicts()
    members = frozenset(DEVICES) - {DEVICES[victim]}
    rest = [index for index in range(3) if index != victim]
    for index in rest:
        session = world.devices[index].session
        session.adopt(DEVICES[victim])
        session.maps.set_members(members)
        session.refresh(Origin(DEVICES[index]))
        world.send(index, frozenset())
        session.compact(world.now, (DEVICES[victim],))
    evicted = world.devices[victim].session
    evicted.perform(lambda: evicted.register(world.now + 9, "m1", "from outside", "stranger"), Origin("x"))
    evicted.maps.flush()
    for a, b in [
        (rest[0], rest[1]),
        (rest[1], rest[0]),
        (victim, rest[0]),
        (rest[0], rest[1]),
        (rest[1], rest[0]),
    ]:
        world.sync(a, b)
    for index in rest:
        assert seen(world.devices[index].session) == before
        assert world.devices[index].session.conflicts() == conflicts


@thorough
@given(
    st.lists(st.one_of(basic, fate), max_size=25),
    st.lists(st.one_of(basic, second_thoughts, fate), max_size=25),
)
def test_what_a_joiner_removed_alone_removes_nothing(
    group: list[tuple[object, ...]], alone: list[tuple[object, ...]]
) -> None:
    world = World()
    for steps, device in ((group, 0), (alone, 1)):
        for kind, _, *rest in steps:
            world.now += 1
            if kind in ("register", "update", "clear", "remove", "touch", "restore", "forget"):
                world.act(device, str(kind), *rest)  # type: ignore[arg-type] # as the strategies make them
    first, joiner = world.devices[0].session, world.devices[1].session
    before, own = seen(first), seen(joiner)
    joiner.prepare_to_join(Origin("dB"))
    assert seen(joiner) == own
    world.sync(1, 0)
    world.sync(0, 1)
    assert seen(first) == seen(joiner)
    assert seen(first).keys() == before.keys() | own.keys()
    for name, (_, view, password) in before.items():
        cleared_later = "v/" + name in joiner.maps.own
        assert first.references[name].view is not None or view is None or cleared_later
        kept = {value["value"] for each in first.conflicts() for value in each["values"]}
        assert password is None or password == first.references[name].password or password in kept
