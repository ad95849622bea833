"""The blocking shell: what a `Session` does behind its members.

Here: reading the mirror, writing with a deadline, trying again when somebody else was faster. Not here: the
members themselves (`nogg.client.session`) and the socket (`.link`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from nogg.client import requests
from nogg.client.core import Core, Phase
from nogg.client.link import Link
from nogg.client.requests import Request
from nogg.client.signals import Board, Entries, Partial, Unsubscribe
from nogg.client.state import Identity, Reference, SessionState
from nogg.errors import Conflict
from nogg.paths import PathLike

T = TypeVar("T")

#: how often `set` with a function tries again when somebody else was faster
ATTEMPTS = 5


class Shell:
    """One blocking session: its core, its link and its signals; ready when the constructor returns."""

    def __init__(
        self, name: str | None, *, socket: PathLike | None, timeout: float, client: str, reconnect: bool
    ) -> None:
        self.timeout = timeout
        self.core = Core(name, client=client)
        self.board: Board[None] = Board(self)
        self.link = Link(self.core, socket, timeout=timeout, reconnect=reconnect, deliver=self._deliver)
        try:
            self.link.greet(timeout)
        except BaseException:
            self.link.close()
            raise

    def run(self, request: Request[T], timeout: float | None = None) -> T:
        """Make a request and return what it reads from the answer."""
        return request.read(self.link.call(request.method, request.params, self._seconds(timeout)))

    def call(self, method: str, params: Mapping[str, object], timeout: float | None) -> Any:
        """Make any call; the time that a call says it may take itself comes on top."""
        return self.link.call(method, params, self._seconds(timeout) + requests.own_time(params))

    def snapshot(self, timeout: float | None = None) -> tuple[SessionState, int]:
        """Return the state and the session's revision that belongs to it."""
        self.link.follow(self._seconds(timeout))
        with self.link.lock:
            return self.core.mirror.state(), self.core.mirror.revision

    def set(
        self,
        partial: Partial | Callable[[SessionState], Partial],
        if_revision: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Replace the given keys, or those that a function of the state gives, tried again on conflict."""
        if not callable(partial):
            self.run(requests.set_state(partial, if_revision), timeout)
            return
        for attempt in range(1, ATTEMPTS + 1):
            state, revision = self.snapshot(timeout)
            try:
                self.run(requests.set_state(partial(state), revision), timeout)
                return
            except Conflict as conflict:
                if attempt == ATTEMPTS:
                    raise
                self.link.reach(conflict.revision, self._seconds(timeout))

    # What the signals need

    def listen(self) -> None:
        """Follow the daemon and run listeners."""
        self.snapshot()
        self.link.listen()

    def state(self) -> SessionState:
        """Return the state as it is now."""
        return self.snapshot()[0]

    def identity(self) -> Identity:
        """Return the person as it is now."""
        self.snapshot()
        known = self.core.mirror.identity
        return known if known is not None else self.run(requests.identity())

    def is_connected(self) -> bool:
        """Say whether the daemon can be reached."""
        return self.core.phase is Phase.READY

    def is_ready(self) -> bool:
        """Say that there is a session: the constructor has seen to it."""
        return True

    def write_state(self, value: Partial | Callable[[SessionState], Partial]) -> None:
        """Replace the given keys."""
        self.set(value)

    def write_active(self, value: str | Callable[[str | None], str | None] | None) -> None:
        """Replace what is active."""
        self.run(requests.set_active(value(self.state().active) if callable(value) else value))

    def write_microcosms(self, value: Entries | Callable[[Mapping[str, Reference]], Entries]) -> None:
        """Replace all references."""
        if callable(value):
            self.set(lambda state: {"microcosms": value(state.microcosms)})
        else:
            self.set({"microcosms": value})

    def write_identity(self, value: Partial | Callable[[Identity], Partial]) -> None:
        """Change what can be changed about the person."""
        self.run(requests.set_identity(value(self.identity()) if callable(value) else value))

    def _seconds(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout

    def _deliver(self) -> list[Unsubscribe]:
        mirror = self.core.mirror
        return self.board.changed(mirror.state(), mirror.identity)
