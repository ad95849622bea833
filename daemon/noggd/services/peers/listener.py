"""Where the other devices come in: the sockets, TLS that follows the group, and the gate behind it.

A stranger fails in TLS and gets no byte of HTTP. The gate is the second lock: it looks at who is a member
at this very moment. While a pairing window is open, and only then, TLS lets in clients that show nothing,
and the gate lets them reach `/pair` and nothing else. Not here: what is said on either path.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, Protocol

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from noggd.domain.addresses import MAX_ADDRESSES, Address
from noggd.domain.frames import MAX_FRAME
from noggd.platform import tls
from noggd.platform.config import DEFAULT_LISTEN, parse_address
from noggd.platform.door import Door
from noggd.platform.network import link_local_addresses, local_addresses
from noggd.services.peers.connection import (
    CLOSE_TIMEOUT,
    PING_INTERVAL,
    PING_TIMEOUT,
    IncomingConnection,
    limit_messages,
)
from noggd.services.peers.conversation import PAIR_PATH, Conversation
from noggd.services.peers.dialling import SYNC_PATH, quiet
from noggd.services.peers.links import Links
from noggd.storage.trust import Trust

MAX_PAIR_MESSAGE: Final = 16 * 1024
OPEN_TIMEOUT: Final = 5.0
"""Seconds for TLS, and again for the request behind it."""

log = logging.getLogger(__name__)


class Window(Protocol):
    """What the listener needs of pairing: whether a window is open, and who talks to those who come in by it."""

    @property
    def is_open(self) -> bool:
        """Whether strangers may come in now."""

    async def answer(self, stranger: Conversation) -> None:
        """Talk to a stranger; the connection ends when this returns."""


class Listener:
    """The listening sockets. `listen` are HOST:PORT texts; port 0 takes any free one and keeps to it."""

    def __init__(self, trust: Trust, links: Links, listen: Sequence[str], window: Window | None) -> None:
        self.door = Door()
        self.bound: list[Address] = []
        self._trust = trust
        self._links = links
        self._listen = listen
        self._window = window
        self._servers: list[Server] = []
        self.context = tls.LiveContext(self._build_context)

    def _build_context(self, audit: tls.Audit) -> ssl.SSLContext:
        trusted = [certificate.der for certificate in self._trust.others.values()]
        return tls.server_context(self._trust.key.path, trusted, audit, anonymous=self._pairing)

    @property
    def _pairing(self) -> bool:
        return self._window is not None and self._window.is_open

    def refresh(self) -> None:
        """Let TLS follow the group and the pairing window."""
        self.context.refresh()

    # Sockets

    async def open(self) -> None:
        """Take the addresses and begin to accept. Raises OSError if none of them can be taken."""
        sockets, failures = [], []
        for text in self._listen:
            host, port = parse_address(text)
            try:
                sockets.append(self._take(host, port))
            except OSError as error:
                log.warning("cannot listen on %s: %s", text, error.strerror or error)
                failures.append(error)
        if not sockets and self._may_move(failures):
            log.warning("all of the usual addresses are taken: another port will do")
            sockets = [self._take(parse_address(text)[0], 0) for text in self._listen[-1:]]
        if not sockets:
            raise failures[0]
        for listening in sockets:
            self._servers.append(await self._serve(listening))
        if any(parse_address(text)[1] == 0 for text in self._listen):
            await self._trust.note_port(self.bound[0].port)

    def _may_move(self, failures: list[OSError]) -> bool:
        """Say whether nobody named these addresses, and others just came first."""
        in_use = any(failure.errno == errno.EADDRINUSE for failure in failures)
        return in_use and tuple(self._listen) == DEFAULT_LISTEN

    def _take(self, host: str, port: int) -> socket.socket:
        """Bind an address; port 0 means the port that was taken before, or for another address, if it is free."""
        former = next((bound.port for bound in self.bound), self._trust.state.port) if port == 0 else port
        try:
            listening = self.door.listen(host, former or 0)
        except OSError:
            if port != 0 or not former:
                raise
            listening = self.door.listen(host, 0)
        self.bound.append(Address(host, listening.getsockname()[1]))
        return listening

    async def _serve(self, listening: socket.socket) -> Server:
        return await serve(
            self._handle,
            sock=listening,
            ssl=self.context,
            ssl_handshake_timeout=OPEN_TIMEOUT,
            ssl_shutdown_timeout=CLOSE_TIMEOUT,
            process_request=self._gate,
            create_connection=IncomingConnection,
            compression=None,
            server_header=None,
            open_timeout=OPEN_TIMEOUT,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_TIMEOUT,
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_PAIR_MESSAGE,
            logger=quiet,
        )

    async def close(self) -> None:
        """Accept nobody more, and wait until everybody who is in has gone."""
        self.door.shut()
        await asyncio.sleep(
            0
        )  # asyncio must have begun with what it accepted: closing under it leaks a socket
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        for server in self._servers:
            await server.wait_closed()

    def addresses(self, *, link_local: bool = False) -> list[str]:
        """Return where other devices can reach this one; with `link_local` also those on the same network only."""
        found: dict[str, None] = {}
        for host, port in self.bound:
            hosts = [host]
            if Address(host, port).wildcard:
                version = ":" in host
                known = [*local_addresses(), *(link_local_addresses() if link_local else ())]
                hosts = [local for local in known if (":" in local) is version]
            found.update(dict.fromkeys(str(Address(each, port)) for each in hosts))
        return sorted(found, key=lambda address: address.startswith("["))[:MAX_ADDRESSES]

    # Connections

    async def _gate(self, connection: ServerConnection, request: Request) -> Response | None:
        """Let in members, and during pairing strangers to `/pair`; hang up on everybody else without a word.

        A member that is kept out for a while is told so, or it would take itself for evicted.
        """
        assert isinstance(connection, IncomingConnection)
        shown = connection.peer_certificate
        if shown is None:
            allowed = self._pairing and request.path == PAIR_PATH and tls.speaks_ours(connection.transport)
        else:
            connection.device = self._device_of(shown)
            allowed = connection.device is not None and request.path == SYNC_PATH
            if allowed and self._links.conduct.kept_out(connection.device or ""):
                return connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "")
        if not allowed:
            connection.transport.abort()
            await connection.wait_closed()
            return None
        self.door.leave(connection.remote_address)
        if shown is not None:
            limit_messages(connection, MAX_FRAME)
        return None

    def _device_of(self, shown: bytes) -> str | None:
        return next((d for d, known in self._trust.others.items() if known.der == shown), None)

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, IncomingConnection)
        try:
            if connection.device is not None:
                host, port = connection.remote_address[:2]
                address = str(Address(host, port))
                await self._links.serve(connection, connection.device, dialled=False, address=address)
            elif self._window is not None:
                await self._window.answer(Conversation(connection))
        except Exception:
            log.exception("a connection failed")
        finally:
            if connection.device is not None:
                connection.transport.abort()
