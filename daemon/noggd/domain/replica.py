"""How two devices keep their documents equal over one link: a state machine, frames in, things to do out.

The rules that make this safe (docs/protocol.md has the why of each):

- A change of a document goes out only after the peer's state vector for it was answered, and in order.
Changes that come
  while that answer is being made wait behind it.
- What does not follow on what we have is not merged; we say what we have instead, once, and are answered. -
What is stored is acknowledged with the state vector of the disk. - Every few seconds both sides sum up what
they have, deletions included. Who sees that the other lacks something, and
  that nothing is on its way, sends it.
- A device whose clock runs far ahead sends no content until that is mended; it still receives.

Actions are carried out in order by the caller, who reports back through `answered`, `stored` and `refused`.
Nothing here reads a document, a clock or a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from nogg.errors import ProtocolError
from noggd.domain.frames import Frame, Step1, Step2, Stored, Summary, Update
from noggd.domain.update import MAX_CLIENTS, decode_state_vector, encode_state_vector

MAX_DOCUMENTS: Final = 1100
"""Documents on one link: the person's, a thousand sessions, and some room."""
MAX_WAITING: Final = 4 * 1024 * 1024
"""Bytes of changes of a document that may wait behind an answer; beyond, the next round starts over."""


class Send(NamedTuple):
    """Send a frame."""

    frame: Frame


class Ask(NamedTuple):
    """Send sync step 1 with the state vector that is on disk."""

    document: str


class Answer(NamedTuple):
    """Find what a replica of this state vector lacks, and report it to `answered`."""

    document: str
    vector: bytes
    turn: int


class Merge(NamedTuple):
    """Merge an update; report to `merged` and `stored`, or to `refused` if it runs ahead of what is here.

    `asked`: it is the answer to our sync step 1.
    """

    document: str
    update: bytes
    asked: bool


Action = Send | Ask | Answer | Merge


class _Shared:
    """What is known about one document on this link."""

    __slots__ = ("answering", "asked", "begun", "has", "live", "owed", "quiet", "turn", "waiting")

    def __init__(self) -> None:
        self.begun = False
        """Our sync step 1 went out at least once."""
        self.asked = False
        """Our sync step 1 is unanswered."""
        self.owed = False
        """The peer's sync step 1 is unanswered."""
        self.answering = False
        """What the peer lacks is being looked up, for the last time in this `turn`."""
        self.turn = 0
        self.waiting: list[bytes] = []
        """Changes that go out behind that answer."""
        self.live = False
        """The peer has been sent everything up to now, so the next change may follow."""
        self.has: dict[int, int] | None = None
        """What the peer is known to have on its disk; None while it has not said."""
        self.quiet: Summary | None = None
        """The peer's last summary, while nothing was sent or merged since."""

    def stop(self) -> None:
        """Send nothing more until the next answer; what is being looked up is not wanted any more."""
        self.live = self.answering = False
        self.waiting.clear()


