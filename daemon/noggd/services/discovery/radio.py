"""DNS-SD over multicast: one announcement at most, and an ear for those of others.

The only module that knows zeroconf, which is imported when multicast begins: a daemon without discovery never loads
it. Not here: what is announced, what it means, and when (`.announcement`, `.service`).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from noggd.services.discovery.announcement import SERVICE, Announcement, Sighting, read

if TYPE_CHECKING:
    from zeroconf import ServiceInfo
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

MAX_SIGHTINGS: Final = 64
"""Announcements that are looked at; a network with more has somebody who floods it."""
RESOLVE_MS: Final = 3000
ATTEMPTS: Final = 3
"""How long, and how often, the details of an announcement are asked for."""

log = logging.getLogger(__name__)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out of the log that a network is not there at the moment: the library says it with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], OSError))


logging.getLogger("zeroconf").addFilter(_is_news)


class Radio:
    """Multicast from `open` to `close`. `heard` is called whenever `sightings` has changed."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self.sightings: dict[str, Sighting] = {}
        self._heard = heard
        self._own = ""
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def open(self, announcement: Announcement | None, interfaces: Sequence[str]) -> None:
        """Begin to listen on the interfaces with these addresses, and to announce if there is something.

        The instance and host names are drawn anew each time: they say nothing. Raises OSError.
        """
        zeroconf: Any = await asyncio.to_thread(importlib.import_module, "zeroconf")
        aio: Any = await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        label = secrets.token_hex(6)
        self._own = f"{label}.{SERVICE}"
        try:
            self._zeroconf = engine = aio.AsyncZeroconf(interfaces=list(interfaces))
            if announcement is not None:
                info: ServiceInfo = zeroconf.ServiceInfo(
                    SERVICE,
                    self._own,
                    port=announcement.port,
                    properties=announcement.properties,
                    server=f"{label}.local.",
                    parsed_addresses=list(announcement.hosts),
                )
                # drawn names need no probing; this also spares half a second
                await engine.async_register_service(info, cooperating_responders=True)
            self._browser = aio.AsyncServiceBrowser(engine.zeroconf, SERVICE, handlers=[self._noticed])
        except (RuntimeError, zeroconf.Error) as error:  # its words for an address that has just gone
            raise OSError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Say goodbye and be silent."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        self._asking.clear()
        self.sightings.clear()
        if self._browser is not None:
            await self._browser.async_cancel()
            self._browser = None
        if self._zeroconf is not None:
            await self._zeroconf.async_close()
            self._zeroconf = None

    def _noticed(self, zeroconf: object, service_type: str, name: str, state_change: Any) -> None:
        """Follow who comes, changes and goes; zeroconf's callback, which names its arguments."""
        if name == self._own:
            return
        former = self._asking.pop(name, None)
        if former is not None:
            former.cancel()
        if state_change.name == "Removed":
            if self.sightings.pop(name, None) is not None:
                self._heard()
        elif name in self.sightings or len(self.sightings) + len(self._asking) < MAX_SIGHTINGS:
            self._asking[name] = asyncio.get_running_loop().create_task(self._ask(name))

    async def _ask(self, name: str) -> None:
        from zeroconf import IPVersion
        from zeroconf.asyncio import AsyncServiceInfo

        assert self._zeroconf is not None
        info = AsyncServiceInfo(SERVICE, name)
        for _ in range(ATTEMPTS):
            if await info.async_request(self._zeroconf.zeroconf, RESOLVE_MS):
                break
        sighting = read(info.parsed_scoped_addresses(IPVersion.All), info.port, info.properties)
        self._asking.pop(name, None)
        if sighting is not None and self.sightings.get(name) != sighting:
            log.debug("heard of %s", ", ".join(sighting.addresses))
            self.sightings[name] = sighting
            self._heard()
