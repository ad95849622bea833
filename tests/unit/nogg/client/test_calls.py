"""The table of open calls, and what becomes of them when a connection ends in the middle."""

import json

import pytest

from nogg import wire
from nogg.client.calls import REPEATABLE, Call, Calls
from nogg.errors import ConnectionLost, Disposed, LimitExceeded, NotFound, ShuttingDown
from nogg.methods import METHODS


def sent(calls: Calls, method: str, **params: object) -> tuple[Call, int]:
    call = Call(method, params)
    return call, json.loads(calls.send(call))["id"]


def test_a_call_is_numbered_sent_and_answered() -> None:
    calls = Calls()
    call = Call("reference.get", {"microcosmID": "a"})
    assert json.loads(calls.send(call)) == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "reference.get",
        "params": {"microcosmID": "a"},
    }
    assert calls.answered(1, None) is call
    assert len(calls) == 0
    call.finish({"x": 1})
    assert call.outcome() == {"x": 1}


def test_the_first_outcome_stays_and_is_told_once() -> None:
    told: list[bool] = []
    call = Call("x", {})
    call.on_done = lambda: told.append(True)
    call.finish(error=NotFound())
    call.finish("late")
    with pytest.raises(NotFound):
        call.outcome()
    assert told == [True]


def test_only_what_changes_nothing_is_made_twice() -> None:
    for name in REPEATABLE:
        assert not METHODS[name].mutates, name


def test_when_the_connection_ends_reads_wait_and_writes_fail_unsure() -> None:
    calls = Calls()
    first, _ = sent(calls, "session.get")
    write, _ = sent(calls, "reference.register")
    second, _ = sent(calls, "reference.get")
    later = Call("reference.remove", {})
    calls.wait(later)
    calls.lost()
    with pytest.raises(ConnectionLost) as caught:
        write.outcome()
    assert caught.value.hint is not None
    assert "unknown" in caught.value.hint
    assert calls.take_waiting() == [first, second, later]
    assert not first.done


def test_own_calls_end_with_their_connection() -> None:
    calls = Calls()
    told: list[bool] = []
    for method in ("hello", "session.subscribe"):
        call = Call(method, {}, own=True)
        call.on_done = lambda: told.append(True)
        calls.send(call)
    calls.lost()
    calls.fail(Disposed())
    assert calls.take_waiting() == []
    assert not told


def test_what_a_stopping_daemon_refused_goes_to_the_next_one() -> None:
    calls = Calls()
    call, number = sent(calls, "reference.register")
    assert calls.answered(number, ShuttingDown()) is None
    assert calls.take_waiting() == [call]


def test_the_client_s_own_calls_are_not_made_again_by_the_table() -> None:
    calls = Calls()
    call = Call("session.subscribe", {}, own=True)
    number = json.loads(calls.send(call))["id"]
    assert calls.answered(number, ShuttingDown()) is call
    assert calls.take_waiting() == []


def test_a_pairing_code_is_never_tried_twice() -> None:
    calls = Calls()
    call, number = sent(calls, "pair.join", code="1-a-b-c")
    assert calls.answered(number, ShuttingDown()) is call


def test_forgotten_calls_are_neither_sent_nor_answered() -> None:
    calls = Calls()
    call, number = sent(calls, "session.get")
    waiting = Call("session.get", {})
    calls.wait(waiting)
    calls.forget(call)
    calls.forget(waiting)
    assert calls.answered(number, None) is None
    assert calls.take_waiting() == []


@pytest.mark.parametrize("number", [None, "1", 99, True, 1.5])
def test_a_reply_to_nobody_is_nobody_s(number: object) -> None:
    assert Calls().answered(number, None) is None


def test_a_line_that_the_daemon_would_not_take_is_not_sent() -> None:
    calls = Calls()
    call = Call("reference.register", {"password": "x" * wire.REQUEST_LIMIT})
    assert calls.send(call) == b""
    with pytest.raises(LimitExceeded):
        call.outcome()
    large = Call("session.set", {"microcosms": "x" * wire.REQUEST_LIMIT})
    assert calls.send(large) != b""


def test_failing_ends_all() -> None:
    calls = Calls()
    call, _ = sent(calls, "session.get")
    waiting = Call("session.get", {})
    calls.wait(waiting)
    calls.fail(Disposed())
    for each in (call, waiting):
        with pytest.raises(Disposed):
            each.outcome()


@pytest.mark.parametrize(
    ("method", "result", "revision"),
    [
        ("session.set", {"revision": 7}, 7),
        ("active.set", {"active": None, "revision": 3}, 3),
        ("session.set", None, 0),
        ("session.set", {"revision": "7"}, 0),
        ("reference.register", {"revision": 7}, 0),
    ],
)
def test_which_revision_shows_a_change(method: str, result: object, revision: int) -> None:
    call = Call(method, {})
    call.finish(result)
    assert call.revision == revision