class Replica:
    """All documents as seen over one link. `held_back`: send no content for now."""

    def __init__(self, *, held_back: bool = False) -> None:
        self._held_back = held_back
        self._documents: dict[str, _Shared] = {}

    @property
    def held_back(self) -> bool:
        """Whether content is held back, because this device's clock is far ahead of the peer's."""
        return self._held_back

    def peer_has(self, document: str) -> Mapping[int, int]:
        """Return the state vector that the peer is known to have on its disk."""
        shared = self._documents.get(document)
        return (shared.has if shared is not None else None) or {}

    def _shared(self, document: str) -> _Shared:
        shared = self._documents.get(document)
        if shared is None:
            if len(self._documents) >= MAX_DOCUMENTS:
                raise ProtocolError("too many documents on one link")
            shared = self._documents[document] = _Shared()
        return shared

    # This device

    def begin(self, documents: Mapping[str, bytes]) -> list[Action]:
        """Start: say what there is of each document, given its state vector on disk."""
        for document in documents:
            shared = self._shared(document)
            shared.begun = shared.asked = True
        return [Send(Step1(document, vector)) for document, vector in documents.items()]

    def changed(self, document: str, update: bytes) -> list[Action]:
        """Take a change that is on disk: one of ours, or one that came over another link."""
        shared = self._documents.get(document)
        if shared is None:
            return self._ask(document, self._shared(document))
        if shared.live:
            shared.quiet = None
            return [Send(Update(document, update))]
        if shared.answering:
            shared.waiting.append(update)
            if sum(map(len, shared.waiting)) > MAX_WAITING:
                shared.stop()  # the next round looks it all up anew
        return []

    def hold_back(self, held_back: bool) -> list[Action]:
        """Stop sending content, or begin again with what was held back meanwhile."""
        if held_back == self._held_back:
            return []
        self._held_back = held_back
        if held_back:
            for shared in self._documents.values():
                shared.stop()
            return []
        return self._catch_up()

    def summarise(self, documents: Mapping[str, tuple[bytes, bytes]]) -> list[Action]:
        """Say what there is, given state vector and digest of each document on disk; send what the peer lacks."""
        actions: list[Action] = []
        for document, (vector, digest) in documents.items():
            shared = self._shared(document)
            if not shared.begun:
                actions += self._ask(document, shared)
            elif shared.quiet is not None and not _suffices(shared.quiet, vector, digest):
                actions += self._answer(document, shared, shared.quiet.vector)
            actions.append(Send(Summary(document, vector, digest)))
        return actions + self._catch_up()

    def in_step(self, documents: Mapping[str, tuple[bytes, bytes]]) -> bool:
        """Say whether the peer's last summaries show that it has just what there is here."""
        return all(
            (shared := self._documents.get(document)) is not None
            and shared.quiet is not None
            and (shared.quiet.vector, shared.quiet.digest) == state
            for document, state in documents.items()
        )

    def _catch_up(self) -> list[Action]:
        """Answer for every document of which something was left out."""
        actions: list[Action] = []
        for document, shared in self._documents.items():
            if shared.has is not None and not shared.live:
                actions += self._answer(document, shared, encode_state_vector(shared.has))
        return actions

    def _ask(self, document: str, shared: _Shared) -> list[Action]:
        if shared.asked:
            return []
        shared.begun = shared.asked = True
        return [Ask(document)]

    def _answer(self, document: str, shared: _Shared, vector: bytes) -> list[Action]:
        if self._held_back or shared.answering:
            return []
        shared.live = False
        shared.quiet = None
        shared.answering = True
        shared.turn += 1
        return [Answer(document, vector, shared.turn)]

    # The peer

    def receive(self, frame: Frame) -> list[Action]:
        """Take a frame about a document. Raises ProtocolError if it is none, or should not have come."""
        match frame:
            case Update(document, update):
                shared = self._shared(document)
                shared.quiet = None
                return [Merge(document, update, False)]
            case Step2(document, update):
                return self._answered_by_peer(document, update)
            case Step1(document, vector):
                return self._asked_by_peer(document, vector)
            case Stored(document, vector):
                self._note(self._shared(document), decode_state_vector(vector))
            case Summary(document, vector, _):
                shared = self._shared(document)
                self._note(shared, decode_state_vector(vector))
                shared.quiet = frame
                if not shared.begun:  # the frame that told of it went astray
                    return self._ask(document, shared)
            case _:
                raise ProtocolError("a frame came that is not about a document")
        return []

    def _answered_by_peer(self, document: str, update: bytes) -> list[Action]:
        shared = self._shared(document)
        if not shared.asked:
            raise ProtocolError("an answer came that was not asked for")
        shared.asked = False
        shared.quiet = None
        return [Merge(document, update, True)]

    def _asked_by_peer(self, document: str, vector: bytes) -> list[Action]:
        shared = self._shared(document)
        if shared.owed:
            raise ProtocolError("the peer asked twice without waiting for the answer")
        self._note(shared, decode_state_vector(vector))
        shared.quiet = None
        shared.owed = True
        actions = [] if shared.begun else self._ask(document, shared)
        shared.stop()  # what was being looked up for a summary is answered by this
        return actions + self._answer(document, shared, vector)

    @staticmethod
    def _note(shared: _Shared, clocks: Mapping[int, int]) -> None:
        has = shared.has = shared.has or {}
        for client, clock in clocks.items():
            if clock > has.get(client, 0):
                has[client] = clock
        if len(has) > MAX_CLIENTS:
            raise ProtocolError("the peer names more and more clients")

    # What became of actions

    def answered(self, action: Answer, update: bytes) -> list[Action]:
        """Take what an Answer found."""
        shared = self._shared(action.document)
        if not shared.answering or action.turn != shared.turn:
            return []
        document = action.document
        frame = Step2(document, update) if shared.owed else Update(document, update)
        changes = [Send(Update(document, change)) for change in shared.waiting]
        shared.stop()
        shared.owed = False
        shared.live = True
        return [Send(frame), *changes]

    def merged(self, document: str, brought: Mapping[int, int]) -> None:
        """Note that the peer has what its update brought: whatever is sent is on the disk of who sends it.

        Takes the clock of each client that wrote some of it. Raises ProtocolError as `receive` does.
        """
        shared = self._shared(document)
        if shared.has is not None:  # before the peer said what it has, this would pass for all of it
            self._note(shared, brought)

    @staticmethod
    def stored(document: str, vector: bytes) -> list[Action]:
        """Note that merged updates are on disk, which now has this state vector."""
        return [Send(Stored(document, vector))]

    def refused(self, action: Merge) -> list[Action]:
        """Note that an update runs ahead of what is here; an answer that does so is not asked for again at once."""
        return [] if action.asked else self._ask(action.document, self._shared(action.document))


def _suffices(summary: Summary, vector: bytes, digest: bytes) -> bool:
    """Say whether a peer with this summary need not be sent anything of what there is here now."""
    has, here = decode_state_vector(summary.vector), decode_state_vector(vector)
    if any(has.get(client, 0) < clock for client, clock in here.items()):
        return False
    # Deletions differ: who is behind waits for what it lacks. Did it send its own, round by round, the other one
    # would take each for news and never come to sending.
    return summary.digest == digest or any(here.get(client, 0) < clock for client, clock in has.items())
