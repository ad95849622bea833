"""The small blocking client, against a socket that plays the daemon's part."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nogg import errors
from nogg.blocking import Connection, Notification

Play = Callable[[socket.socket], None]


class Daemon:
    """Listens at `path` and lets `play` handle each connection in a thread."""

    def __init__(self, path: Path, play: Play) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._play = play
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return
        with accepted:
            accepted.settimeout(10)
            self._play(accepted)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[Play], Path]]:
    started: list[Daemon] = []

    def start(play: Play) -> Path:
        started.append(Daemon(tmp_path / "d.sock", play))
        return started[-1].path

    yield start
    for each in started:
        each.close()


def requests(connection: socket.socket) -> Iterator[dict[str, Any]]:
    with connection.makefile("rb") as lines:
        for line in lines:
            yield json.loads(line)


def say(connection: socket.socket, *messages: dict[str, Any]) -> None:
    connection.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))


def echo(connection: socket.socket) -> None:
    for request in requests(connection):
        say(connection, {"jsonrpc": "2.0", "id": request["id"], "result": request["params"]})


def test_a_call_is_answered(daemon: Callable[[Play], Path]) -> None:
    with Connection(daemon(echo)) as connection:
        assert connection.call("x.y", a=1, method="m", self="s") == {"a": 1, "method": "m", "self": "s"}
        assert connection.call("x.y") == {}


def test_an_error_reply_is_raised(daemon: Callable[[Play], Path]) -> None:
    def play(connection: socket.socket) -> None:
        for request in requests(connection):
            error = errors.Conflict(revision=4).to_wire()
            say(connection, {"jsonrpc": "2.0", "id": request["id"], "error": error})

    with Connection(daemon(play)) as connection, pytest.raises(errors.Conflict) as caught:
        connection.call("reference.update")
    assert caught.value.revision == 4


def test_notifications_between_replies_are_kept_in_order(daemon: Callable[[Play], Path]) -> None:
    def play(connection: socket.socket) -> None:
        for request in requests(connection):
            say(connection, {"jsonrpc": "2.0", "method": "n", "params": {"before": request["id"]}})
            say(connection, {"jsonrpc": "2.0", "id": request["id"], "result": True})

    with Connection(daemon(play)) as connection:
        assert connection.call("a") is True
        assert connection.call("b") is True
        told = connection.notifications()
        assert next(told) == Notification("n", {"before": 1})
        assert next(told) == Notification("n", {"before": 2})


def test_a_late_reply_is_not_taken_for_the_next_one(daemon: Callable[[Play], Path]) -> None:
    gate = threading.Event()

    def play(connection: socket.socket) -> None:
        first = next(incoming := requests(connection))
        assert gate.wait(10)
        say(connection, {"id": first["id"], "result": "late"})
        say(connection, {"id": next(incoming)["id"], "result": "right"})

    with Connection(daemon(play), timeout=0.05) as connection:
        with pytest.raises(errors.Timeout):
            connection.call("slow")
        gate.set()
        connection.timeout = 10
        assert connection.call("next") == "right"
        assert not connection._replies, "late replies must not pile up"


def test_a_call_that_says_how_long_it_may_take_gets_that_time(daemon: Callable[[Play], Path]) -> None:
    with Connection(daemon(echo), timeout=0) as connection:
        assert connection.call("sync.wait", timeout_s=10) == {"timeout_s": 10}


def test_the_end_of_the_connection_is_told(daemon: Callable[[Play], Path]) -> None:
    def play(connection: socket.socket) -> None:
        next(requests(connection))

    with Connection(daemon(play)) as connection:
        with pytest.raises(errors.ConnectionLost):
            connection.call("x")
        with pytest.raises(errors.ConnectionLost):
            next(connection.notifications())


def test_why_the_daemon_hung_up_is_told(daemon: Callable[[Play], Path]) -> None:
    def play(connection: socket.socket) -> None:
        say(
            connection, {"jsonrpc": "2.0", "id": None, "error": errors.Forbidden("not your daemon").to_wire()}
        )

    with Connection(daemon(play)) as connection, pytest.raises(errors.Forbidden, match="not your daemon"):
        list(connection.notifications())


@pytest.mark.parametrize("garbage", [b"nope\n", b"[]\n", b"\xff\n"])
def test_garbage_is_a_protocol_error(daemon: Callable[[Play], Path], garbage: bytes) -> None:
    def play(connection: socket.socket) -> None:
        next(requests(connection))
        connection.sendall(garbage)

    with Connection(daemon(play)) as connection, pytest.raises(errors.ProtocolError):
        connection.call("x")


def test_nothing_told_in_time(daemon: Callable[[Play], Path]) -> None:
    with Connection(daemon(echo)) as connection, pytest.raises(errors.Timeout):
        next(connection.notifications(timeout=0.01))


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(errors.NotRunning) as caught:
        Connection(tmp_path / "none.sock")
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint is not None


def test_a_stale_socket_is_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "stale.sock"))
    with pytest.raises(errors.NotRunning):
        Connection(tmp_path / "stale.sock")


def test_a_path_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.NotRunning, match="bytes"):
        Connection(tmp_path / ("x" * 200))


def test_the_usual_places_are_tried_in_order(
    daemon: Callable[[Play], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon(echo)
    monkeypatch.setattr("nogg.paths.client_sockets", lambda flag=None: [tmp_path / "none.sock", path])
    with Connection() as connection:
        assert connection.path == str(path)


def test_of_several_places_the_first_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nogg.paths.client_sockets", lambda flag=None: [tmp_path / "one", tmp_path / "two"])
    with pytest.raises(errors.NotRunning, match="one"):
        Connection()


def test_a_busy_daemon_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "d.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        with Connection(path):
            with pytest.raises(errors.Timeout):
                Connection(path, timeout=0.05)

            def accept() -> None:
                listener.accept()[0].close()

            accepting = threading.Timer(0.05, accept)
            accepting.start()
            Connection(path).close()
            accepting.join()
