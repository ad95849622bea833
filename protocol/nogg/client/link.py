"""The blocking shell's input and output: one socket, driven by whoever waits for something.

Here: `Link`, which keeps a `Core` talking to the daemon and reconnects. Without listeners there is no thread: the
caller who waits does the reading. With listeners a thread waits too, and runs them. Only one of them has its turn
at the socket at any time; a listener may make calls, for it does not hold that turn. Not here: what is said.
"""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping

from nogg.blocking import connect
from nogg.client.backoff import Backoff
from nogg.client.calls import REPEATABLE, Call
from nogg.client.core import Core, Phase
from nogg.errors import ConnectionLost, Disposed, NoggError, NotRunning, ProtocolError, Timeout
from nogg.paths import PathLike

_CHUNK = 1 << 16  # a larger buffer costs a mapping of its own at each read
_MOST_STEPS = 64  # that a read makes before it answers, however much is coming in


class Link:
    """Keeps `core` connected. `path` None: the usual places. Raises `NotRunning` if nobody listens.

    `lock` guards the core; `deliver`, called with the lock held, returns what is to be called because the core
    changed, and that is then called without it.
    """

    def __init__(
        self,
        core: Core,
        path: PathLike | None,
        *,
        timeout: float,
        reconnect: bool,
        deliver: Callable[[], list[Callable[[], None]]],
    ) -> None:
        self.core = core
        self.lock = threading.Condition(threading.Lock())
        self._path = path
        self._reconnect = reconnect
        self._deliver = deliver
        self._backoff = Backoff(random.random)
        self._unsent = bytearray()
        self._taken = False  # the turn at the socket
        self._closed = False
        self._thread: threading.Thread | None = None
        self._next_try: float | None = None
        self._wake_at: float | None = None
        self._alarm, self._ring = socket.socketpair()
        self._poller = select.poll()
        self._poller.register(self._alarm, select.POLLIN)
        self._socket: socket.socket | None = None
        try:
            self._attach(connect(path, timeout)[0])
        except NoggError:
            self._close_sockets()
            raise

    # What callers do

    def call(self, method: str, params: Mapping[str, object], timeout: float) -> object:
        """Make a call and return its result, seen in the mirror if there is one; all within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        if self._thread is None and method not in REPEATABLE:
            self._drain()  # notices a connection that ended meanwhile, before a change is lost in it
        with self.lock:
            if self._closed:
                raise Disposed
            call = self.core.call(method, params)
            self._push()
        try:
            if not self.until(lambda: call.done, deadline):
                raise self._late(f"{method} was not answered within {timeout:g} s")
        except BaseException:
            with self.lock:
                self.core.forget(call)
            raise
        result = call.outcome()
        self._wait_for_mirror(call, deadline)
        return result

    def greet(self, timeout: float) -> None:
        """Wait until the daemon is ready for calls."""
        if not self.until(self._ready_or_cannot, time.monotonic() + timeout):
            raise self._late(f"the daemon was not ready within {timeout:g} s")
        if self.core.fatal is not None:
            raise self.core.fatal

    def follow(self, timeout: float) -> None:
        """See to it that the mirror is there, and as new as what has arrived."""
        with self.lock:
            if self._closed:
                raise Disposed
            self.core.subscribe()
            self._push()
        if self._thread is None:
            self._drain()
        deadline = time.monotonic() + timeout
        if self.core.mirror.epoch is not None and self._socket is None:
            return  # offline: what is known is all there is
        reached = self.until(self._follows_or_cannot, deadline)
        fault = self.core.fatal or self.core.trouble
        if fault is not None:
            raise fault
        if not reached and self.core.mirror.epoch is None:
            raise self._late(f"the session was not told within {timeout:g} s")

    def reach(self, revision: int, timeout: float) -> None:
        """Wait until the mirror has seen a revision, but no longer than `timeout` seconds."""
        self.until(lambda: self.core.mirror.revision >= revision, time.monotonic() + timeout)

    def listen(self) -> None:
        """Run listeners from now on, in a thread of their own."""
        with self.lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="nogg listeners", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Close the connection and end the thread; doing it twice is fine, and so is doing it in a listener."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            self.core.fail(Disposed())
            self._ring.send(b"!")
            self.lock.notify_all()
            while self._taken:
                self.lock.wait()
            self._close_sockets()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def until(self, condition: Callable[[], bool], deadline: float | None) -> bool:
        """Wait until `condition`, asked with the lock held, is true; False if the deadline comes first.

        Who waits takes the turn at the socket if it is free. Raises `Disposed`.
        """
        with self.lock:
            while not condition():
                if self._closed:
                    raise Disposed
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                if self._taken:
                    self.lock.wait(left)
                else:
                    self._step(deadline)
            return True

    # The turn at the socket; all of this is called with the lock held

    def _step(self, deadline: float | None) -> bool:
        """Take the turn: wait, without the lock, for the socket, the time or `deadline`, and do what is due.

        Returns whether anything was.
        """
        self._taken = True
        try:
            self._push()
            watched, at = self._socket, self._next_try if self._socket is None else self._wake_at
            until = min((each for each in (at, deadline) if each is not None), default=None)
            self.lock.release()
            try:
                ready = self._poll(watched, until)
            finally:
                self.lock.acquire()
            return self._react(watched, ready)
        finally:
            self._taken = False
            self.lock.notify_all()

    def _poll(self, watched: socket.socket | None, until: float | None) -> int:
        """Return what the socket is ready for; 0 when the time is over or somebody rang."""
        if watched is not None:
            self._poller.modify(watched, select.POLLIN | select.POLLOUT if self._unsent else select.POLLIN)
        wait = None if until is None else max(0.0, until - time.monotonic()) * 1000
        ready = 0
        for handle, events in self._poller.poll(wait):
            if handle == self._alarm.fileno():
                self._alarm.recv(64)
            else:
                ready = events
        return ready

    def _react(self, watched: socket.socket | None, ready: int) -> bool:
        now = time.monotonic()
        if self._closed or watched is not self._socket:
            return False
        if watched is None:
            due = self._next_try is not None and now >= self._next_try
            if due:
                self._try_to_connect()
            return due
        if ready & ~select.POLLOUT:
            self._pull(watched)
        if self._wake_at is not None and now >= self._wake_at:
            self._wake_at = None
            self.core.wake()
        self._push()
        return ready != 0

    def _pull(self, opened: socket.socket) -> None:
        try:
            data = opened.recv(_CHUNK)
            if not data:
                self._lost()
                return
            self.core.receive(data)
        except BlockingIOError:
            return
        except (OSError, ProtocolError):  # what makes no sense is as good as no connection
            self._lost()
            return
        if self.core.phase is Phase.READY:
            self._backoff.reset()
        if self.core.wake_in is not None:
            self._wake_at = time.monotonic() + self.core.wake_in

    def _push(self) -> None:
        """Send what the core has to say, as far as the socket takes it."""
        if self._socket is None:
            return
        self._unsent += self.core.data_to_send()
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            self._ring.send(b"!")  # whoever polls must now also watch for room
        except OSError:
            pass  # the reading side notices, after it has read what the daemon said last

    def _try_to_connect(self) -> None:
        try:
            self._attach(connect(self._path, 0)[0])
        except NoggError:
            self._next_try = time.monotonic() + self._backoff.next()

    def _attach(self, opened: socket.socket) -> None:
        opened.setblocking(False)
        self._poller.register(opened, select.POLLIN)
        self._socket, self._next_try = opened, None
        self.core.connected()
        self._push()

    def _lost(self) -> None:
        if self._socket is not None:
            self._poller.unregister(self._socket)
            self._socket.close()
        self._socket, self._wake_at = None, None
        self._unsent.clear()
        self.core.lost()
        if not self._reconnect:
            self.core.fail(ConnectionLost())
        if self.core.fatal is None:
            self._next_try = time.monotonic() + self._backoff.next()

    # The rest

    def _run(self) -> None:
        while True:
            try:
                self.until(lambda: self.core.changed, None)
            except Disposed:
                return
            with self.lock:
                self.core.changed = False
                due = self._deliver()
            for tell in due:
                tell()

    def _drain(self) -> None:
        with self.lock:
            for _ in range(_MOST_STEPS):
                if self._taken or self._closed or not self._step(0):
                    return

    def _ready_or_cannot(self) -> bool:
        return self.core.phase is Phase.READY or self.core.fatal is not None

    def _follows_or_cannot(self) -> bool:
        known = self.core.mirror.epoch is not None
        return (
            self.core.mirrored
            or bool(self.core.fatal or self.core.trouble)
            or (known and self._socket is None)
        )

    def _wait_for_mirror(self, call: Call, deadline: float) -> None:
        if self.core.mirrored and call.revision:
            self.until(lambda: self.core.mirror.revision >= call.revision or not self.core.mirrored, deadline)

    def _late(self, message: str) -> NoggError:
        if self._socket is None:
            return NotRunning("the daemon went away and did not come back in time")
        return Timeout(message)

    def _close_sockets(self) -> None:
        for each in (self._socket, self._alarm, self._ring):
            if each is not None:
                each.close()
        self._socket = None
