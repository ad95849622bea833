"""The documents on one link: what the replica decides, carried out against the core.

Everything runs in callbacks, the core's and the connection's, so that a change costs no turn of the event loop. Not
here: what is decided (`noggd.domain.replica`), and the link around it (`.link`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from nogg.errors import NoggError, ProtocolError
from noggd.core import Core
from noggd.core.batch import Merged
from noggd.domain.document import Incomplete
from noggd.domain.frames import Frame, Step1, Stored, Summary
from noggd.domain.guard import OwnClient
from noggd.domain.replica import Action, Answer, Ask, Merge, Replica, Send
from noggd.domain.rescue import Rescue
from noggd.domain.update import encode_state_vector
from noggd.platform.clock import monotonic
from noggd.services.peers.conduct import Allowance

MAX_IN_FLIGHT: Final = 256 * 1024
"""Bytes that may wait to be merged before reading is paused. Each takes about a microsecond, and what apps do
waits behind all of them."""
MERGE_COSTS: Final = 256
"""Bytes that each update counts more than it has: the smallest take time too."""
ANSWERS: Final = (256 * 1024 * 1024, 1024 * 1024)
"""Bytes that a peer may be answered at once, and then in a second; an answer can be its whole document."""

_EMPTY: Final = encode_state_vector({})

States = Mapping[str, tuple[bytes, bytes]]
"""State vector and digest of the deletions of each document."""


class Documents:
    """All documents on the link to one device.

    The callbacks: `send` sends a frame, `pause` stops and resumes reading, `failed` takes what ends the
    link, `progressed` hears that more is known of what the peer has stored, `forgotten` that the peer knows
    more of what we wrote than we do, `trespassed` which Y clients wrote into our map.
    """

    def __init__(
        self,
        core: Core,
        device: str,
        *,
        send: Callable[[Frame], None],
        pause: Callable[[bool], None],
        failed: Callable[[Exception], None],
        progressed: Callable[[], None],
        forgotten: Callable[[], None],
        trespassed: Callable[[frozenset[int]], None] = lambda clients: None,
    ) -> None:
        self.replica = Replica()
        self._core = core
        self._device = device
        self._send = send
        self._pause = pause
        self._failed = failed
        self._progressed = progressed
        self._forgotten = forgotten
        self._trespassed = trespassed
        self._ended = False
        self._in_flight = 0
        self._paused = False
        self._paused_at = 0.0
        self._behind = 0.0
        self._answers = Allowance(*ANSWERS)
        self._unacknowledged: dict[str, bytes] = {}

    def begin(self, states: States) -> None:
        """Start the exchange."""
        self._carry_out(self.replica.begin({name: vector for name, (vector, _) in states.items()}))

    def end(self) -> None:
        """Do nothing more, whatever still comes back from the core; let go of the link."""
        self._ended = True
        self._send = self._pause = self._failed = self._trespassed = _nothing
        self._progressed = self._forgotten = _nothing

    def hold_back(self, held_back: bool) -> None:
        """Stop sending content, or begin again."""
        self._carry_out(self.replica.hold_back(held_back))

    def changed(self, document: str, update: bytes) -> None:
        """Pass on a change that is on disk."""
        self._carry_out(self.replica.changed(document, update))

    def summarise(self, states: States) -> None:
        """Say what there is of every document."""
        self._carry_out(self.replica.summarise(states))

    def receive(self, frame: Frame) -> None:
        """Take a frame about a document. Raises ProtocolError."""
        self._carry_out(self.replica.receive(frame))
        if isinstance(frame, (Stored, Summary)):
            self._progressed()

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(frame):
                    self._send(frame)
                case Merge(document, update, _):
                    self._count(len(update) + MERGE_COSTS)
                    self._core.merge(document, update, self._device, self._merged(action))
                case Answer(document, vector, _):
                    self._core.missing(document, vector, self._found(action))
                case Ask(document):
                    self._core.state(self._asking(document))

    def _found(self, action: Answer) -> Callable[[Any], None]:
        def found(update: bytes | Exception) -> None:
            if self._ended:
                return
            if isinstance(update, bytes) and not self._answers.take(len(update)):
                self._failed(ProtocolError("it asks for the same things again and again"))
            elif isinstance(update, bytes):
                self._carry_out(self.replica.answered(action, update))
            else:
                self._failed(update)

        return found

    def _asking(self, document: str) -> Callable[[Any], None]:
        def ask(states: States | Exception) -> None:
            if self._ended:
                return
            if isinstance(states, Exception):
                self._failed(states)
            else:
                self._send(Step1(document, states[document][0] if document in states else _EMPTY))

        return ask

    def _merged(self, action: Merge) -> Callable[[Any], None]:
        def merged(result: Exception | Merged) -> None:
            self._count(-len(action.update) - MERGE_COSTS)
            if self._ended:
                return
            if isinstance(result, Merged):
                self._stored(action.document, result)
            elif isinstance(result, Incomplete):
                self._carry_out(self.replica.refused(action))
            elif isinstance(result, OwnClient):
                self._forgotten()
            else:
                self._failed(result)

        return merged

    def _stored(self, document: str, merged: Merged) -> None:
        if merged.trespassed:
            self._trespassed(frozenset(merged.brought))
        try:
            self.replica.merged(document, merged.brought)
        except ProtocolError as error:
            self._failed(error)
        else:
            self._acknowledge(document)

    def _acknowledge(self, document: str) -> None:
        """Acknowledge what is stored: once for all merges of a document that shared a commit."""
        if not self._unacknowledged:
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._acknowledge_all)  # the apps are told in the turn before
        self._unacknowledged[document] = self._core.vector(document)

    def _acknowledge_all(self) -> None:
        waiting, self._unacknowledged = self._unacknowledged, {}
        if not self._ended:
            for document, vector in waiting.items():
                self._carry_out(self.replica.stored(document, vector))
            self._progressed()

    def _count(self, size: int) -> None:
        """Count bytes that wait to be merged; stop reading while they are too many."""
        self._in_flight += size
        paused = self._in_flight > (MAX_IN_FLIGHT // 2 if self._paused else MAX_IN_FLIGHT)
        if paused is not self._paused:
            self._behind, self._paused_at = self.behind, monotonic()
            self._paused = paused
            self._pause(paused)

    @property
    def behind(self) -> float:
        """Seconds for which reading was stopped, because the peer sent more than could be merged."""
        return self._behind + (monotonic() - self._paused_at if self._paused else 0.0)


class Fetching(Documents):
    """The same for a device that forgot what it wrote: it takes the peer's documents whole and starts over."""

    def __init__(self, core: Core, device: str, *, done: Callable[[], None], **callbacks: Any) -> None:
        super().__init__(core, device, **callbacks)
        self._rescue = Rescue()
        self._asked = False
        self._done = done

    def end(self) -> None:
        """Do nothing more; let go of the link."""
        super().end()
        self._done = _nothing

    def begin(self, states: States) -> None:
        """Ask for everything."""
        for frame in self._rescue.begin():
            self._send(frame)

    def hold_back(self, held_back: bool) -> None:
        """Hold everything back: nothing is sent before the start over."""

    def changed(self, document: str, update: bytes) -> None:
        """Send nothing: what is written meanwhile goes into the start over."""

    def summarise(self, states: States) -> None:
        """Say nothing."""

    def receive(self, frame: Frame) -> None:
        """Collect the peer's documents."""
        if self._asked:
            return
        for answer in self._rescue.receive(frame):
            self._send(answer)
        if self._rescue.complete:
            self._asked = True
            self._core.rescue(self._rescue.states, self._started_over)

    def _started_over(self, result: object) -> None:
        if self._ended:
            return
        if isinstance(result, (NoggError, ProtocolError)):
            self._failed(result)
        else:
            self._done()


def _nothing(*_: object) -> None:
    """Stand for the callbacks of a link that has ended."""
