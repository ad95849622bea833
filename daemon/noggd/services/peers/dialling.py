"""Dialling the other members: one task for each, at every address that is known of it, until it is linked.

Here: when and where to dial, and what an attempt came to. Not here: what goes over a link (`.link`), and finding
addresses.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from noggd.domain.addresses import merge_addresses, parse_address
from noggd.domain.frames import MAX_FRAME
from noggd.platform import tls
from noggd.services.peers.connection import (
    CLOSE_TIMEOUT,
    PING_INTERVAL,
    PING_TIMEOUT,
    OutgoingConnection,
    Refused,
    WrongDevice,
    pinned,
)
from noggd.services.peers.links import Links
from noggd.storage.trust import Trust

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for one address, until the link can begin."""
STAGGER: Final = 0.3
"""Seconds between the starts of attempts at several addresses of one device."""
FIRST_DELAY: Final = 0.5
MAX_DELAY_RECENT: Final = 2.0
MAX_DELAY: Final = 30.0
MAX_DELAY_REFUSED: Final = 60.0
"""Seconds between attempts, with jitter: the first, and the longest to a device that was linked of late, to others,
and where we are not trusted."""
RECENT: Final = 300.0
"""Seconds for which a device that was linked is expected back."""
POLITE: Final = 0.4
"""Seconds by which the device with the higher id waits for the other one to dial first."""
NEW_MEMBER: Final = 0.3
"""Seconds that a new member is left to itself: it has yet to store that it is one, and will dial by itself."""
LASTING: Final = 10.0
"""Seconds that a link must live for the next attempt to begin without delay."""

REFUSED: Final = "it does not trust this device any more"
"""Why a device was not reached that hung up on us."""

SYNC_PATH: Final = "/sync"

log = logging.getLogger(__name__)
quiet = logging.getLogger("noggd.websockets")
"""The library's own log tells of every stranger that hangs up."""
quiet.setLevel(logging.CRITICAL)


Made = tuple[OutgoingConnection, str]
"""A connection, and where it was made."""


class _Call:
    """What may interrupt the dialling of one device: any news of it, and reasons to dial at once."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.hurry = asyncio.Event()

    def forget(self) -> None:
        self.news.clear()
        self.hurry.clear()

    async def pause(self, seconds: float) -> None:
        """Wait, unless there is reason to hurry."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hurry.wait()


class Dialler:
    """Keeps a link to every other member, as far as one can be made from here."""

    def __init__(self, trust: Trust, links: Links) -> None:
        self._trust = trust
        self._links = links
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._calls: dict[str, _Call] = {}
        self._seen: dict[str, tuple[str, ...]] = {}
        """Where somebody claims that a member is: tried, and remembered only once it answered there."""
        self.faults: dict[str, dict[str, str]] = {}
        """Why a member was last not reached, by address; nothing of those that are linked."""
        self._new_delay = 0.0
        self._closed = False

    def update(self) -> None:
        """Follow the group: dial new members, leave former ones alone."""
        members = set() if self._closed else set(self._trust.others)
        for device in self._tasks.keys() - members:
            self._tasks.pop(device).cancel()
            self._calls.pop(device, None)
            self._seen.pop(device, None)
            self.faults.pop(device, None)
        for device in members - self._tasks.keys():
            self._calls[device] = _Call()
            delay = (self._new_delay + (POLITE if device < self._trust.device else 0)) * random.uniform(
                1, 1.5
            )
            self._tasks[device] = asyncio.create_task(self._keep(device, delay), name=f"dial {device}")
        self._new_delay = NEW_MEMBER

    def hurry(self, device: str | None = None) -> None:
        """Dial again at once: an address was learned, or the network is another (then all)."""
        for name, call in self._calls.items():
            if device is None or name == device:
                call.hurry.set()
                call.news.set()

    def ended(self, device: str) -> None:
        """Take note that a link to a device has ended."""
        if device in self._calls:
            self._calls[device].news.set()

    def found(self, device: str, addresses: Sequence[str]) -> None:
        """Try a member at addresses that nobody has vouched for, at once if they are news."""
        seen = merge_addresses(addresses, self._seen.get(device, ()))
        if device in self._tasks and seen != self._seen.get(device):
            self._seen[device] = seen
            self.hurry(device)

    async def close(self) -> None:
        """Dial no more. Links that were made stay."""
        self._closed = True
        tasks = list(self._tasks.values())
        self.update()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, device: str, delay: float) -> None:
        """Keep one device linked, for ever; begin after so many seconds.

        After a link that has lasted the next attempt comes at once; after one that has not, as after a failure.
        """
        call, loop = self._calls[device], asyncio.get_running_loop()
        failures, linked = 0, -RECENT
        await call.pause(delay)
        while True:
            call.forget()
            link, began, refused = self._links.of(device), loop.time(), False
            kept_out = self._links.conduct.kept_out(device)
            if link is None and kept_out:
                await call.pause(kept_out)  # no failure of its own: it is dialled as soon as it may come back
                continue
            if link is None:
                refused = await self._attempt(device)
            else:
                began = link.since
                del link  # once it has ended, nothing may keep it here while the next attempt is waited for
                await call.news.wait()
                if self._links.of(device) is not None:
                    continue
            ended = loop.time()
            if ended - began > LASTING and not refused:
                failures, linked = 0, ended
                continue
            failures += 1
            recently = ended < linked + RECENT
            longest = MAX_DELAY_REFUSED if refused else MAX_DELAY_RECENT if recently else MAX_DELAY
            await call.pause(
                min(longest, FIRST_DELAY * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.5)
            )

    async def _attempt(self, device: str) -> bool:
        """Dial a device at all its addresses; run the link if one answers. Returns whether it does not trust us."""
        certificate = self._trust.others.get(device)
        if certificate is None or not self._addresses(device):
            return False
        context = tls.client_context(self._trust.key.path, certificate.der)
        made, refused = await self._dial(device, pinned(certificate.der), context)
        if made is None:
            if refused:
                log.info("%s does not trust this device", device)
                await self._trust.note_refused(True)
            return refused
        connection, address = made
        self.faults.pop(device, None)
        await self._links.run_dialled(connection, device, address)
        return False

    def _addresses(self, device: str) -> tuple[str, ...]:
        peer = self._trust.peers.get(device)
        known = peer.addresses if peer is not None else ()
        return tuple(dict.fromkeys([*self._seen.get(device, ()), *known]))

    async def _dial(
        self, device: str, kind: type[OutgoingConnection], context: ssl.SSLContext
    ) -> tuple[Made | None, bool]:
        """Dial a device; begin anew when another address of it is learned, for the old ones may lead nowhere."""
        wake = self._calls[device].hurry
        while True:
            addresses = self._addresses(device)
            faults = self.faults[device] = {}
            dialling = asyncio.create_task(first_connection(addresses, kind, context, faults=faults))
            waking = asyncio.create_task(wake.wait())
            try:
                await asyncio.wait([dialling, waking], return_when=asyncio.FIRST_COMPLETED)
                if dialling.done() or set(self._addresses(device)) <= set(addresses):
                    return await dialling
                wake.clear()
            finally:
                waking.cancel()
                dialling.cancel()
                await asyncio.gather(dialling, waking, return_exceptions=True)


