"""The asyncio shell's input and output: one transport, and a task that brings it back.

Here: `AsyncLink`, which keeps a `Core` talking to the daemon within the running loop. Not here: what is said
(`nogg.client.core`), and the blocking counterpart (`.link`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from nogg.blocking import connect
from nogg.client.backoff import Backoff
from nogg.client.core import Core, Phase
from nogg.errors import ConnectionLost, Disposed, NoggError, NotRunning, ProtocolError, Timeout
from nogg.paths import PathLike

_BUSY = 0.01  # seconds between attempts to reach a daemon that is busy


class AsyncLink(asyncio.Protocol):
    """Keeps `core` connected once it was opened; `deliver` returns what is to be called when the core changed."""

    def __init__(
        self,
        core: Core,
        path: PathLike | None,
        *,
        reconnect: bool,
        deliver: Callable[[], list[Callable[[], None]]],
    ) -> None:
        self.core = core
        self._path = path
        self._reconnect = reconnect
        self._deliver = deliver
        self._backoff = Backoff(random.random)
        self._transport: asyncio.Transport | None = None
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._retry: asyncio.Task[None] | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._delivery: asyncio.Handle | None = None
        self._closed: asyncio.Future[None] | None = None
        self._disposed = False

    # What callers do

    async def open(self, seconds: float) -> None:
        """Connect, and wait until the mirror is there. Raises `NotRunning` if nobody listens."""
        self.core.subscribe()
        if self._transport is None:
            await self._connect_first(asyncio.get_running_loop().time() + seconds)
        if not await self.until(lambda: self.core.mirrored or self._cannot, seconds):
            raise self._late(f"the session was not told within {seconds:g} s")
        fault = self.core.fatal or self.core.trouble
        if fault is not None:
            raise fault

    async def call(self, method: str, params: Mapping[str, object], seconds: float) -> object:
        """Make a call and return its result, seen in the mirror; all within so many seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        call = self.core.call(method, params)
        self._flush()
        try:
            if not await self.until(lambda: call.done, seconds):
                raise self._late(f"{method} was not answered within {seconds:g} s")
        except BaseException:
            self.core.forget(call)
            raise
        result = call.outcome()
        if call.revision and self.core.mirrored:
            await self.reach(call.revision, deadline - loop.time())
        return result

    async def reach(self, revision: int, seconds: float) -> None:
        """Wait until the mirror has seen a revision, but no longer than so many seconds."""
        await self.until(lambda: self.core.mirror.revision >= revision or not self.core.mirrored, seconds)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition` is true; False if the time is over first."""
        if condition():
            return True
        waiter = condition, asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter[1]
        except TimeoutError:
            return condition()
        finally:
            self._waiting.remove(waiter)
        return True

    async def close(self) -> None:
        """Close the connection; open calls fail with `Disposed`. Doing it twice is fine."""
        self._disposed = True
        self.core.fail(Disposed())
        if self._retry is not None:
            self._retry.cancel()
        if self._wake is not None:
            self._wake.cancel()
        if self._delivery is not None:
            self._delivery.cancel()
        transport, self._transport = self._transport, None
        self._settle()
        if transport is not None and self._closed is not None:
            transport.abort()
            await self._closed

    # What the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the conversation."""
        assert isinstance(transport, asyncio.Transport)
        if self._disposed:
            transport.abort()
            return
        self._closed = asyncio.get_running_loop().create_future()
        self._transport = transport
        self.core.connected()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take what the daemon says."""
        if self._transport is None:
            return
        try:
            self.core.receive(data)
        except ProtocolError:  # what makes no sense is as good as no connection
            self._transport.abort()
            return
        if self.core.phase is Phase.READY:
            self._backoff.reset()
        if self.core.wake_in is not None and self._wake is None:
            self._wake = asyncio.get_running_loop().call_later(self.core.wake_in, self._woken)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection, and come back."""
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        if self._transport is None:  # it was us
            return
        self._transport = None
        self.core.lost()
        if not self._reconnect:
            self.core.fail(ConnectionLost())
        if self.core.fatal is None:
            self._retry = asyncio.get_running_loop().create_task(self._come_back(), name="nogg reconnect")
        self._settle()

    # Inside

    @property
    def _cannot(self) -> bool:
        return self.core.fatal is not None or self.core.trouble is not None

    async def _connect_first(self, deadline: float) -> None:
        while True:
            try:
                await self._connect()
            except Timeout:  # it lives, and is busy
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(_BUSY)
            else:
                return

    async def _connect(self) -> None:
        opened = connect(self._path, 0)[0]  # a local socket answers at once or not at all
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=opened)

    async def _come_back(self) -> None:
        while self.core.fatal is None:
            await asyncio.sleep(self._backoff.next())
            try:
                await self._connect()
            except NoggError:
                continue
            return

    def _woken(self) -> None:
        self._wake = None
        self.core.wake()
        self._flush()

    def _flush(self) -> None:
        data = self.core.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)
        self._settle()

    def _settle(self) -> None:
        """Wake who waits for what is now the case, and have listeners called if something changed."""
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)
        if self.core.changed and self._delivery is None and not self._disposed:
            self._delivery = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._delivery = None
        self.core.changed = False
        for tell in self._deliver():
            tell()

    def _late(self, message: str) -> NoggError:
        if self._transport is None:
            return NotRunning("the daemon went away and did not come back in time")
        return Timeout(message)
