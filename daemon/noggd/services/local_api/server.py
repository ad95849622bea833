"""The local API as a service: its sockets, its connections, and what they may call at which time.

    listen: starting ── serving: everything ── left: what was accepted is finished ── left: closed

While starting, only `hello` is carried out; while stopping, nothing new is. Nothing here knows a method.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from nogg.errors import ShuttingDown, Starting
from noggd.domain.changes import Change, DevicesChange, EpochChange, IdentityChange
from noggd.platform.limits import is_scarce
from noggd.platform.unix_socket import peer_uid
from noggd.services.local_api.caller import Parts
from noggd.services.local_api.calls import Table, refusing, table
from noggd.services.local_api.connection import Connection
from noggd.services.local_api.methods import HANDLERS
from noggd.services.local_api.methods.daemon import HELLO
from noggd.services.local_api.methods.identity import identity_of
from noggd.services.local_api.ports import Json
from noggd.services.local_api.subscriptions import Hub, notification

DRAIN = 3.0
"""Seconds at the end for what was accepted to be finished and answered (contract: stopped within 5)."""

GOODBYE = 0.5
"""Seconds for the last bytes to be read before connections are dropped."""

log = logging.getLogger(__name__)


class Server:
    """All connections of apps."""

    def __init__(self, about: Callable[[], Json]) -> None:
        self.hub = Hub()
        self.connections: dict[Connection, None] = {}
        self.parts: Parts | None = None
        self.table: Table = refusing(Starting, but=[HELLO])
        self.stopping = False
        self.closed = False
        self.stirred = asyncio.Event()
        self._about = about
        self._allowed = {os.geteuid(), 0}
        self.acceptors: list[asyncio.Server] = []

    def about(self) -> Json:
        """Return what `hello` says about the daemon."""
        return {**self._about(), "ready": self.parts is not None}

    def is_full(self, transport: asyncio.BaseTransport) -> bool:
        """Tell whether a newcomer must go at once, without a word: to wait until it is read takes descriptors."""
        full = is_scarce(transport.get_extra_info("socket").fileno())
        if full:
            log.warning("hung up on an app: too many connections are open")
        return full

    def welcomes(self, transport: asyncio.BaseTransport) -> bool:
        """Tell whether the other end is the daemon's own user, or root."""
        # asked from the kernel on a descriptor of our own: what loops hand out is not always a whole socket
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as connected:
            uid = peer_uid(connected)
        if uid not in self._allowed:
            log.warning("refused a connection of user %d", uid)
        return uid in self._allowed

    @asynccontextmanager
    async def serving(self, parts: Parts) -> AsyncIterator[None]:
        """Serve everything; on exit accept nothing more, and wait until what was accepted is answered."""
        self.parts = parts
        for connection in self.connections:
            connection.caller.equip(parts)
        self.table = table(HANDLERS)
        unlisten = [parts.core.listen(self._changed), parts.pairing.listen(self._paired)]
        try:
            yield
        finally:
            self._refuse_new()
            for connection in self.connections:
                connection.pipeline.stop_waiting()
            await self._until(lambda: all(connection.at_rest for connection in self.connections), DRAIN)
            for end in unlisten:
                end()

    def _refuse_new(self) -> None:
        self.stopping = True
        self.table = refusing(ShuttingDown, but=[HELLO])
        for acceptor in self.acceptors:
            acceptor.close()

    def _changed(self, change: Change | IdentityChange | DevicesChange | EpochChange) -> None:
        assert self.parts is not None, "nothing changes before we listen"
        if isinstance(change, Change):
            self.hub.changed(change)
        elif isinstance(change, IdentityChange):
            params = {"identity": identity_of(self.parts.core)}
            self.hub.news("identity", "identity.changed", params, self.hub.outlets("identity"))
        elif isinstance(change, EpochChange):
            self.hub.start_again()
        elif outlets := self.hub.outlets("devices"):
            self.hub.news("devices", "device.changed", {"devices": self.parts.peers.devices()}, outlets)

    def _paired(self, params: Json) -> None:
        self.hub.news("pair", "pair.changed", params, self.hub.outlets())

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition on the connections, which stir when something about them changes."""
        try:
            async with asyncio.timeout(seconds):
                while not done():
                    self.stirred.clear()
                    await self.stirred.wait()
        except TimeoutError:
            log.warning("not every connection came to rest within %g s", seconds)

    async def close(self) -> None:
        """Say goodbye and end all connections, also those that do not listen."""
        self.closed = True
        self._refuse_new()
        await _rounds()
        line = notification("daemon.stopping", {})
        for connection in list(self.connections):
            connection.goodbye(line)
        await self._until(lambda: not self.connections, GOODBYE)
        for connection in list(self.connections):
            connection.abort()
        await _rounds()


async def _rounds() -> None:
    """Let the loop end what it has begun: what was accepted is made a connection, what was dropped is told."""
    for _ in range(4):
        await asyncio.sleep(0)


@asynccontextmanager
async def listen(sockets: Iterable[socket.socket], about: Callable[[], Json]) -> AsyncIterator[Server]:
    """Accept apps on these bound sockets; only `hello` is carried out until `Server.serving` is entered.

    The sockets' names stay what they are: they belong to systemd, or to whoever bound them.
    """
    server = Server(about)
    loop = asyncio.get_running_loop()
    keep_name: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
    for each in sockets:
        acceptor = await loop.create_unix_server(lambda: Connection(server), sock=each, **keep_name)
        server.acceptors.append(acceptor)
    try:
        yield server
    finally:
        await server.close()
