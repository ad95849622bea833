import pytest

from nogg.errors import ProtocolError
from noggd.core import runs as module
from noggd.core.runs import Runs


def some() -> Runs:
    runs = Runs([])
    runs.begin("one", 7, {"person": 3})
    runs.begin("two", 7, {"person": 10, "session/a": 4})
    runs.begin("three", 7, {"person": 20, "session/a": 5})
    return runs


def test_what_was_written_reads_back() -> None:
    assert Runs.read(some().encode()).encode() == some().encode()
    assert Runs.read("[]").encode() == "[]"


@pytest.mark.parametrize("text", ["", "x", "{}", "[1]", '[["a"]]', '[["a","b",{}]]', '[["a",1,2]]'])
def test_anything_else_is_refused(text: str) -> None:
    if text != "{}":
        with pytest.raises(ProtocolError):
            Runs.read(text)


def test_a_run_that_is_not_known_was_forgotten() -> None:
    assert not some().remembers("four", 7, {})
    assert some().remembers("one", 7, {})
    assert some().remembers("three", 7, {"person": 999})


def test_a_run_that_ended_with_less_than_a_peer_has_was_cut_short() -> None:
    runs = some()
    assert runs.remembers("two", 7, {"person": 20, "session/a": 5})
    assert not runs.remembers("two", 7, {"person": 21})
    assert not runs.remembers("one", 7, {"session/b": 1})
    assert runs.remembers("two", 8, {"person": 21})  # another client id: that history is no longer continued


def test_what_was_adopted_is_known_from_then_on() -> None:
    runs = some()
    runs.adopt("lost")
    runs.adopt("lost")
    assert runs.remembers("lost", 7, {"person": 999})
    assert runs.remembers("two", 7, {"person": 999})  # what followed it is not known exactly any more
    assert runs.remembers("three", 7, {})
    assert len(Runs.read(runs.encode()).encode()) == len(runs.encode())


def test_memory_is_bounded_and_what_fell_out_is_not_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RUNS", 5)
    monkeypatch.setattr(module, "MAX_DETAILED", 2)
    runs = Runs([])
    for number in range(9):
        runs.begin(f"run {number}", 7, {"person": number})
    assert runs.remembers("run 1", 7, {"person": 100})
    assert runs.remembers("run 4", 7, {"person": 100})
    assert not runs.remembers("run 7", 7, {"person": 100})
    assert runs.encode().count("run") == 5
