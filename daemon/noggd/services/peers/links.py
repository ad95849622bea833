"""All links of this device: at most one to each other device, what goes out over them, what is known through them.

Here: settling between two links to one device, passing changes on, the rounds of summaries, what each device has
stored. Not here: one link (`.link`), making connections (`.dialling`, `.listener`), who is a member (`.members`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final
from weakref import WeakKeyDictionary

from nogg.errors import NoggError
from noggd.core import Core
from noggd.core.asking import ask
from noggd.domain.addresses import parse_address
from noggd.domain.hlc import milliseconds
from noggd.domain.statements import Remove
from noggd.platform.clock import monotonic
from noggd.services.peers.conduct import COPIED, NEW, OLD, Conduct
from noggd.services.peers.connection import DirectConnection
from noggd.services.peers.documents import States
from noggd.services.peers.hello import VERSION, Hello, Seen
from noggd.services.peers.knowledge import Knowledge
from noggd.services.peers.link import CLONE, GOING_AWAY, MALFORMED, MAX_AHEAD, NORMAL, TRY_AGAIN, Link
from noggd.storage.trust import Trust

SAME_MOMENT: Final = 10.0
"""Seconds within which two links that both sides dialled are taken for one wish."""
SEEN_EVERY: Final = 300_000
"""Milliseconds after which it is noted again that a device is linked, and what is here of it."""
MAX_LINKS: Final = 4
"""Links to one device that may exist while it is not settled which one stays."""
BUSY: Final = 0.4
"""Share of this device's time from which on a peer that takes it is named; it gets no more than half."""
BUSY_FOR: Final = 2.0
"""Seconds for which that must be so. A link may end soon after a round: its flood hides what keeps it alive."""
CLONE_TIMEOUT: Final = 2.0
"""Seconds in which an older link must answer to count as alive."""

