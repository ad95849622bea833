"""pycrdt-websocket: clients of one server. Arguments: its ws:// address, and "deflate" or "plain".

The same runs, driven by the same lines of JSON, as driver.mjs has for the peers in Node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from channel import WebSocketChannel
from pycrdt import Doc, Map, MapEvent, Provider
from websockets.asyncio.client import ClientConnection, connect

LIMIT_S = 120
ADDRESS, COMPRESSION = sys.argv[1], "deflate" if sys.argv[2] == "deflate" else None


class CountingConnection(ClientConnection):
    """Counts the bytes that all clients have received."""

    received = 0

    def data_received(self, data: bytes) -> None:
        """Count and pass on."""
        CountingConnection.received += len(data)
        super().data_received(data)


class Client:
    """One document, connected to the room of its name."""

    def __init__(self, room: str) -> None:
        self._room = room
        self._doc: Doc[Map[Any]] = Doc()
        self._map = self._doc.get("microcosms", type=Map)
        self._left = 0
        self._there = asyncio.Event()
        self._map.observe(self._look)
        self._stack = contextlib.AsyncExitStack()

    def _look(self, event: MapEvent) -> None:
        self._left -= len(event.keys)  # type: ignore[attr-defined] # its type stub lacks it
        if self._left <= 0:
            self._there.set()

    async def start(self) -> Client:
        """Connect and begin to synchronize."""
        address = f"{ADDRESS}/{self._room}"
        made = connect(
            address,
            compression=COMPRESSION,
            max_size=None,
            proxy=None,
            create_connection=CountingConnection,
        )
        connection = await self._stack.enter_async_context(made)
        self._provider = Provider(self._doc, WebSocketChannel(connection, self._room))
        self._task = asyncio.create_task(self._provider.start())
        return self

    async def synced(self) -> Client:
        """Return when the room's state is here."""
        await self._provider.synced.wait()
        return self

    def set(self, numbers: Iterable[int]) -> None:
        """Write what noggd stores for a reference, as one entry of one map each: about 115 bytes."""
        with self._doc.transaction():
            for number in numbers:
                name = f"bench.{number:016}"
                self._map[name] = {
                    "microcosmID": name,
                    "lastAccessed": time.time_ns() // 1_000_000,
                    "password": None,
                    "view": "spatial",
                }

    def expect(self, n: int) -> asyncio.Event:
        """Return what is set once `n` more entries have come from others."""
        self._left = n
        self._there = asyncio.Event()
        return self._there

    async def close(self) -> None:
        """Disconnect."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task
        await self._stack.aclose()


class Runs:
    """What can be asked for; as in driver.mjs."""

    def __init__(self) -> None:
        self._serial = 0
        self._pair: list[Client] = []
        self._stays: list[Client] = []

    async def _several(self, room: str, n: int) -> list[Client]:
        return [await (await Client(room).start()).synced() for _ in range(n)]

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    async def latency(self, n: int, clients: int) -> dict[str, object]:
        """One entry set on A until B has it, one after the other."""
        self._pair = self._pair or await self._several("pair", 2)
        a, b = self._pair
        times = []
        for _ in range(n):
            start = time.perf_counter_ns()
            there = b.expect(1)
            a.set([self._next()])
            await there.wait()
            times.append((time.perf_counter_ns() - start) / 1e6)
        return {"times_ms": times}

    async def stream(self, n: int, clients: int) -> dict[str, object]:
        """`n` entries, each its own transaction, as fast as possible, until B has all."""
        a, b = await self._several(f"stream{self._next()}", 2)
        start = time.perf_counter()
        there = b.expect(n)
        for i in range(n):
            a.set([self._next()])
            if i % 100 == 99:
                await asyncio.sleep(0)  # let it be sent, or B stands still until all are written
        await there.wait()
        seconds = time.perf_counter() - start
        for client in (a, b):
            await client.close()
        return {"seconds": seconds}

    async def fanout(self, n: int, clients: int) -> dict[str, object]:
        """One entry until the last of `clients` others has it."""
        writer, *readers = everyone = await self._several(f"fanout{self._next()}", clients + 1)
        times = []
        for _ in range(n):
            start = time.perf_counter_ns()
            waiting = [reader.expect(1) for reader in readers]
            writer.set([self._next()])
            for there in waiting:
                await there.wait()
            times.append((time.perf_counter_ns() - start) / 1e6)
            await asyncio.sleep(0.005)
        for client in everyone:
            await client.close()
        return {"times_ms": times}

    async def fill(self, n: int, clients: int) -> dict[str, object]:
        """`n` entries that a client and the server hold, for the joins that follow."""
        self._stays = await self._several("join", 2)
        there = self._stays[1].expect(n)
        for i in range(0, n, 1000):
            self._stays[0].set(range(i, min(n, i + 1000)))
            await asyncio.sleep(0)  # let it be sent
        await there.wait()
        await self._stays.pop().close()
        return {"seconds": 0}

    async def join(self, n: int, clients: int) -> dict[str, object]:
        """Open a fresh client of the filled room, until it has all `n`."""
        before = CountingConnection.received
        start = time.perf_counter()
        client = Client("join")
        there = client.expect(n)
        await client.start()
        await there.wait()
        seconds = time.perf_counter() - start
        await client.close()
        return {"seconds": seconds, "bytes": CountingConnection.received - before}


async def main() -> None:
    """Carry out runs until stdin ends."""
    runs = Runs()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        asked = json.loads(line)
        try:
            async with asyncio.timeout(LIMIT_S):
                found = await getattr(runs, asked["run"])(asked["n"], asked["clients"])
        except TimeoutError:
            found = {"error": f"{asked['run']} did not end in {LIMIT_S} s"}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
