"""What attackers do: raw TCP and TLS to a device's port, WebSocket upgrades by hand, a man in the middle."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from noggd.domain.addresses import parse_address
from noggd.platform import tls
from noggd.storage.keys import DeviceKey


def upgrade(path: str) -> bytes:
    """The request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def hears(
    address: str,
    context: ssl.SSLContext | None,
    *said: bytes,
    enough: bytes | None = None,
    within: float = 30.0,
) -> bytes:
    """Connect, say something, and return every byte that comes back, past TLS, until the other side hangs up.

    What is said after the first is said once something was heard. With `enough`, stop when that was heard.
    """
    host, port = parse_address(address)
    first, *later = said
    async with asyncio.timeout(within):
        heard = b""
        try:
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname="" if context else None
            )
        except (ssl.SSLError, ConnectionError):
            return heard
        with suppress(ssl.SSLError, ConnectionError):
            writer.write(first)
            await writer.drain()
            while chunk := await reader.read(4096):
                heard += chunk
                if enough is not None and enough in heard:
                    break
                for message in later:
                    writer.write(message)
                later.clear()
        writer.transport.abort()
        return heard


def as_device(own: Path, server: bytes | None = None) -> ssl.SSLContext:
    """A client that shows a certificate and takes any server (or just one)."""
    context = tls.client_context(own, server) if server is not None else tls.stranger_context()
    if server is None:
        context.load_cert_chain(own)
    return context


class Middle:
    """Mallory between two devices: owns both connections, relays what was decrypted, and counts it.

    `key` is shown to who dials. With `blind`, bytes are passed on as they are, TLS and all.
    """

    def __init__(self, key: DeviceKey | None, target: str, *, blind: bool = False) -> None:
        self.key = key
        self.target = target
        self.blind = blind
        self.read = 0
        self.address = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Middle]:
        context = None
        if not self.blind:
            assert self.key is not None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.key.path)
            context.set_alpn_protocols([tls.PROTOCOL])
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=context)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = parse_address(self.target)
        context = None if self.blind else tls.stranger_context()
        try:
            far_reader, far_writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname="" if context else None
            )
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                self.read += len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()