log = logging.getLogger(__name__)


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
        self.known = Knowledge(core, trust)
        self.conduct = Conduct()
        self._stored_stamp: dict[str, int] = {}
        self._summary: tuple[States, int] | None = None
        """What is on disk, and the stamp up to which it has everything; None once something changed."""
        self._busy: WeakKeyDictionary[Link, tuple[float, float]] = WeakKeyDictionary()
        """How long each link had kept this device busy when that was last looked at, and when."""
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
            elif refusal := self._refusal(device):
                link.abort(refusal)
            await link.run()
        finally:
            self._all.discard(link)
            if link in self._busy:
                self._note_busy(link)
            if self._chosen.get(device) is link:
                del self._chosen[device]
                self.known.remember(link)
                self.changed()
            self.ended(device)
        return link

    def _refusal(self, device: str) -> str:
        """Say why a new link to a device is not wanted; empty if it is."""
        if self.conduct.kept_out(device):
            return "it is kept out for now"
        if sum(link.device == device for link in self._all) > MAX_LINKS:
            self.conduct.blame(device, "it opens more and more links")
            return "it has too many links"
        if not self.conduct.may_link(device):
            self.conduct.blame(device, "it connects again and again")
            return "it connects again and again"
        return ""

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
                        self.conduct.blame(
                            link.device, "two running devices use its key", COPIED, keep_out=False
                        )
                        log.error("two devices use the key of %s: one was copied from the other", link.device)
                        link.end(CLONE, "another running device has this key")
                        return False
                elif self._is_twin(link, other) and self._dialled_by_lower(other):
                    link.end(NORMAL, "another link was made at the same moment")
                    return False
            if not link.is_open or link.device not in self.trust.others:
                return False
            self._chosen[link.device] = link
            self.known.note_seen(link, 0)
            if other is not None:
                other.end(NORMAL, "replaced by a newer link")
                self.known.remember(other)
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

    def greeting(self, device: str, *, first: bool) -> Hello:
        """Return what this device says about itself to another one, and where others can be reached.

        Only the first hello of a link says what is remembered of the other device.
        """
        trust, core = self.trust, self.core
        peer = trust.peers.get(device) if first else None
        known = {device: trust.peers[device].addresses for device in trust.others if device in trust.peers}
        return Hello(
            clock=self.now(),
            name=core.device_names.get(trust.device) or trust.name_of(trust.device),
            instance=self.instance,
            digest=trust.digest.hex(),
            run=core.run,
            client=core.clients[-1],
            seen=Seen(peer.run, peer.client, peer.clocks) if peer is not None and peer.run else None,
            addresses={**known, trust.device: tuple(self._advertised())},
        )

    def heard(self, link: Link, hello: Hello) -> None:
        """Remember what a peer says about itself, and where it says that others can be reached."""
        trust = self.trust
        own = hello.addresses.get(link.device, ())
        reached = [link.address] if link.dialled and link.address else []
        guess = _came_from(link.address, own)
        first = [*reached, *(address for address in guess if address in own)]
        trust.note(link.device, name=hello.name, addresses=[*first, *own], more_addresses=guess)
        for device in hello.addresses.keys() & trust.others.keys() - {link.device}:
            before = trust.peers.get(device)
            trust.note(device, more_addresses=hello.addresses[device])
            if trust.peers.get(device) != before:
                self.learned(device)

    def misbehaved(self, link: Link, what: str) -> None:
        """Remember what a peer did, and keep it out for a while."""
        out = self.conduct.blame(link.device, what)
        log.warning("%s broke the protocol and is kept out for %.2g s: %s", link.device, out, what)

    def trespassed(self, link: Link, clients: frozenset[int]) -> None:
        """Name the device that wrote into our map: whose client id it is, or else who sent it.

        What was written under a former id of ours, by a state that was restored since, is nobody's fault.
        """
        if clients & set(self.core.clients):
            return
        peers = self.trust.peers
        owners = [d for d in self.trust.others if d in peers and peers[d].client in clients]
        for device in owners or [link.device]:
            self.conduct.blame(
                device, "it wrote what only this device may write; that was undone", keep_out=False
            )
            log.warning("%s wrote into the map of this device; that was undone", device)

    def doubled(self, link: Link) -> None:
        """Remember that a peer refused us, because another running device has our key."""
        what = "it refuses this device: another running one has the same key"
        self.conduct.blame(link.device, what, COPIED, keep_out=False)

    def outdated(self, link: Link) -> None:
        """Remember that a peer speaks a version of the protocol that is too old, or too new."""
        if link.hello is not None and link.hello.protocol > VERSION:
            self.conduct.blame(link.device, "it speaks a newer version of the protocol", NEW)
        else:
            self.conduct.blame(link.device, "it speaks an older version of the protocol", OLD)

    def progressed(self, link: Link) -> None:
        """Let those who wait for it see that more is known of what a peer has stored."""
        self.known.tell()

    def recognises(self, seen: Seen | None) -> bool:
        """Say whether what a peer remembers of this device is something that this device remembers too."""
        return seen is None or self.core.runs.remembers(seen.run, seen.client, seen.clocks)

    async def mend_clock(self) -> None:
        """Stamp anew what was written while the clock ran ahead. Raises StorageFailed."""
        if milliseconds(self.core.clock) > self.now() + MAX_AHEAD:
            mended = await ask(self.core.mend_clock)
            if mended:
                log.warning("the clock is mended: %d acts from the future were stamped anew", mended)

    def forgotten(self, link: Link) -> None:
        """Begin to start over: the next link fetches the peer's documents."""
        if not self.conduct.may_start_us_over(link.device):
            what = "it claims again and again that this device has forgotten what it wrote"
            self.misbehaved(link, what)
            link.end(MALFORMED, what)
            return
        log.warning("%s knows more of what this device wrote than is here: starting over", link.device)
        self._start_over = True
        link.end(TRY_AGAIN, "this device has forgotten what it wrote")

    def started_over(self, link: Link) -> None:
        """Begin all links anew, now that the documents are others."""

        def begin_anew(_: object) -> None:
            self._start_over = False
            for each in list(self._all):
                each.end(NORMAL, "this device has started over")

        seen = link.hello.seen if link.hello is not None else None
        if seen is None:
            begin_anew(None)
        else:
            self.core.adopt_run(seen.run, begin_anew)

    # What goes out

    def pass_on(self, document: str, update: bytes, source: str) -> None:
        """Send a change that is on disk to everybody but the device that it came from."""
        self._summary = None
        for device, link in self._chosen.items():
            if device != source:
                link.changed(document, update)

    def say_statements(self) -> dict[str, asyncio.Future[None]]:
        """Tell everybody what is stated about the group; the futures are done when it is on their disks."""
        return {device: link.stating.say() for device, link in self._chosen.items()}

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
            self._note_busy(link)
            self.known.note_seen(link, SEEN_EVERY)
            if link.documents.replica.in_step(states):
                self._stored_stamp[link.device] = stamp
            if link.hello is not None and link.hello.digest != self.trust.digest.hex():
                link.stating.say()
            link.summarise(states)
        known = [self._stored_stamp.get(device, 0) for device in self.trust.others]
        self.core.stored_by_all = min(known, default=stamp)

    def _note_busy(self, link: Link) -> None:
        """Name a peer that has kept this device busy since this was last looked at."""
        now = monotonic()
        before, since = self._busy.get(link, (0.0, now))
        self._busy[link] = (link.busy, now)
        if now - since > BUSY_FOR and (link.busy - before) / (now - since) > BUSY:
            self.conduct.blame(link.device, "it sends so much that it keeps this device busy", keep_out=False)

    def _sum(self, states: Any, stamp: int) -> Any:
        if not isinstance(states, dict):
            return states
        summary = {name: (vector, sha256(gone).digest()) for name, (vector, gone) in states.items()}
        self._summary = (summary, stamp)
        return self._summary


def _came_from(address: str | None, told: tuple[str, ...]) -> list[str]:
    """Guess where a device that dialled us listens: at the host that it came from, on the port that it tells."""
    if address is None or not told:
        return []
    try:
        return [str(parse_address(address)._replace(port=parse_address(told[0]).port))]
    except ValueError:
        return []
