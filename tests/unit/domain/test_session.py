from collections.abc import Callable
from typing import Any

import pytest

from nogg.errors import Conflict, InvalidParams, LimitExceeded, NotFound
from noggd.domain import upkeep
from noggd.domain.changes import ABSENT, Change, Origin
from noggd.domain.document import Document
from noggd.domain.hlc import HybridClock
from noggd.domain.reference import Reference
from noggd.domain.session import Session, ephemeral

NOW = 1_700_000_000_000
HERE = Origin("dA", "test")


class Seat:
    """A session with a clock that moves on by a millisecond an act."""

    def __init__(self, device: str = "dA", client: int = 7) -> None:
        self.session = Session("default", device, HybridClock(), Document(client, device))
        self.now = NOW
        self.change: Change | None = None

    def do(self, operation: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.now += 1
        result, self.change = self.session.perform(lambda: operation(self.now, *arguments, **named), HERE)
        self.session.maps.hurry()
        self.updates = self.session.maps.flush()
        return result


@pytest.fixture
def seat() -> Seat:
    return Seat()


def test_register_makes_a_reference_and_keeps_what_is_not_given(seat: Seat) -> None:
    first = seat.do(seat.session.register, "m.1", "canvas", "secret")
    assert first.value() == {
        "microcosmID": "m.1", "lastAccessed": NOW + 1, "password": "secret", "view": "canvas", "revision": 1,
    }  # fmt: skip
    again = seat.do(seat.session.register, "m.1", "", None)
    assert (again.view, again.password, again.last_accessed) == ("canvas", "secret", NOW + 2)
    assert again.revision == 1, "an access is no explicit change"
    assert seat.session.revision == 2, "but it is a visible one"


def test_update_clears_with_none_and_needs_a_reference(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", "canvas", "secret")
    updated = seat.do(seat.session.update, "m.1", {"password": None})
    assert (updated.view, updated.password, updated.last_accessed) == ("canvas", None, NOW + 1)
    with pytest.raises(NotFound):
        seat.do(seat.session.update, "m.2", {"view": "x"})


def test_setting_the_same_value_is_written_but_not_told(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", "canvas")
    seat.do(seat.session.update, "m.1", {"view": "canvas"})
    assert seat.updates, "an act: it must win over an older one elsewhere"
    assert seat.change is None


def test_what_changes_nothing_writes_nothing(seat: Seat) -> None:
    for operation, arguments in (
        (seat.session.remove, ("m.1",)),
        (seat.session.reset, ()),
        (seat.session.set_active, (None,)),
        (seat.session.touch, ("m.1",)),
    ):
        seat.do(operation, *arguments)
        assert seat.updates == []
        assert seat.change is None


def test_remove_leaves_active_as_it_is(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1")
    seat.do(seat.session.set_active, "m.1")
    assert seat.do(seat.session.remove, "m.1") == {"removed": True}
    assert seat.session.active == "m.1"
    assert seat.change is not None
    assert seat.change.removed == ("m.1",)
    assert seat.change.active is ABSENT


def test_revisions_guard_a_reference(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", if_revision=0)
    with pytest.raises(Conflict) as caught:
        seat.do(seat.session.register, "m.1", if_revision=0)
    assert caught.value.data["revision"] == 1
    seat.do(seat.session.touch, "m.1")
    seat.do(seat.session.update, "m.1", {"view": "v"}, if_revision=1)
    with pytest.raises(Conflict):
        seat.do(seat.session.remove, "m.1", if_revision=1)


def test_a_session_revision_conflicts_on_explicit_changes_only(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1")
    seat.do(seat.session.touch, "m.1")
    seat.do(seat.session.set, active="m.1", if_revision=1)
    with pytest.raises(Conflict):
        seat.do(seat.session.reset, if_revision=1)
    with pytest.raises(Conflict):
        seat.do(seat.session.reset, if_revision=99)


def test_set_replaces_all_references(seat: Seat) -> None:
    seat.do(seat.session.register, "old.1")
    seat.do(seat.session.register, "m.1", "canvas", "secret")
    seat.do(
        seat.session.set,
        active="m.2",
        microcosms=[
            {"microcosmID": "m.1", "lastAccessed": 5},
            {"microcosmID": "m.2", "lastAccessed": NOW * 2, "view": "v"},
        ],
    )
    assert seat.session.references.keys() == {"m.1", "m.2"}
    one, two = seat.session.references["m.1"], seat.session.references["m.2"]
    assert (one.last_accessed, one.view, one.password) == (5, None, None)
    assert two.last_accessed == seat.now, "a future access is now"
    assert seat.session.active == "m.2"
    assert seat.change is not None
    assert (seat.change.from_revision, seat.change.revision) == (2, 3), "one commit, one event"


def test_a_listed_twice_id_is_refused_and_nothing_happens(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1")
    with pytest.raises(InvalidParams):
        seat.do(seat.session.set, microcosms=[{"microcosmID": "m.2"}, {"microcosmID": "m.2"}])
    assert seat.session.references.keys() == {"m.1"}
    seat.session.maps.hurry()
    assert seat.session.maps.flush() == []


def test_a_transaction_is_one_change_or_none(seat: Seat) -> None:
    result = seat.do(
        seat.session.transact,
        [
            {"op": "register", "microcosmID": "m.1", "view": "v"},
            {"op": "set_active", "microcosmID": "m.1"},
            {"op": "remove", "microcosmID": "m.2"},
        ],
    )
    assert result["revision"] == 1
    assert result["results"][0]["revision"] == 1
    assert result["results"][2] == {"removed": False}
    with pytest.raises(NotFound) as caught:
        seat.do(
            seat.session.transact,
            [
                {"op": "remove", "microcosmID": "m.1"},
                {"op": "set_active", "microcosmID": None},
                {"op": "update", "microcosmID": "m.9", "view": "x"},
            ],
        )
    assert caught.value.data["index"] == 2
    assert seat.session.references.keys() == {"m.1"}
    assert seat.session.active == "m.1"
    assert seat.session.maps.flush() == []


def test_since_names_what_changed(seat: Seat) -> None:
    for name in ("m.1", "m.2", "m.3"):
        seat.do(seat.session.register, name)
    seat.do(seat.session.remove, "m.1")
    seat.do(seat.session.touch, "m.2")
    difference = seat.session.revisions.since(3)
    assert difference is not None
    assert difference == (["m.2"], ["m.1"], False)
    assert seat.session.revisions.since(99) is None


def test_restore_brings_back_what_was_there(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", "canvas", "secret")
    seat.do(seat.session.remove, "m.1")
    assert [each.password for each in seat.session.restorable(seat.now)] == ["secret"]
    restored: Reference = seat.do(seat.session.restore, "m.1")
    assert (restored.view, restored.password, restored.last_accessed) == ("canvas", "secret", NOW + 1)
    assert seat.session.restorable(seat.now) == []


def test_restore_ends_after_thirty_days(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", password="secret")
    seat.do(seat.session.remove, "m.1")
    seat.now += 30 * 24 * 3600 * 1000
    assert seat.session.restorable(seat.now) == []
    with pytest.raises(NotFound):
        seat.do(seat.session.restore, "m.1")
    seat.session.compact(seat.now)
    assert seat.session.maps.document is not None
    assert b"secret" not in seat.session.maps.document.encode()


def test_forget_leaves_nothing(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", password="secret")
    seat.do(seat.session.remove, "m.1")
    assert seat.do(seat.session.forget, "m.1") == {"forgotten": True}
    assert seat.do(seat.session.forget, "m.1") == {"forgotten": False}
    assert seat.session.maps.document is not None
    assert b"secret" not in seat.session.maps.document.encode()
    with pytest.raises(NotFound):
        seat.do(seat.session.restore, "m.1")


def test_a_replaced_password_leaves_the_document(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", password="old-secret")
    seat.do(seat.session.register, "m.1", password="new-secret")
    assert seat.session.maps.secret_left()
    assert not seat.session.maps.secret_left(), "told once"
    assert seat.session.maps.document is not None
    assert b"old-secret" not in seat.session.maps.document.encode()


def test_import_adds_and_fills_but_overwrites_nothing(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", "canvas")
    seat.do(seat.session.register, "gone.1")
    seat.do(seat.session.remove, "gone.1")
    entries = [
        {"microcosmID": "m.1", "lastAccessed": 5, "view": "other", "password": "secret"},
        {"microcosmID": "m.2", "lastAccessed": 6},
        {"microcosmID": "gone.1", "lastAccessed": 7},
    ]
    assert seat.do(seat.session.import_entries, entries, "m.2") == {"imported": 2, "skipped": 1}
    assert seat.session.references["m.1"].view == "canvas"
    assert seat.session.references["m.1"].password == "secret"
    assert seat.session.references["m.2"].last_accessed == 6
    assert seat.session.active == "m.2"
    assert seat.do(seat.session.import_entries, entries, "m.1") == {"imported": 0, "skipped": 3}
    assert seat.change is None
    assert seat.updates == []


def test_two_devices_merge(seat: Seat) -> None:
    other = Seat("dB", 8)
    seat.do(seat.session.register, "m.1", None, "secret")
    for update in seat.updates:
        other.session.merge(update, Origin("dA"))
    other.do(other.session.register, "m.1", "canvas")
    for update in other.updates:
        change = seat.session.merge(update, Origin("dB"))
    assert change is not None
    assert change.origin == Origin("dB")
    assert seat.session.references["m.1"].view == "canvas"
    assert seat.session.references["m.1"].password == "secret"


def test_a_peer_that_writes_into_our_map_is_undone(seat: Seat) -> None:
    seat.do(seat.session.register, "m.1", "canvas", "secret")
    rogue = Document(66, "dA")  # claims to be us
    assert seat.session.maps.document is not None
    rogue.apply(seat.session.maps.document.encode())
    attacks: list[Callable[[], bytes | None]] = [
        lambda: rogue.write({"v/m.1": [1 << 50, "forged"], "p/m.1": None, "r/m.1": [1 << 50, 0, 1 << 50]}),
        lambda: rogue.replace({"r/m.9": 5}),
    ]
    for attack in attacks:
        bad = attack()
        assert bad is not None
        seat.session.merge(bad, Origin("dX"))
        repair = seat.session.maps.flush()
        assert repair
        for update in repair:
            rogue.apply(update)
        assert seat.session.references["m.1"].view == "canvas"
        assert seat.session.references["m.1"].password == "secret"
        assert seat.session.maps.document.device_map("dA") == rogue.device_map("dA")
        assert rogue.device_map("dA").keys() == {"r/m.1", "v/m.1", "p/m.1"}


def test_an_ephemeral_session_needs_no_document() -> None:
    session = ephemeral("scratch", NOW)
    result, change = session.perform(lambda: session.register(NOW, "m.1"), HERE)
    assert isinstance(result, Reference)
    assert change is not None
    assert session.maps.flush() == []


def test_a_removal_is_kept_until_every_member_has_stored_it(seat: Seat) -> None:
    other = Seat("dB", 8)
    seat.do(seat.session.register, "m.1", password="secret")
    other.session.merge(seat.updates[0], Origin("dA"))
    other.do(other.session.register, "m.1", "view")
    seat.session.merge(other.updates[0], Origin("dB"))
    seat.do(seat.session.remove, "m.1")
    stored = seat.session.clock.last
    later = seat.now + 31 * 24 * 3600 * 1000
    updates = [*seat.updates, *seat.session.compact(later, stored_by_all=stored - 1)]
    assert "r/m.1" in seat.session.maps.own
    updates += seat.session.compact(later, stored_by_all=stored)
    assert all(not entries for entries in seat.session.maps.entries.values())
    for update in updates:
        other.session.merge(update, Origin("dA"))
    assert other.session.references == {}
    assert not any(key.endswith("m.1") for key in other.session.maps.own)


def test_a_map_that_was_written_often_is_compacted_whatever_the_restarts(seat: Seat) -> None:
    for _ in range(5):
        for _ in range(1000):
            seat.do(seat.session.register, "m.1")
        assert seat.session.maps.document is not None
        state = seat.session.maps.document.encode()
        seat.session = Session(
            "default", "dA", HybridClock(seat.session.clock.last), Document(7, "dA", state)
        )
        seat.session.load()
    due = [seat.session.maps.compaction_due]
    seat.session.compact(seat.now)
    assert [*due, seat.session.maps.compaction_due] == [True, False]
    assert seat.session.maps.document is not None
    assert len(seat.session.maps.document.encode()) < 200
    assert seat.session.references.keys() == {"m.1"}


def test_a_removal_that_was_adopted_outlives_what_the_reference_had(seat: Seat) -> None:
    left = Seat("dB", 8)
    left.do(left.session.register, "m.1", "canvas")
    seat.session.merge(left.session.maps.encode(), HERE)
    left.do(left.session.remove, "m.1")
    seat.session.merge(left.session.maps.encode(), HERE)
    seat.do(lambda now: seat.session.adopt("dB"))
    seat.session.maps.set_members(frozenset({"dA"}))
    later = seat.now + upkeep.RESTORABLE_FOR + 1
    seat.session.compact(later)
    assert list(seat.session.maps.own) == ["x/dB/r/m.1"], "somebody may come back who has not heard of it"
    seat.session.compact(later, stored_by_all=seat.session.clock.last)
    assert not seat.session.maps.own


def test_a_full_session_takes_nothing_new_and_can_be_cleared_out(seat: Seat) -> None:
    """A larger document could be sent to no other device."""

    def fill() -> None:
        for number in range(20_000):
            seat.do(seat.session.register, f"m.{number}", "canvas", "x" * 1024)

    with pytest.raises(LimitExceeded):
        fill()
    count = len(seat.session.references)
    assert 13_000 < count < 15_000
    seat.do(seat.session.update, "m.1", {"view": "map"})
    for number in range(2000):
        seat.do(seat.session.forget, f"m.{number}")
    seat.do(seat.session.register, "m.new", "canvas", "x" * 1024)
    assert len(seat.session.references) == count - 2000 + 1
