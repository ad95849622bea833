"""A WebSocket as pycrdt's providers and rooms want it; they bring none for the websockets library."""

from __future__ import annotations

from pycrdt import Channel
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed


class WebSocketChannel(Channel):
    """One connection, as a stream of messages."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    @property
    def path(self) -> str:
        """The room."""
        return self._path

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, message: bytes) -> None:
        """Send a message."""
        await self._connection.send(message)

    async def recv(self) -> bytes:
        """Return the next message."""
        data = await self._connection.recv()
        assert isinstance(data, bytes)
        return data
