"""The mirror: whatever the order and folding of what the daemon tells, it ends as the daemon's state."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nogg.client.mirror import Mirror
from nogg.client.state import Reference, SessionState
from nogg.errors import ProtocolError
from tests.unit.nogg.client.fake import FakeDaemon


def reference(microcosm_id: str, revision: int, last_accessed: int = 0, **fields: object) -> dict[str, Any]:
    blank = {"microcosmID": microcosm_id, "lastAccessed": last_accessed, "password": None, "view": None}
    return {**blank, "revision": revision, **fields}


def snapshot(
    *references: dict[str, Any], revision: int = 0, epoch: str = "e", **more: object
) -> dict[str, Any]:
    given = {each["microcosmID"]: each for each in references}
    return {
        "epoch": epoch,
        "revision": revision,
        "fresh": True,
        "active": None,
        "set": given,
        "removed": [],
        **more,
    }


def change(
    before: int, *references: dict[str, Any], removed: tuple[str, ...] = (), **more: object
) -> dict[str, Any]:
    given = {each["microcosmID"]: each for each in references}
    return {"from": before, "revision": before + 1, "set": given, "removed": list(removed), **more}


@pytest.fixture
def mirror() -> Mirror:
    made = Mirror()
    made.resume(snapshot(reference("b", 4), reference("A", 2), revision=5))
    return made


def test_nothing_is_known_at_first() -> None:
    mirror = Mirror()
    assert mirror.since is None
    assert mirror.state() == SessionState()


def test_a_snapshot_is_taken_over_in_the_seed_s_order(mirror: Mirror) -> None:
    assert list(mirror.state().microcosms) == ["A", "b"]
    assert mirror.state().microcosms["b"] == Reference("b", 0, revision=4)
    assert mirror.since == {"epoch": "e", "revision": 5}


def test_a_state_never_changes_and_is_kept_until_something_does(mirror: Mirror) -> None:
    before = mirror.state()
    assert mirror.state() is before
    assert mirror.change(change(5, reference("c", 6)))
    assert list(before.microcosms) == ["A", "b"]
    assert list(mirror.state().microcosms) == ["A", "b", "c"]
    with pytest.raises(TypeError):
        before.microcosms["x"] = before.microcosms["A"]  # type: ignore[index]  # that is the point


def test_active_absent_is_unchanged_and_null_is_cleared(mirror: Mirror) -> None:
    assert mirror.change(change(5, active="A"))
    assert mirror.state().active == "A"
    assert mirror.change(change(6, reference("c", 7)))
    assert mirror.state().active == "A"
    assert mirror.change(change(7, active=None))
    assert mirror.state().active is None


@pytest.mark.parametrize("before", [4, 6, 0])
def test_a_gap_is_noticed_and_changes_nothing(mirror: Mirror, before: int) -> None:
    known = mirror.state()
    assert not mirror.change(change(before, reference("c", 9), removed=("A",)))
    assert mirror.state() is known
    assert mirror.revision == 5


def test_a_difference_adds_to_what_is_known_and_a_fresh_answer_replaces_it(mirror: Mirror) -> None:
    mirror.resume(
        {"epoch": "e", "revision": 9, "fresh": False, "set": {"c": reference("c", 8)}, "removed": ["A"]}
    )
    assert list(mirror.state().microcosms) == ["b", "c"]
    mirror.resume(snapshot(reference("x", 1), epoch="other", revision=1))
    assert list(mirror.state().microcosms) == ["x"]
    assert mirror.since == {"epoch": "other", "revision": 1}


def test_a_write_is_read_before_the_daemon_tells_of_it(mirror: Mirror) -> None:
    mirror.wrote(Reference("c", 7, view="v", revision=6))
    assert mirror.state().microcosms["c"].view == "v"
    assert mirror.change(change(5, reference("c", 6, 7, view="v")))
    assert mirror.change(change(6, reference("c", 7, 8, view="w")))
    assert mirror.state().microcosms["c"].view == "w"


def test_an_older_change_told_late_does_not_hide_a_write(mirror: Mirror) -> None:
    mirror.wrote(Reference("b", 9, view="mine", revision=7))
    assert mirror.change(change(5, reference("b", 6, 8, view="older")))
    assert mirror.state().microcosms["b"].view == "mine"
    assert mirror.change(change(6, reference("b", 7, 9, view="mine")))
    assert mirror.change(change(7, reference("b", 8, 9, view="newer")))
    assert mirror.state().microcosms["b"].view == "newer"


def test_a_removal_is_seen_before_the_daemon_tells_of_it(mirror: Mirror) -> None:
    mirror.removed("b")
    assert list(mirror.state().microcosms) == ["A"]
    assert mirror.change(change(5, reference("A", 2, 9)))
    assert list(mirror.state().microcosms) == ["A"]
    assert mirror.change(change(6, removed=("b",)))
    assert mirror.change(change(7, reference("b", 8)))
    assert list(mirror.state().microcosms) == ["A", "b"]


def test_a_touch_told_late_does_not_bring_a_removed_one_back(mirror: Mirror) -> None:
    mirror.removed("b")
    assert mirror.change(change(5, reference("b", 4, 99)))
    assert "b" not in mirror.state().microcosms


def test_a_removal_and_a_new_registration_folded_into_one_change(mirror: Mirror) -> None:
    mirror.removed("b")
    assert mirror.change({**change(5, reference("b", 7)), "revision": 7})
    assert "b" in mirror.state().microcosms


def test_removing_what_is_not_there_means_nothing(mirror: Mirror) -> None:
    known = mirror.state()
    mirror.removed("zz")
    assert mirror.state() is known


def test_registering_after_removing(mirror: Mirror) -> None:
    mirror.removed("b")
    mirror.wrote(Reference("b", 8, revision=7))
    assert "b" in mirror.state().microcosms
    mirror.removed("b")
    assert "b" not in mirror.state().microcosms


GARBAGE: list[object] = [
    None,
    [],
    {},
    {"epoch": 1, "revision": 1},
    {"epoch": "e"},
    {"epoch": "e", "revision": "1"},
    {"epoch": "e", "revision": 1, "set": []},
    {"epoch": "e", "revision": 1, "set": {"a": 1}},
    {"epoch": "e", "revision": 1, "set": {"a": {"microcosmID": "a b", "lastAccessed": 0, "revision": 1}}},
    {"epoch": "e", "revision": 1, "removed": [1]},
    {"epoch": "e", "revision": 1, "active": 7},
    {"epoch": "e", "revision": 1, "identity": {}},
]


@pytest.mark.parametrize("answer", GARBAGE, ids=repr)
def test_what_makes_no_sense_is_a_protocol_error(answer: object) -> None:
    with pytest.raises(ProtocolError):
        Mirror().resume(answer)


ids = st.sampled_from(["a", "B", "b", "c.d", "_"])
texts = st.none() | st.sampled_from(["", "x", "y"])
acts = st.one_of(
    st.fixed_dictionaries({"method": st.just("reference.register"), "microcosmID": ids, "view": texts}),
    st.fixed_dictionaries({"method": st.just("reference.remove"), "microcosmID": ids}),
    st.fixed_dictionaries({"method": st.just("reference.get"), "microcosmID": ids}),
    st.fixed_dictionaries({"method": st.just("active.set"), "microcosmID": st.none() | ids}),
    st.fixed_dictionaries({"method": st.just("session.set"), "microcosms": st.just([{"microcosmID": "k"}])}),
    st.fixed_dictionaries({"method": st.just("session.reset")}),
)


def plain(state: SessionState) -> dict[str, Any]:
    fields = ("microcosm_id", "last_accessed", "password", "view", "revision")
    wire = ("microcosmID", "lastAccessed", "password", "view", "revision")
    listed = [
        dict(zip(wire, (getattr(each, f) for f in fields), strict=True)) for each in state.microcosms.values()
    ]
    return {"active": state.active, "microcosms": listed}


@settings(max_examples=300)
@given(st.lists(st.tuples(acts, st.booleans(), st.booleans()), max_size=25))
def test_the_mirror_ends_as_the_daemon_s_state_and_shows_own_writes_at_once(
    history: list[tuple[dict[str, Any], bool, bool]],
) -> None:
    """Each act is ours or somebody else's, and is told at once or folded with later ones."""
    daemon, mirror, told = FakeDaemon(), Mirror(), 0
    mirror.resume(
        {"epoch": daemon.epoch, "revision": 0, "fresh": True, "set": {}, "removed": [], "active": None}
    )
    for act, ours, tell in history:
        method = act["method"]
        result = daemon.change(method, **{key: value for key, value in act.items() if key != "method"})
        if ours and method == "reference.register":
            mirror.wrote(Reference.from_wire(result))
            assert mirror.state().microcosms[act["microcosmID"]] == Reference.from_wire(result)
        elif ours and method == "reference.remove":
            mirror.removed(act["microcosmID"])
            assert act["microcosmID"] not in mirror.state().microcosms
        if tell and told != daemon.revision:
            assert mirror.change({"from": told, "revision": daemon.revision, **daemon.difference(told)})
            told = daemon.revision
            assert plain(mirror.state()) == daemon.state()
    mirror.resume({"epoch": "epoch1", "revision": daemon.revision, "fresh": False, **daemon.difference(told)})
    assert plain(mirror.state()) == daemon.state()
