"""All links of this device: at most one to each other device, what goes out over them, what is known through them.

Here: settling between two links to one device, passing changes on, the rounds of summaries, what each device has
stored. Not here: one link (`.link`), making connections (`.dialling`, `.listener`), who is a member (`.members`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from nogg.errors import NoggError
from noggd.core import Core
from noggd.core.asking import ask
from noggd.domain.addresses import parse_address
from noggd.domain.hlc import milliseconds
from noggd.domain.statements import Remove
from noggd.services.peers.connection import DirectConnection
from noggd.services.peers.documents import States
from noggd.services.peers.hello import Hello
from noggd.services.peers.link import CLONE, GOING_AWAY, MAX_AHEAD, NORMAL, TRY_AGAIN, Link
from noggd.storage.trust import Trust

SAME_MOMENT: Final = 10.0
"""Seconds within which two links that both sides dialled are taken for one wish."""
CLONE_TIMEOUT: Final = 2.0
"""Seconds in which an older link must answer to count as alive."""

log = logging.getLogger(__name__)

Vector = Mapping[int, int]


class Links:
    """The links of this device, and what a link asks of its home.

    `now` gives Unix milliseconds. `advertised` gives the addresses at which this device can be reached.
    `changed` is called when a device came, went or said something new about itself; `ended` with the device
    when a link ended.
    """

    def __init__(
        self, core: Core, trust: Trust, now: Callable[[], int], advertised: Callable[[], list[str]]
    ) -> None:
        self.core = core
        self.trust = trust
        self.now = now
        self.instance = secrets.token_hex(8)
        self.changed: Callable[[], None] = lambda: None
        self.ended: Callable[[str], None] = lambda device: None
        self.learned: Callable[[str], None] = lambda device: None
        self._advertised = advertised
        self._all: set[Link] = set()
        self._chosen: dict[str, Link] = {}
        self._dialled: set[asyncio.Task[None]] = set()
        self._settling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._stored: dict[str, dict[str, Vector]] = {}
        self._last_sync: dict[str, int] = {}
        self._stored_stamp: dict[str, int] = {}
        self._summary: tuple[States, int] | None = None
        """What is on disk, and the stamp up to which it has everything; None once something changed."""
        self._waiters: set[Callable[[], None]] = set()
        self._start_over = False
        self._closing = False

    # Which links there are

    def of(self, device: str) -> Link | None:
        """Return the link to a device."""
        return self._chosen.get(device)

    def chosen(self) -> list[Link]:
        """Return the link to each device that has one."""
        return list(self._chosen.values())

    async def serve(
        self, connection: DirectConnection, device: str, *, dialled: bool, address: str | None
    ) -> Link:
        """Run a link over a connection to its end; `address` is where it was dialled, or where it came from."""
        link = Link(self, connection, device, dialled=dialled, address=address, start_over=self._start_over)
        self._all.add(link)
        try:
            if self._closing or device not in self.trust.others:
                link.abort("it came too late")
            await link.run()
        finally:
            self._all.discard(link)
            if self._chosen.get(device) is link:
                del self._chosen[device]
                self._remember(link)
                self.changed()
            self.ended(device)
        return link

    async def settle(self, link: Link) -> bool:
        """Make this the link to its device, unless another one has the better claim.

        A newer link replaces an older one. Two that both sides dialled at the same moment are one too many on both
        sides, so both keep the one that the lower id dialled. Another run of the daemon under the same key is a
        restart if the older link is dead, and a clone of the device if it is alive: then the newcomer is refused.
        """
        async with self._settling[link.device]:
            other = self._chosen.get(link.device)
            assert link.hello is not None
            if other is not None and other.is_open and other.hello is not None:
                if other.hello.instance != link.hello.instance:
                    if await other.answers(CLONE_TIMEOUT) and other.is_open:
                        log.error("two devices use the key of %s: one was copied from the other", link.device)
                        link.end(CLONE, "another running device has this key")
                        return False
                elif self._is_twin(link, other) and self._dialled_by_lower(other):
                    link.end(NORMAL, "another link was made at the same moment")
                    return False
            if not link.is_open or link.device not in self.trust.others:
                return False
            self._chosen[link.device] = link
            if other is not None:
                other.end(NORMAL, "replaced by a newer link")
                self._remember(other)
            self.changed()
            log.info("linked to %s at %s", link.device, link.address)
            await self.trust.note_refused(False)
            return True

    @staticmethod
    def _is_twin(link: Link, other: Link) -> bool:
        return other.dialled is not link.dialled and link.since - other.since < SAME_MOMENT

    def _dialled_by_lower(self, link: Link) -> bool:
        return link.dialled is (self.trust.device < link.device)

    async def run_dialled(self, connection: DirectConnection, device: str, address: str) -> None:
        """Run a link over a connection that was dialled. It goes on even if the caller is cancelled."""
        running = asyncio.create_task(self._run_dialled(connection, device, address))
        self._dialled.add(running)
        running.add_done_callback(self._dialled.discard)
        await asyncio.shield(running)

    async def _run_dialled(self, connection: DirectConnection, device: str, address: str) -> None:
        try:
            await self.serve(connection, device, dialled=True, address=address)
        except Exception:
            log.exception("a link to %s failed", device)
        finally:
            connection.transport.abort()

    def end_strangers(self) -> None:
        """End the links to devices that are no members any more, at once."""
        for link in list(self._all):
            if link.device not in self.trust.others:
                removals = (s for s in self.trust.statements if isinstance(s, Remove))
                link.dismiss([removal for removal in removals if removal.device == link.device])

    async def close(self) -> None:
        """End all links in good order."""
        self._closing = True
        for link in list(self._all):
            link.end(GOING_AWAY, "the daemon is stopping")
        await asyncio.gather(*self._dialled)

    # What links tell

    def greeting(self) -> Hello:
        """Return what this device says about itself, and where others can be reached."""
        trust = self.trust
        known = {device: trust.peers[device].addresses for device in trust.others if device in trust.peers}
        return Hello(
            clock=self.now(),
            name=self.core.device_names.get(trust.device) or trust.name_of(trust.device),
            instance=self.instance,
            digest=trust.digest.hex(),
            addresses={**known, trust.device: tuple(self._advertised())},
        )

    def heard(self, link: Link, hello: Hello) -> None:
        """Remember what a peer says about itself, and where it says that others can be reached."""
        trust = self.trust
        own = hello.addresses.get(link.device, ())
        reached = [link.address] if link.dialled and link.address else _came_from(link.address, own)
        trust.note(link.device, name=hello.name, addresses=[*reached, *own], last_seen=self.now())
        for device in hello.addresses.keys() & trust.others.keys() - {link.device}:
            before = trust.peers.get(device)
            trust.note(device, more_addresses=hello.addresses[device])
            if trust.peers.get(device) != before:
                self.learned(device)

    def progressed(self, link: Link) -> None:
        """Let those who wait for it see that more is known of what a peer has stored."""
        for waiter in list(self._waiters):
            waiter()

    async def mend_clock(self) -> None:
        """Stamp anew what was written while the clock ran ahead. Raises StorageFailed."""
        if milliseconds(self.core.clock) > self.now() + MAX_AHEAD:
            mended = await ask(self.core.mend_clock)
            if mended:
                log.warning("the clock is mended: %d acts from the future were stamped anew", mended)

    def forgotten(self, link: Link) -> None:
        """Begin to start over: the next link fetches the peer's documents."""
        log.warning("%s knows more of what this device wrote than is here: starting over", link.device)
        self._start_over = True
        link.end(TRY_AGAIN, "this device has forgotten what it wrote")

    def started_over(self, link: Link) -> None:
        """Begin all links anew, now that the documents are others."""
        self._start_over = False
        for each in list(self._all):
            each.end(NORMAL, "this device has started over")

    # What goes out

    def pass_on(self, document: str, update: bytes, source: str) -> None:
        """Send a change that is on disk to everybody but the device that it came from."""
        self._summary = None
        for device, link in self._chosen.items():
            if device != source:
                link.changed(document, update)

    def say_statements(self) -> dict[str, asyncio.Future[None]]:
        """Tell everybody what is stated about the group; the futures are done when it is on their disks."""
        return {device: link.say_statements() for device, link in self._chosen.items()}

    async def sum_up(self) -> None:
        """Do a round: say what there is, repair what is found to differ, and note who has everything."""
        if self._summary is None:
            stamp = (
                self.core.clock
            )  # whatever has this stamp is submitted by now, so the states below cover it
            try:
                states, stamp = await ask(lambda reply: self.core.state(lambda s: reply(self._sum(s, stamp))))
            except NoggError:
                return
        else:
            states, stamp = self._summary
        for link in self.chosen():
            if link.documents.replica.in_step(states):
                self._stored_stamp[link.device] = stamp
            if link.hello is not None and link.hello.digest != self.trust.digest.hex():
                link.say_statements()
            link.summarise(states)
        known = [self._stored_stamp.get(device, 0) for device in self.trust.others]
        self.core.stored_by_all = min(known, default=stamp)

    def _sum(self, states: Any, stamp: int) -> Any:
        if not isinstance(states, dict):
            return states
        summary = {name: (vector, sha256(gone).digest()) for name, (vector, gone) in states.items()}
        self._summary = (summary, stamp)
        return self._summary

    # What others have

    def _remember(self, link: Link) -> None:
        if link.last_sync is not None:
            self._last_sync[link.device] = link.last_sync
        known = self._stored.setdefault(link.device, {})
        for document in self.core.documents():
            known[document] = _union(known.get(document, {}), link.documents.replica.peer_has(document))

    def stored_by(self, device: str, document: str) -> Vector:
        """Return the state vector that a device is known to have on its disk, linked or not."""
        before = self._stored.get(device, {}).get(document, {})
        link = self._chosen.get(device)
        return before if link is None else _union(before, link.documents.replica.peer_has(document))

    def last_sync(self, device: str) -> int | None:
        """Return when something was last stored on either side, or found to be equal (Unix milliseconds)."""
        link = self._chosen.get(device)
        return self._last_sync.get(device) if link is None or link.last_sync is None else link.last_sync

    def watch(self, waiter: Callable[[], None]) -> Callable[[], None]:
        """Call `waiter` when more is known of what others have stored; returns what ends it."""
        self._waiters.add(waiter)
        return lambda: self._waiters.discard(waiter)


def _union(one: Vector, other: Vector) -> Vector:
    return {client: max(one.get(client, 0), other.get(client, 0)) for client in one.keys() | other.keys()}


def _came_from(address: str | None, told: tuple[str, ...]) -> list[str]:
    """Guess where a device that dialled us listens: at the host that it came from, on the port that it tells."""
    if address is None or not told:
        return []
    try:
        return [str(parse_address(address)._replace(port=parse_address(told[0]).port))]
    except ValueError:
        return []
