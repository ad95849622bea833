"""When to announce and to listen, and who is told of what was heard.

A device that is alone and shows no code is silent. Multicast begins with a second member, an open window or the
wish to find one, and begins anew whenever that which it says has changed: a day, an address, a code's number.
Not here: multicast itself (`.radio`), and what is done with an address (`noggd.app` joins that).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

from noggd.services.discovery.announcement import (
    DAY_MS,
    Announcement,
    announce,
    interfaces,
    recognise,
    tag,
)
from noggd.services.discovery.radio import Radio
from noggd.storage.trust import Trust

LOCATE: Final = 6.0
"""Seconds in which a window must be heard of."""
LOCATE_MORE: Final = 0.7
"""Seconds for which others may claim the same number after that."""
RETRY: Final = 30.0
"""Seconds until multicast is tried again on a machine that could not."""

log = logging.getLogger(__name__)

Found = Callable[[str, Sequence[str]], None]


class Surroundings(NamedTuple):
    """What discovery reads of the rest: our addresses, our window's number; and whom it tells of a member's."""

    addresses: Callable[[], list[str]]
    number: Callable[[], int | None]
    found: Found


class Plan(NamedTuple):
    """How multicast shall be: what is announced, and on the interfaces with which addresses."""

    announcement: Announcement | None
    interfaces: tuple[str, ...]


class Discovery:
    """Finds and is found while `running`. `now` gives Unix milliseconds."""

    def __init__(
        self, trust: Trust, now: Callable[[], int], radio: Callable[[Callable[[], None]], Radio] = Radio
    ) -> None:
        self._trust = trust
        self._now = now
        self._make_radio = radio
        self._around: Surroundings | None = None
        self._radio: Radio | None = None
        self._plan: Plan | None = None
        self._locating = 0
        self._due = asyncio.Event()
        self._news = asyncio.Event()

    @asynccontextmanager
    async def running(self, around: Surroundings) -> AsyncIterator[None]:
        """Find and be found while the context lasts."""
        self._around = around
        task = asyncio.create_task(self._keep(), name="discovery")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._silence()

    def renew(self) -> None:
        """Look again at what is to be announced: the group, an address or a window is another."""
        self._due.set()
        self._tell()

    async def locate(self, number: int) -> list[list[str]]:
        """Return the addresses of each device on the network that announces a window of this number."""
        self._locating += 1
        self._due.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOCATE):
                    while not self._windows(number):
                        self._news.clear()
                        await self._news.wait()
                    await asyncio.sleep(LOCATE_MORE)
            return self._windows(number)
        finally:
            self._locating -= 1
            self._due.set()

    def _windows(self, number: int) -> list[list[str]]:
        sightings = self._radio.sightings.values() if self._radio is not None else ()
        found = dict.fromkeys(each.addresses for each in sightings if each.number == number)
        return [list(addresses) for addresses in found]

    # Keeping to a plan

    async def _keep(self) -> None:
        """Follow the plan as it changes, for ever."""
        while True:
            self._due.clear()
            try:
                wait = DAY_MS - self._now() % DAY_MS  # the tag is another one tomorrow
                await self._follow(self._wanted())
            except OSError as error:
                log.warning("cannot look for devices on the local network: %s", error)
                wait = round(RETRY * 1000)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait / 1000):
                    await self._due.wait()

    def _wanted(self) -> Plan | None:
        around, trust = self._around, self._trust
        assert around is not None
        number = around.number()
        if not (trust.others or self._locating or number is not None):
            return None
        addresses = around.addresses()
        own = tag(trust.group.id, trust.device, self._today()) if trust.others else None
        return Plan(announce(addresses, own, number), interfaces(addresses))

    async def _follow(self, plan: Plan | None) -> None:
        if plan == self._plan:
            return
        await self._silence()
        if plan is not None:
            self._radio = self._make_radio(self._tell)
            await self._radio.open(plan.announcement, plan.interfaces)
            self._plan = plan
            said = plan.announcement.properties if plan.announcement else "nothing"
            log.debug("announcing %s", said)

    async def _silence(self) -> None:
        radio, self._radio, self._plan = self._radio, None, None
        if radio is not None:
            await radio.close()

    def _today(self) -> int:
        return self._now() // DAY_MS

    def _tell(self) -> None:
        """Tell of every member that is heard of; who is told knows what is news."""
        self._news.set()
        if self._radio is None or self._around is None:
            return
        for sighting in list(self._radio.sightings.values()):
            device = recognise(sighting.tag, self._trust.group.id, self._trust.others, self._today())
            if device is not None:
                self._around.found(device, sighting.addresses)
