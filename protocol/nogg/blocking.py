"""A connection to the daemon in a few lines of the standard library: one socket, blocking, no event loop.

Here: what the command line and small scripts need, loaded in milliseconds. Not here: a live mirror,
reconnecting and subscriptions that outlive the connection; those are `nogg.Session` and `nogg.AsyncSession`.

    with Connection() as daemon:
        print(daemon.call("session.get")["active"])
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

from nogg import paths, wire
from nogg.errors import ConnectionLost, Forbidden, NoggError, NotRunning, ProtocolError, Timeout, from_wire

#: seconds that a call may take when nothing else is said
TIMEOUT = 10.0
_CHUNK = 1 << 16
_BUSY = 0.01  # seconds between attempts to reach a daemon that is busy
_NO_LIMIT = 1 << 40  # replies have none


class Notification(NamedTuple):
    """Something that the daemon told without being asked."""

    method: str
    params: dict[str, Any]


class Connection:
    """A blocking connection to the daemon; use it as a context manager.

    `path` is the socket, or None for the usual places (`nogg.paths.client_sockets`). `timeout` is in seconds
    and counts for each call; calls that say how long they may take themselves (`timeout_s`) get that on top.
    Raises `NotRunning` if nobody listens, `Forbidden` if the socket is not ours to open. Not for use from
    several threads at once.
    """

    def __init__(self, path: paths.PathLike | None = None, *, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._last_id = 0
        self._decoder = wire.LineDecoder(_NO_LIMIT)
        self._replies: dict[int, dict[str, Any]] = {}
        self._notifications: deque[Notification] = deque()
        self._socket, self.path = connect(path, timeout)

    def call(self, method: str, /, **params: object) -> Any:
        """Call a method and return its result.

        Raises the `NoggError` that the daemon answered with, `Timeout` if it did not answer in time (the
        connection stays usable), `ConnectionLost` if it went away.
        """
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        asked = params.get("timeout_s", 0)
        allowance = self.timeout + (asked if isinstance(asked, int | float) else 0)
        deadline = time.monotonic() + allowance
        self._send(wire.encode(request), deadline)
        while self._last_id not in self._replies:
            self._receive(deadline, f"{method} was not answered within {allowance:g} s")
        reply = self._replies.pop(self._last_id)
        self._replies.clear()  # what is left answers calls whose caller gave up
        if "error" in reply:
            raise from_wire(reply["error"])
        return reply.get("result")

    def notifications(self, timeout: float | None = None) -> Iterator[Notification]:
        """Yield what the daemon tells, as it comes, for ever.

        Raises `ConnectionLost` when the daemon goes away and `Timeout` when nothing came for `timeout`
        seconds.
        """
        while True:
            deadline = None if timeout is None else time.monotonic() + timeout
            while not self._notifications:
                self._receive(deadline, "nothing was told in time")
            yield self._notifications.popleft()

    def close(self) -> None:
        """Close the connection; doing it twice is fine."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, line: bytes, deadline: float) -> None:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            self._socket.sendall(line)
        except TimeoutError:
            self.close()  # half a line may be out: nothing sensible can follow it
            raise Timeout("the daemon does not read its requests") from None
        except BrokenPipeError:
            pass  # it may have said why before it went: the reading side tells
        except OSError as error:
            raise ConnectionLost(f"the connection to the daemon was lost: {error.strerror}") from error

    def _receive(self, deadline: float | None, late: str) -> None:
        """Wait for more bytes and sort what they complete into replies and notifications."""
        self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            raise Timeout(late) from None
        except OSError as error:
            raise ConnectionLost(f"the connection to the daemon was lost: {error.strerror}") from error
        if not data:
            raise ConnectionLost
        for line in self._decoder.feed(data):
            self._sort(line)

    def _sort(self, line: bytes) -> None:
        message = wire.decode(line)
        if not isinstance(message, dict):
            raise ProtocolError("the daemon sent something that is no JSON-RPC message")
        if "method" in message:
            self._notifications.append(Notification(str(message["method"]), message.get("params") or {}))
        elif isinstance(message.get("id"), int):
            self._replies[message["id"]] = message
        elif "error" in message:  # about the connection as a whole: wrong user, a line too long
            raise from_wire(message["error"])


def connect(path: paths.PathLike | None, timeout: float) -> tuple[socket.socket, str]:
    """Open the daemon's socket; returns it with the path that was taken. `path` None: the usual places."""
    candidates = paths.client_sockets(path)
    fault: NoggError | None = None
    for candidate in candidates:
        name = os.fspath(candidate)
        try:
            return _open(name, timeout), name
        except NoggError as error:
            fault = fault if isinstance(fault, Forbidden | Timeout) else error
    if isinstance(fault, Forbidden | Timeout) or len(candidates) == 1:
        raise fault or NotRunning()
    raise NotRunning(f"the daemon is not running: nobody listens at {candidates[0]}") from fault


def _open(path: str, timeout: float) -> socket.socket:
    fault = paths.socket_path_fault(path)
    if fault:
        raise NotRunning(fault, hint="choose a shorter path with --socket or $NOGG_SOCKET")
    deadline = time.monotonic() + timeout
    while True:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(timeout)
            opened.connect(path)
        except BlockingIOError:  # its queue of connections is full: it lives, and is busy
            opened.close()
            if time.monotonic() >= deadline:
                raise Timeout(f"the daemon at {path} does not accept connections") from None
            time.sleep(_BUSY)
        except PermissionError as error:
            opened.close()
            raise Forbidden(
                f"not allowed to open {path}", hint="the daemon serves only its own user"
            ) from error
        except OSError as error:
            opened.close()
            raise NotRunning(f"the daemon is not running: {path}: {error.strerror}") from error
        else:
            return opened
