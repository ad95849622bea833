"""A pycrdt-websocket server on loopback, in memory. Arguments: the port, and "deflate" or "plain"."""

from __future__ import annotations

import asyncio
import sys

from channel import WebSocketChannel
from pycrdt.websocket import WebsocketServer
from websockets.asyncio.server import ServerConnection, serve


async def main(port: int, compression: str | None) -> None:
    """Serve until terminated."""
    async with WebsocketServer() as rooms:

        async def take(connection: ServerConnection) -> None:
            assert connection.request is not None
            await rooms.serve(WebSocketChannel(connection, connection.request.path))

        async with serve(take, "127.0.0.1", port, compression=compression, max_size=None) as server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), "deflate" if sys.argv[2] == "deflate" else None))
