"""A local API in this process: real sockets, the real core and journal; its neighbours are puppets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import NoggError, Timeout, from_wire
from nogg.methods import METHODS, NOTIFICATIONS
from noggd.core import Core, open_core
from noggd.platform.clock import now_ms
from noggd.platform.unix_socket import ListeningSocket
from noggd.services.local_api import Parts, Server, listen
from noggd.storage.journal import Journal

DEVICE = "THISONE"
PATIENCE = 10.0  # seconds; reached only by a test that fails


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event announces to a test."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)


class Busy:
    """Counts how many calls are in something."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


class FakePairing:
    """Pairs at once, or when it is let."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.gate = asyncio.Event()
        self.busy = Busy()

    async def invite(self, ttl_s: float, addresses: Sequence[str] | None) -> dict[str, Any]:
        return {
            "code": "7-a-b-c",
            "ticket": "t",
            "expires_at": int(ttl_s),
            "addresses": list(addresses or []),
        }

    async def join(self, *, code: str | None, ticket: str | None, address: str | None) -> dict[str, Any]:
        with self.busy:
            await self.gate.wait()
        return {"device": {"id": "OTHER", "name": str(code)}, "merged": {"sessions": 1, "references": 2}}

    async def cancel(self) -> None:
        self.tell({"state": "closed"})

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, params: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener(params)


class FakePeers:
    """One device and nobody else; `wait` waits until it is let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.busy = Busy()
        self.left = False

    def devices(self) -> list[dict[str, Any]]:
        row = {"id": DEVICE, "name": "here", "self": True, "state": "online"}
        return [{**row, "address": None, "last_seen": None, "active": None}]

    def status(self) -> dict[str, Any]:
        return {"listen": "127.0.0.1:1", "peers": []}

    async def evict(self, device: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"passwords_to_change": [], "unaware": [device]}

    async def leave(self) -> None:
        self.left = True

    async def wait(
        self, session: str, revision: int, devices: str | Sequence[str], timeout_s: float
    ) -> list[dict[str, Any]]:
        try:
            with self.busy:
                await asyncio.wait_for(self.gate.wait(), timeout_s)
        except TimeoutError:
            raise Timeout(synced=[]) from None
        return [{"device": "OTHER", "at": revision}]


class FakeHouse:
    """Knows nothing but how to be stopped."""

    def __init__(self) -> None:
        self.stopped = False

    def status(self) -> dict[str, Any]:
        raise RuntimeError("a fault of the daemon's own")

    async def doctor(self) -> list[dict[str, Any]]:
        return [{"name": "disk", "ok": True, "message": "fine", "fix": None}]

    def metrics(self) -> dict[str, tuple[str, str, float]]:
        return {"nogg_connections": ("gauge", "Connections of apps.", 1.0)}

    def stop(self) -> None:
        self.stopped = True


class App:
    """A client that reads line by line, and checks every result against its declaration."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.told: list[dict[str, Any]] = []
        self._last = 0

    def send(self, method: str, /, **params: object) -> int:
        self._last += 1
        self.raw({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        return self._last

    def raw(self, message: object) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.writer.write(line + b"\n")

    async def line(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            line = await self.reader.readline()
        if not line:
            raise EOFError
        message: dict[str, Any] = json.loads(line)
        return message

    async def reply(self) -> dict[str, Any]:
        """The next reply; notifications before it are kept in `told`."""
        while "method" in (message := await self.line()):
            self._keep(message)
        return message

    async def call(self, method: str, /, **params: object) -> Any:
        number = self.send(method, **params)
        reply = await self.reply()
        assert reply["id"] == number
        if "error" in reply:
            raise from_wire(reply["error"])
        METHODS[method].check_result(reply["result"])
        return reply["result"]

    async def refused(self, method: str, /, **params: object) -> NoggError:
        with pytest.raises(NoggError) as error:
            await self.call(method, **params)
        return error.value

    async def notification(self) -> dict[str, Any]:
        while not self.told:
            message = await self.line()
            assert "method" in message, message
            self._keep(message)
        return self.told.pop(0)

    def _keep(self, message: dict[str, Any]) -> None:
        NOTIFICATIONS[message["method"]].check(message["params"])
        self.told.append({"method": message["method"], **message["params"]})

    async def quiet(self) -> None:
        """Assert that nothing was told: a call's reply is the next thing that comes."""
        await self.call("session.keys")
        assert self.told == []


class House:
    """Everything of one daemon in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "s"
        self.pairing = FakePairing()
        self.peers = FakePeers()
        self.house = FakeHouse()
        self.server: Server
        self.core: Core
        self._apps = AsyncExitStack()

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """The sockets are there, the store is not."""
        listening = ListeningSocket(self.path)
        about = {"daemon": {"name": "noggd", "version": "0"}, "device": {"id": DEVICE, "name": "here"}}
        async with listen([listening.socket], lambda: {**about, "epoch": self.epoch()}) as self.server:
            yield
        await self._apps.aclose()
        listening.close()

    def epoch(self) -> str:
        return self.core.epoch if hasattr(self, "core") else "loading"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        journal = Journal(self.folder / "store.db")
        async with open_core(journal, DEVICE, None, now_ms) as self.core:
            self.core.identity_id = "identity_" + "x" * 36
            async with self.server.serving(Parts(self.core, self.pairing, self.peers, self.house)):
                yield
        journal.close()

    def store_files(self) -> list[Path]:
        return list(self.folder.glob("store.db*"))

    async def app(self) -> App:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 26)
        self._apps.callback(writer.close)
        return App(reader, writer)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    async with house.started(), house.serving():
        yield house


@pytest.fixture
async def app(house: House) -> App:
    return await house.app()
