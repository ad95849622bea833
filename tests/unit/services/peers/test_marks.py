import pytest

from noggd.services.peers import marks as module
from noggd.services.peers.marks import ON_ITS_WAY, Marks


def test_the_earliest_state_with_a_revision_is_found() -> None:
    marks = Marks()
    for revision in (1, 2, 5):
        marks.note(revision, bytes([revision]), access=False, now=0)
    assert marks.state_with(1) == bytes([1])
    assert marks.state_with(2) == bytes([2])
    assert marks.state_with(3) == bytes([5])
    assert marks.state_with(6) is None
    assert Marks().state_with(0) is None


def test_an_access_is_not_in_the_states_that_follow_at_once() -> None:
    marks = Marks()
    marks.note(1, bytes([1]), access=False, now=0)
    marks.note(2, bytes([1]), access=True, now=1)
    marks.note(3, bytes([3]), access=False, now=2)
    assert marks.state_with(1) == bytes([1])
    assert marks.state_with(2) is None
    assert marks.state_with(3) is None
    marks.note(4, bytes([9]), access=False, now=1 + ON_ITS_WAY + 1)
    assert marks.state_with(2) == marks.state_with(3) == bytes([9])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MARKS", 3)
    marks = Marks()
    for revision in range(10):
        marks.note(revision, bytes([revision]), access=False, now=0)
    assert marks.state_with(0) == bytes([7])  # later than needed, and right
