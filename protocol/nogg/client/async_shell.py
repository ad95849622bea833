"""The asyncio shell: what an `AsyncSession` does behind its members; the counterpart of `nogg.client.shell`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from nogg.client import requests
from nogg.client.async_link import AsyncLink
from nogg.client.core import Core, Phase
from nogg.client.requests import Request
from nogg.client.shell import ATTEMPTS
from nogg.client.signals import Board, Entries, Partial, Unsubscribe
from nogg.client.state import Identity, Reference, SessionState
from nogg.errors import Conflict, NotRunning
from nogg.paths import PathLike

T = TypeVar("T")


class AsyncShell:
    """One session within the running loop: its core, its link and its signals."""

    def __init__(
        self, name: str | None, *, socket: PathLike | None, timeout: float, client: str, reconnect: bool
    ) -> None:
        self.timeout = timeout
        self.core = Core(name, client=client)
        self.board: Board[Awaitable[None]] = Board(self)
        self.link = AsyncLink(self.core, socket, reconnect=reconnect, deliver=self._deliver)

    async def open(self) -> None:
        """Connect and get the first state."""
        try:
            await self.link.open(self.timeout)
        except BaseException:
            await self.link.close()
            raise

    async def run(self, request: Request[T]) -> T:
        """Make a request and return what it reads from the answer."""
        return request.read(await self.link.call(request.method, request.params, self.timeout))

    async def call(self, method: str, params: Mapping[str, object]) -> Any:
        """Make any call; the time that a call says it may take itself comes on top."""
        return await self.link.call(method, params, self.timeout + requests.own_time(params))

    async def set(
        self,
        partial: Partial | Callable[[SessionState], Partial],
        if_revision: int | None = None,
    ) -> None:
        """Replace the given keys, or those that a function of the state gives, tried again on conflict."""
        if not callable(partial):
            await self.run(requests.set_state(partial, if_revision))
            return
        for attempt in range(1, ATTEMPTS + 1):
            state, revision = self.state(), self.core.mirror.revision
            try:
                await self.run(requests.set_state(partial(state), revision))
                return
            except Conflict as conflict:
                if attempt == ATTEMPTS:
                    raise
                await self.link.reach(conflict.revision, self.timeout)

    # What the signals need

    def listen(self) -> None:
        """Do nothing: an open session follows the daemon anyhow."""

    def state(self) -> SessionState:
        """Return the state as it is now; raises `NotRunning` before the session was opened."""
        if self.core.mirror.epoch is None:
            raise NotRunning("this session was not opened yet", hint="use `async with`, or await open()")
        return self.core.mirror.state()

    def identity(self) -> Identity:
        """Return the person as it is now."""
        self.state()
        known = self.core.mirror.identity
        if known is None:
            raise NotRunning("the daemon did not say who the person is")
        return known

    def is_connected(self) -> bool:
        """Say whether the daemon can be reached."""
        return self.core.phase is Phase.READY

    def is_ready(self) -> bool:
        """Say whether there has been a state to read."""
        return self.core.mirror.epoch is not None

    def write_state(self, value: Partial | Callable[[SessionState], Partial]) -> Awaitable[None]:
        """Replace the given keys."""
        return self.set(value)

    def write_active(self, value: str | Callable[[str | None], str | None] | None) -> Awaitable[None]:
        """Replace what is active."""
        return self.run(requests.set_active(value(self.state().active) if callable(value) else value))

    def write_microcosms(
        self, value: Entries | Callable[[Mapping[str, Reference]], Entries]
    ) -> Awaitable[None]:
        """Replace all references."""
        if callable(value):
            return self.set(lambda state: {"microcosms": value(state.microcosms)})
        return self.set({"microcosms": value})

    def write_identity(self, value: Partial | Callable[[Identity], Partial]) -> Awaitable[None]:
        """Change what can be changed about the person."""
        return self.run(requests.set_identity(value(self.identity()) if callable(value) else value))

    def _deliver(self) -> list[Unsubscribe]:
        mirror = self.core.mirror
        return self.board.changed(mirror.state(), mirror.identity)
