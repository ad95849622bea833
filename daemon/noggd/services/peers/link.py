"""One link: a connection to a member that has proved who it is, from the first hello to its end.

The order is fixed: hello, then the group's statements where the two sides hold different ones, then
documents. What comes too early waits. Not here: how the connection was made, which links there are
(`.links`), and how documents are kept equal (`.documents`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Protocol

from nogg.errors import NoggError, ProtocolError
from noggd.core import Core
from noggd.domain.frames import (
    MAX_FRAME,
    Frame,
    Statements,
    StatementsStored,
    Step1,
    Summary,
    read_frame,
    write_frame,
)
from noggd.domain.frames import Hello as HelloFrame
from noggd.domain.statements import Statement
from noggd.platform.clock import awake_and_asleep
from noggd.services.peers.conduct import Allowance
from noggd.services.peers.connection import DirectConnection
from noggd.services.peers.documents import Documents, Fetching, States
from noggd.services.peers.hello import VERSION, Hello, Seen, read_hello
from noggd.services.peers.stating import Stating
from noggd.storage.trust import Trust

MAX_EARLY: Final = 2 * MAX_FRAME
"""Bytes that may wait until documents can be talked about."""
GREETING_TIMEOUT: Final = 10.0
"""Seconds until the link must be at its documents."""
HELLOS: Final = (20, 0.5)
"""Hellos that are taken at once, and then in a second; a peer sends one about every 10 s."""
MAX_AHEAD: Final = 10 * 60 * 1000
"""Milliseconds that this device's clock may be ahead of a peer's before its changes are held back (contract, 4)."""

# close codes
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
MALFORMED: Final = 4400
CLONE: Final = 4409
OTHER_VERSION: Final = 4426
TRY_AGAIN: Final = 4500

log = logging.getLogger(__name__)


class Home(Protocol):
    """What a link needs of the device that it belongs to."""

    core: Core
    trust: Trust

    def now(self) -> int:
        """Return Unix milliseconds."""

    def greeting(self, device: str, *, first: bool) -> Hello:
        """Return what this device says about itself to another one: all that there is to say, or what changes."""

    async def settle(self, link: Link) -> bool:
        """Decide between this link and another one to the same device; False if this one has to go."""

    def heard(self, link: Link, hello: Hello) -> None:
        """Take in what a peer said about itself."""

    def trespassed(self, link: Link, clients: frozenset[int]) -> None:
        """Take note that these Y clients wrote into our map, by what came over a link; it was undone."""

    def doubled(self, link: Link) -> None:
        """Take note that a peer refused us, because another running device has our key."""

    def outdated(self, link: Link) -> None:
        """Take note that a peer speaks a version of the protocol that is too old, or too new."""

    def misbehaved(self, link: Link, what: str) -> None:
        """Take note that a peer broke the protocol."""

    def progressed(self, link: Link) -> None:
        """Take note that more is known of what a peer has stored."""

    def recognises(self, seen: Seen | None) -> bool:
        """Say whether what a peer remembers of this device is something that this device remembers too."""

    async def mend_clock(self) -> None:
        """Stamp anew what was written while the clock ran ahead of that of a peer, which now agrees with it."""

    def forgotten(self, link: Link) -> None:
        """Take note that a peer knows more of what we wrote than we do."""

    def started_over(self, link: Link) -> None:
        """Take note that this device has started over from a peer's documents."""


