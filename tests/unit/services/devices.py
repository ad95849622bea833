"""Whole devices in one process: trust, journal, core, links and pairing, over real sockets on 127.0.0.1.

Nothing here sleeps for a time: `until` waits for a condition, looking again whenever the event loop has turned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from noggd.core import Core, open_core
from noggd.core.asking import ask
from noggd.domain.changes import Origin
from noggd.platform.clock import now_ms
from noggd.services.pairing import Pairing, open_pairing
from noggd.services.peers import Peers, open_peers
from noggd.storage.journal import Journal
from noggd.storage.trust import Trust, open_trust

WITHIN = 20.0
"""Seconds after which a condition counts as never true."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(WITHIN):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.002)


class Device:
    """One device; `skew` milliseconds are added to its clock."""

    def __init__(self, name: str, directory: Path, listen: str) -> None:
        self.name = name
        self.directory = directory
        self.listen = listen
        self.skew = 0
        self.told: list[dict[str, Any]] = []
        self.trust: Trust
        self.core: Core
        self.peers: Peers
        self.pairing: Pairing
        self._stack: AsyncExitStack | None = None

    @property
    def id(self) -> str:
        return self.trust.device

    @property
    def address(self) -> str:
        return self.peers.addresses()[0]

    def now(self) -> int:
        return now_ms() + self.skew

    async def start(self) -> None:
        self._stack = stack = AsyncExitStack()
        self.trust = open_trust(self.directory, self.name)
        stack.push_async_callback(self.trust.close)
        journal = Journal(self.directory / "session.db")
        stack.callback(journal.close)
        self.core = await stack.enter_async_context(
            open_core(journal, self.trust.device, self.trust.counted, self.now)
        )
        self.core.identity_id, self.core.aliases = self.trust.group.identity, self.trust.group.aliases
        self.pairing = await stack.enter_async_context(open_pairing(self.core, self.trust, self.now))
        self.pairing.listen(self.told.append)
        self.peers = await stack.enter_async_context(
            open_peers(self.core, self.trust, self.now, [self.listen], self.pairing)
        )
        await self.pairing.attach(self.peers)

    async def stop(self) -> None:
        if self._stack is not None:
            stack, self._stack = self._stack, None
            await stack.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def register(self, microcosm_id: str, **fields: Any) -> None:
        origin = Origin(self.core.device)
        await ask(
            lambda reply: self.core.change(
                "default", lambda session: session.register(self.now(), microcosm_id, **fields), reply, origin
            )
        )

    async def remove(self, microcosm_id: str) -> None:
        origin = Origin(self.core.device)
        await ask(
            lambda reply: self.core.change(
                "default", lambda session: session.remove(self.now(), microcosm_id), reply, origin
            )
        )

    def has(self) -> set[str]:
        return set(self.core.view("default").references)

    def linked(self, *others: Device) -> bool:
        return {row["device"] for row in self.peers.status()["peers"] if row["state"] == "online"} == {
            other.id for other in others
        }

    async def pair(self, other: Device) -> dict[str, Any]:
        """Invite another device, which types the code."""
        invited = await self.pairing.invite(600, None)
        return await other.pairing.join(code=invited["code"], ticket=None, address=self.address)


@asynccontextmanager
async def devices(directory: Path, *names: str, listen: str = "127.0.0.1:0") -> AsyncIterator[list[Device]]:
    """Start devices of these names; they do not know each other."""
    made = []
    for name in names:
        (directory / name).mkdir()
        made.append(Device(name, directory / name, listen))
    try:
        for device in made:
            await device.start()
        yield made
    finally:
        for device in reversed(made):
            await device.stop()


async def paired(*group: Device) -> None:
    """Pair all with the first one, and wait until all are linked."""
    first, *others = group
    for other in others:
        await first.pair(other)
    await until(lambda: all(one.linked(*(d for d in group if d is not one)) for one in group))