async def first_connection(
    addresses: Sequence[str],
    kind: type[OutgoingConnection],
    context: ssl.SSLContext,
    path: str = SYNC_PATH,
    faults: dict[str, str] | None = None,
) -> tuple[Made | None, bool]:
    """Dial all addresses, each a little after the one before it, and return the first connection and its address.

    Without one, the second value says whether the right device answered and hung up on us. `faults` is given
    the reason for each address that failed.
    """
    refused = False
    reasons = {} if faults is None else faults

    async def attempt(nth: int, address: str) -> Made | None:
        nonlocal refused
        await asyncio.sleep(nth * STAGGER)
        try:
            return await open_connection(address, kind, context, path), address
        except Refused:
            refused = True
            reasons[address] = REFUSED
        except (OSError, TimeoutError, WebSocketException, WrongDevice, ValueError) as error:
            reasons[address] = reason(error)
            log.debug("no link at %s: %s", address, error)
        return None

    tasks = [asyncio.create_task(attempt(nth, address)) for nth, address in enumerate(addresses)]
    try:
        for next_done in asyncio.as_completed(tasks):
            made = await next_done
            if made is not None:
                return made, False
        return None, refused
    finally:
        await _drop(tasks)


def reason(error: Exception) -> str:
    """Say in words why an address did not lead to a device."""
    if isinstance(error, WrongDevice):
        return "another device answers there"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, InvalidStatus):
        return "it does not let this device in for now, because of how it behaved"
    if isinstance(error, ssl.SSLError):
        return "what answers there is no device of this group"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return "it cannot be reached"


async def _drop(tasks: list[asyncio.Task[Made | None]]) -> None:
    """Give up the attempts that came second."""
    chosen = next((task for task in tasks if task.done() and not task.cancelled() and task.result()), None)
    for task in tasks:
        task.cancel()
    for made in await asyncio.gather(*(task for task in tasks if task is not chosen), return_exceptions=True):
        if isinstance(made, tuple):
            made[0].transport.abort()


async def open_connection(
    address: str, kind: type[OutgoingConnection], context: ssl.SSLContext, path: str
) -> OutgoingConnection:
    """Connect to one address. Raises OSError, WebSocketException, TimeoutError, Refused or WrongDevice."""
    host, port = parse_address(address, default_port=None)
    connection = await connect(
        "wss://peer.invalid" + path,  # host and port are given below, which also rules out redirects
        host=host,
        port=port,
        ssl=context,
        server_hostname="",
        ssl_handshake_timeout=CONNECT_TIMEOUT,
        ssl_shutdown_timeout=CLOSE_TIMEOUT,
        create_connection=kind,
        proxy=None,
        compression=None,
        user_agent_header=None,
        open_timeout=CONNECT_TIMEOUT,
        ping_interval=PING_INTERVAL,
        ping_timeout=PING_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        max_size=MAX_FRAME,
        logger=quiet,
    )
    assert isinstance(connection, OutgoingConnection)
    return connection
