"""Signals: who is called, with what, and in which order."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from nogg.client.signals import Board, Key, Signal
from nogg.client.state import Identity, Reference, SessionState


class Owner:
    """Plays a session whose state a test sets."""

    def __init__(self) -> None:
        self.now = SessionState()
        self.who = Identity("i")
        self.listened = 0
        self.written: list[tuple[str, Any]] = []

    def listen(self) -> None:
        self.listened += 1

    def state(self) -> SessionState:
        return self.now

    def identity(self) -> Identity:
        return self.who

    def is_connected(self) -> bool:
        return True

    def is_ready(self) -> bool:
        return True

    def write_state(self, value: Any) -> None:
        self.written.append(("state", value))

    def write_active(self, value: Any) -> None:
        self.written.append(("active", value))

    def write_microcosms(self, value: Any) -> None:
        self.written.append(("microcosms", value))

    def write_identity(self, value: Any) -> None:
        self.written.append(("identity", value))


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def board(owner: Owner) -> Board[None]:
    return Board(owner)


def change(
    board: Board[None], owner: Owner, state: SessionState | None = None, user: Identity | None = None
) -> None:
    owner.now = state or owner.now
    owner.who = user or owner.who
    for tell in board.changed(owner.now, owner.who):
        tell()


A = Reference("a", 1)
WITH_A = SessionState("a", {"a": A})


def test_listeners_are_called_whole_state_first_and_never_at_once(board: Board[None], owner: Owner) -> None:
    told: list[tuple[str, object]] = []
    board.listed.on(lambda value: told.append(("listed", value)))
    board.microcosms.on(lambda value: told.append(("microcosms", value)))
    board.active.on(lambda value: told.append(("active", value)))
    board.state.on(lambda value: told.append(("state", value)))
    assert owner.listened == 4
    assert not told
    change(board, owner, WITH_A)
    assert told == [("state", WITH_A), ("active", "a"), ("microcosms", {"a": A}), ("listed", [A])]


def test_only_what_changed_is_told(board: Board[None], owner: Owner) -> None:
    told: list[object] = []
    board.active.on(told.append)
    change(board, owner, SessionState(None, {"a": A}))
    assert not told
    change(board, owner, WITH_A)
    change(board, owner, SessionState("a", {"a": A}))
    assert told == ["a"]


def test_the_same_listener_twice_is_called_once(board: Board[None], owner: Owner) -> None:
    told: list[object] = []
    board.active.on(told.append)
    board.active.on(told.append)
    change(board, owner, WITH_A)
    assert told == ["a"]


def test_an_ended_listener_is_not_called(board: Board[None], owner: Owner) -> None:
    told: list[object] = []
    end = board.active.on(told.append)
    end()
    end()
    change(board, owner, WITH_A)
    assert not told


def test_a_listener_ended_by_an_earlier_one_is_not_called(board: Board[None], owner: Owner) -> None:
    told: list[object] = []
    ends: list[Callable[[], None]] = []
    board.state.on(lambda _: ends[0]())
    ends.append(board.active.on(told.append))
    change(board, owner, WITH_A)
    assert not told


def test_a_late_listener_is_told_only_what_comes_after_it(board: Board[None], owner: Owner) -> None:
    told: list[object] = []
    change(board, owner, WITH_A)
    board.active.on(told.append)
    change(board, owner, WITH_A)
    assert not told
    change(board, owner, SessionState(None, {"a": A}))
    assert told == [None]


def test_a_failing_listener_is_logged_and_stops_nobody(
    board: Board[None], owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []

    def fail(_: object) -> None:
        raise RuntimeError("broken listener")

    board.active.on(fail)
    board.active.on(told.append)
    with caplog.at_level(logging.ERROR, "nogg"):
        change(board, owner, WITH_A)
    assert told == ["a"]
    assert "broken listener" in caplog.text


def test_hooks_are_called_once_at_the_end_last_first() -> None:
    called: list[int] = []
    signal = Signal(lambda: 0, lambda: None)
    signal.use(lambda: called.append(1), lambda: called.append(2))
    undo = signal.use(lambda: called.append(3))
    undo()
    undo()
    assert called == [3]
    signal.dispose()
    signal.dispose()
    assert called == [3, 2, 1]


def test_disposing_ends_all_listeners(board: Board[None], owner: Owner) -> None:
    told: list[object] = []
    board.active.on(told.append)
    board.user.on(told.append)
    board.dispose()
    change(board, owner, WITH_A, Identity("j"))
    assert not told


def test_the_person_and_the_connection_are_signals_too(board: Board[None], owner: Owner) -> None:
    told: list[object] = []
    board.user.on(told.append)
    board.connected.on(told.append)
    change(board, owner, user=Identity("i", "Ada"))
    assert told == [Identity("i", "Ada")]
    assert board.connected.get() is True


def test_keys_are_written_through_their_owner(board: Board[None], owner: Owner) -> None:
    board.key("active").set("x")
    board.key("microcosms").set([])
    board.state.set({"active": None})
    board.user.set({"username": "Ada"})
    assert owner.written == [
        ("active", "x"),
        ("microcosms", []),
        ("state", {"active": None}),
        ("identity", {"username": "Ada"}),
    ]
    with pytest.raises(KeyError):
        board.key("other")


def test_every_signal_has_an_id_of_its_own(board: Board[None]) -> None:
    signals: list[Signal[Any]] = [board.state, board.active, board.microcosms, board.listed, board.user]
    assert len({signal.id for signal in signals}) == 5
    assert isinstance(board.active, Key)