class Link:
    """A link to the device `device`; `dialled` says who dialled, `address` where, if that is known.

    `hello` is what the peer last said about itself; `ready`: at its documents; `ahead`: milliseconds that
    our clock is ahead of the peer's; `last_sync`: when something was last stored on either side, or found
    to be equal.
    """

    def __init__(
        self,
        home: Home,
        connection: DirectConnection,
        device: str,
        *,
        dialled: bool,
        address: str | None,
        start_over: bool = False,
    ) -> None:
        self.home = home
        self.connection = connection
        self.device = device
        self.dialled = dialled
        self.address = address
        self.hello: Hello | None = None
        self.ready = False
        self.ahead = 0
        self.last_sync: int | None = None
        self.end_reason = ""
        loop = asyncio.get_running_loop()
        self.since = loop.time()
        self._starts_over = start_over
        self._hellos = Allowance(*HELLOS)
        self.documents = self._make_documents()
        self.stating = Stating(home.trust, self._send)
        self._greeted: asyncio.Future[None] = loop.create_future()
        self._mending: asyncio.Future[None] | None = None
        self._heard_at = 0.0
        self._early: list[Frame] = []
        self._early_bytes = 0
        self._ended = False

    def _make_documents(self) -> Documents:
        callbacks: dict[str, Any] = {
            "send": self._send,
            "pause": self._pause,
            "failed": self._failed,
            "progressed": self._progressed,
            "forgotten": lambda: self.home.forgotten(self),
            "trespassed": lambda clients: self.home.trespassed(self, clients),
        }
        core = self.home.core
        if self._starts_over:
            return Fetching(core, self.device, done=lambda: self.home.started_over(self), **callbacks)
        return Documents(core, self.device, **callbacks)

    # Life

    async def run(self) -> None:
        """Live until the connection ends. Raises nothing that concerns only this link."""
        greeting = self.home.greeting(self.device, first=True)
        self._send(HelloFrame(greeting.encode()))
        tasks = [asyncio.create_task(self._greet(greeting)), asyncio.create_task(self._check_statements())]
        self.connection.listen(self._message)
        try:
            await self.connection.wait_closed()
        finally:
            if self.connection.offence:
                self.home.misbehaved(self, self.connection.offence)
            if self.connection.close_code == CLONE:
                self.home.doubled(self)
            if self.connection.close_code == OTHER_VERSION and self.hello and self.hello.protocol > VERSION:
                self.home.outdated(self)
            self._stop(self.connection.dropped or "the connection ended")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self.end_reason = reason
            self.documents.end()
            self.stating.end()
            log.info("link to %s ends: %s", self.device, reason)

    def end(self, code: int, reason: str) -> None:
        """Close in good order; what the peer still sends is not looked at."""
        if not self._ended:
            self._stop(reason)
            closing = asyncio.ensure_future(self.connection.close(code, reason))
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)

    def dismiss(self, removals: list[Statement]) -> None:
        """End the link to a device that was removed: it is told so, and nothing else."""
        if self._ended or not removals:
            self.abort("the device is no member any more")
            return
        self.stating.say(removals)
        self.end(NORMAL, "the device was removed from the group")

    def abort(self, reason: str) -> None:
        """End at once: nothing more leaves, nothing more is looked at."""
        self._stop(reason)
        self.connection.drop(reason)

    @property
    def is_open(self) -> bool:
        """Whether it can still carry anything."""
        return not self._ended

    @property
    def held_back(self) -> bool:
        """Whether this device's changes are held back from the peer, because its clock is far ahead."""
        return self.documents.replica.held_back

    @property
    def rtt_ms(self) -> float | None:
        """Round trip in milliseconds, once it was measured."""
        return round(self.connection.latency * 1000, 3) or None

    @property
    def busy(self) -> float:
        """Seconds for which the peer kept this device busy: with reading, or with more than could be merged."""
        return self.connection.busy + self.documents.behind

    async def answers(self, within: float) -> bool:
        """Say whether the other side answers within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await (await self.connection.ping())
        except Exception:  # whatever it is, there is no answer
            return False
        return True

    # Greeting

    async def _greet(self, greeting: Hello) -> None:
        """See the link through to its documents."""
        try:
            async with asyncio.timeout(GREETING_TIMEOUT):
                await self._greeted
                assert self.hello is not None
                if self.hello.protocol < VERSION:
                    self.home.outdated(self)
                    self.end(OTHER_VERSION, f"the peer speaks version {self.hello.protocol} of the protocol")
                    return
                if not await self.home.settle(self):
                    return
                if self.hello.digest != greeting.digest:
                    self.stating.say()
                    await self.stating.agreed.wait()
                if not self._starts_over and not self.home.recognises(self.hello.seen):
                    self.home.forgotten(self)
                    return
                if abs(self.ahead) <= MAX_AHEAD:
                    await self.home.mend_clock()
        except TimeoutError:
            self.end(TRY_AGAIN, "the greeting took too long")
        except NoggError as error:
            self._failed(error)
        else:
            self.home.core.state(self._begin)

    def _begin(self, states: States | NoggError) -> None:
        if self._ended:
            return
        if isinstance(states, NoggError):
            self._failed(states)
            return
        self.ready = True
        self._measuring = asyncio.ensure_future(self.answers(GREETING_TIMEOUT))  # for `rtt_ms`
        self.judge_clock()
        self.documents.begin(states)
        early, self._early, self._early_bytes = self._early, [], 0
        try:
            for frame in early:
                self.documents.receive(frame)
        except ProtocolError as error:
            self._failed(error)

    def say_hello(self) -> None:
        """Say again what may have changed about this device: its clock at least."""
        self._send(HelloFrame(self.home.greeting(self.device, first=False).encode()))

    async def _check_statements(self) -> None:
        try:
            await self.stating.check()
        except (ProtocolError, NoggError) as error:
            self._failed(error)

    # Frames

    def _send(self, frame: Frame) -> None:
        if not self._ended:
            self.connection.post(write_frame(frame))

    def _message(self, message: bytes) -> None:
        if self._ended:
            return
        try:
            frame = read_frame(message)
            if self.ready and not isinstance(frame, (HelloFrame, Statements, StatementsStored)):
                if isinstance(frame, (Step1, Summary)):
                    self.judge_clock()  # these may be answered with content
                self.documents.receive(frame)
            else:
                self._about_the_link(frame, len(message))
        except ProtocolError as error:
            self._failed(error)

    def _about_the_link(self, frame: Frame, size: int) -> None:
        match frame:
            case HelloFrame(content):
                if not self._hellos.take():
                    raise ProtocolError("it says hello again and again")
                self._heard(read_hello(content))
            case _ if self.hello is None:
                raise ProtocolError("the first frame must be a hello")
            case Statements() | StatementsStored():
                self.stating.take(frame)
            case _:
                self._early.append(frame)
                self._early_bytes += size
                if self._early_bytes > MAX_EARLY:
                    raise ProtocolError("too much came before it was due")

    def _heard(self, hello: Hello) -> None:
        self.hello = hello
        self._heard_at = awake_and_asleep()
        self.judge_clock()
        self.home.heard(self, hello)
        if not self._greeted.done():
            self._greeted.set_result(None)

    def judge_clock(self) -> None:
        """Compare our clock with the peer's, which went on since it was told: ours may have been set."""
        if self.hello is None:
            return
        since = int((awake_and_asleep() - self._heard_at) * 1000)
        self.ahead = self.home.now() - self.hello.clock - since
        if self.ahead > MAX_AHEAD and not self.held_back:
            log.warning(
                "the clock is %d s ahead of that of %s: changes are held back until it is mended",
                self.ahead // 1000,
                self.device,
            )
            self.documents.hold_back(True)
        elif self.ahead <= MAX_AHEAD and self.held_back and (self._mending is None or self._mending.done()):
            self._mending = asyncio.ensure_future(self._release())

    async def _release(self) -> None:
        """Send again what was held back, now that the clock is mended."""
        try:
            await self.home.mend_clock()
        except NoggError as error:
            self._failed(error)
            return
        if self.ahead <= MAX_AHEAD and not self._ended:
            log.info("the clock agrees with that of %s again: changes are sent", self.device)
            self.documents.hold_back(False)

    # Documents

    def changed(self, document: str, update: bytes) -> None:
        """Pass on a change that is on disk."""
        if self.ready and not self._ended:
            self.judge_clock()  # it may have been stamped by a clock that was set a moment ago
            self.documents.changed(document, update)

    def summarise(self, states: States) -> None:
        """Say what there is of every document, and what time it is here."""
        self.say_hello()
        if self.ready and not self._ended:
            self.judge_clock()
            if self.documents.replica.in_step(states):
                self.last_sync = self.home.now()
            self.documents.summarise(states)

    def _progressed(self) -> None:
        self.last_sync = self.home.now()
        self.home.progressed(self)

    def _pause(self, paused: bool) -> None:
        if paused:
            self.connection.pause("merging")
        else:
            self.connection.resume("merging")

    def _failed(self, error: Exception) -> None:
        """End the link: by the peer's fault, or because nothing can be stored or everything is ending."""
        if isinstance(error, ProtocolError):
            if not self._ended:
                self.home.misbehaved(self, str(error))
            self.end(MALFORMED, str(error))
        else:
            self.end(TRY_AGAIN, error.message if isinstance(error, NoggError) else type(error).__name__)


_closing: set[asyncio.Future[None]] = set()
"""Connections on their way out; the event loop itself keeps no strong reference to tasks."""
