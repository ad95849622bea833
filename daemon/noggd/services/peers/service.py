"""The other devices: the parts of this service joined, and what the local API asks of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from nogg.errors import StorageFailed
from noggd.core import Core
from noggd.platform.clock import awake_and_asleep, monotonic
from noggd.platform.network import link_local_addresses, local_addresses
from noggd.services.peers.conversation import Conversation, meet
from noggd.services.peers.dialling import Dialler
from noggd.services.peers.links import Links
from noggd.services.peers.listener import Listener, Window
from noggd.services.peers.members import Members
from noggd.services.peers.report import Report
from noggd.services.peers.waiting import wait_until_stored
from noggd.storage.trust import Trust

ROUND: Final = 10.0
"""Seconds between summaries, give or take a fifth."""
LOOK_AT_CLOCK: Final = 1.0
LOOK_AT_ADDRESSES: Final = 1.5
SLEPT: Final = 10.0
"""Seconds that the machine must have slept for all links to be made anew."""
CLOCK_SET: Final = 1000.0
"""Milliseconds by which the clock must jump to be compared anew with those of others."""

Json = dict[str, Any]

log = logging.getLogger(__name__)


class Peers:
    """The links to the person's other devices. Made by `open_peers`."""

    def __init__(
        self, core: Core, trust: Trust, now: Callable[[], int], listen: Sequence[str], window: Window | None
    ) -> None:
        self._core = core
        self._now = now
        self._trust = trust
        self._links = Links(core, trust, now, self.addresses)
        self.listener = Listener(trust, self._links, listen, window)
        self._dialler = Dialler(trust, self._links)
        self._members = Members(core, trust, self._links, self._refresh)
        self._report = Report(core, trust, self._links, self._dialler.faults)
        self.moved: Callable[[], None] = lambda: None
        """Called when the addresses of this machine are others."""
        self._links.changed = core.announce_devices
        self._links.ended = self._dialler.ended
        self._links.learned = self._dialler.hurry

    def _refresh(self) -> None:
        self.listener.refresh()
        self._dialler.update()

    # For pairing

    def addresses(self) -> list[str]:
        """Return where other devices can reach this one."""
        return self.listener.addresses()

    def announced(self) -> list[str]:
        """Return where devices on the same network can reach this one."""
        return self.listener.addresses(link_local=True)

    def refresh_tls(self) -> None:
        """Let TLS follow a pairing window that was opened or closed."""
        self.listener.refresh()

    async def meet(self, addresses: Sequence[str], device: str | None) -> Conversation | None:
        """Connect to a device with an open pairing window; see `conversation.meet`."""
        return await meet(addresses, device)

    async def apply_members(self) -> None:
        """Carry a change of the group into the core now rather than soon."""
        await self._members.apply()

    def dial(self, device: str | None = None) -> None:
        """Dial a device (default: everybody) at once, if it is not linked."""
        self._dialler.hurry(device)

    def found(self, device: str, addresses: Sequence[str]) -> None:
        """Try a member where something on the network claims that it is."""
        self._dialler.found(device, addresses)

    # For the local API

    def devices(self) -> list[Json]:
        """Return the rows of `device.list`."""
        return self._report.devices(self.addresses())

    def status(self) -> Json:
        """Return `sync.status`."""
        return {"listen": str(self.listener.bound[0]), "peers": self._report.peers()}

    async def evict(self, device: str) -> Json:
        """Shut a device out for good. Raises NotPaired, StorageFailed."""
        passwords = self._report.passwords()
        unaware = await self._members.evict(device)
        return {"passwords_to_change": passwords, "unaware": unaware}

    async def leave(self) -> None:
        """Leave the group and keep the data. Raises StorageFailed."""
        await self._members.leave()

    async def wait(
        self, session: str, revision: int, devices: str | Sequence[str], timeout_s: float
    ) -> list[Json]:
        """Wait until devices have stored a revision; see `waiting`."""
        return await wait_until_stored(
            self._core, self._trust, self._links, session, revision, devices, timeout_s
        )

    # Life

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be there for the others while the context lasts."""
        await self.listener.open()
        stop = [
            self._trust.listen(self._members.changed),
            self._core.on_update(self._links.pass_on),
            self._core.listen(self._links.known.mark),
        ]
        self._dialler.update()
        works: list[Coroutine[Any, Any, None]] = [self._members.keep(), self._rounds(), self._watch_clock()]
        if not all(address.loopback for address in self.listener.bound):
            works.append(self._watch_addresses())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for end in stop:
                end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._dialler.close()
            await self._links.close()
            await self.listener.close()

    async def _rounds(self) -> None:
        while True:
            await asyncio.sleep(ROUND * random.uniform(0.8, 1.2))
            await self._links.sum_up()
            with contextlib.suppress(StorageFailed):  # notes only; the next round tries again
                await self._trust.flush()

    async def _watch_clock(self) -> None:
        """Make all links anew after the machine slept: the others gave them up. Notice when the clock is set."""
        while True:
            slept = awake_and_asleep() - monotonic()
            offset = self._now() - awake_and_asleep() * 1000
            await asyncio.sleep(LOOK_AT_CLOCK)
            if awake_and_asleep() - monotonic() - slept > SLEPT:
                log.info("the machine slept: all links are made anew")
                for link in self._links.chosen():
                    link.abort("the machine slept")
                self._dialler.hurry()
            elif abs(self._now() - awake_and_asleep() * 1000 - offset) > CLOCK_SET:
                log.info("the clock of this machine was set")
                for link in self._links.chosen():
                    link.judge_clock()
                    link.say_hello()

    async def _watch_addresses(self) -> None:
        """Give up links at addresses that this machine has no more, and dial anew when it has others."""
        known = [*local_addresses(), *link_local_addresses()]
        while True:
            await asyncio.sleep(LOOK_AT_ADDRESSES)
            former, known = known, [*local_addresses(), *link_local_addresses()]
            if known == former:
                continue
            gone = set(former) - set(known)
            log.info("the addresses of this machine are others now: %s", ", ".join(known) or "none")
            for link in self._links.chosen():
                if str(link.connection.local_address[0]).partition("%")[0] in gone:
                    link.abort("this machine has another address now")
            self._dialler.hurry()
            self.moved()


@asynccontextmanager
async def open_peers(
    core: Core, trust: Trust, now: Callable[[], int], listen: Sequence[str], window: Window | None = None
) -> AsyncIterator[Peers]:
    """Listen, dial the members, and keep the documents equal, until the context ends. Raises OSError.

    `listen` are HOST:PORT texts, `window` is what strangers reach while pairing.
    """
    peers = Peers(core, trust, now, listen, window)
    async with peers.running():
        yield peers
