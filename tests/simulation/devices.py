"""Devices with the real core and the real exchange of documents, joined by links that lose, delay and break."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, cast

from nogg.errors import ProtocolError
from noggd.core import Core
from noggd.core.opening import load
from noggd.domain.changes import ABSENT, Change, Origin
from noggd.domain.frames import Frame, Summary, read_frame, write_frame
from noggd.domain.reference import Reference
from noggd.services.peers.documents import Documents, States
from noggd.services.peers.link import MAX_AHEAD
from tests.simulation.engine import Disk, Engine, Life, Writer

START_MS = 1_700_000_000_000
SESSION = "default"
KEEP_ALIVE = (2.0, 4.0)


class Mirror:
    """What an app knows that is told of every change: it must be what reading shows."""

    def __init__(self, core: Core) -> None:
        view = core.view(SESSION)
        self.revision = view.revision
        self.active = view.active
        self.references = dict(view.references)
        core.listen(self._told)

    def _told(self, change: object) -> None:
        if isinstance(change, Change) and change.revision != change.from_revision:
            assert change.from_revision == self.revision, "an app was told out of order"
            self.revision = change.revision
            self.references.update(change.set)
            for name in change.removed:
                del self.references[name]
            if change.active is not ABSENT:
                self.active = change.active

    def check(self, core: Core) -> None:
        view = core.view(SESSION)
        assert explicit(self.references) == explicit(view.references), "an app was told something else"
        assert (self.revision, self.active) == (view.revision, view.active), "an app was told something else"


def explicit(references: dict[str, Reference]) -> dict[str, tuple[str | None, str | None]]:
    """Return what shows of references, but for accesses: those may show before they are on disk."""
    return {name: (each.view, each.password) for name, each in references.items()}


class Device:
    """One device: a disk, and while it runs a core and its ends of links. `skew` is its clock's error in ms."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.disk = Disk(engine)
        self.skew = 0
        self.ends: dict[str, End] = {}
        self._shown: object = None
        self.start()

    def now(self) -> int:
        return START_MS + int(self.engine.time * 1000) + self.skew

    def start(self) -> None:
        self.life = Life(self.engine)
        replicas, history = load(cast(Any, self.disk), self.name, None)
        writer = Writer(self.disk, self.life)
        self.core: Core | None = Core(cast(Any, writer), replicas, history, self.now, self.life)
        self.core.on_update(self._changed)
        assert self._shown in (None, self.shown()), "what is on disk is not what was shown"
        self.mirror = Mirror(self.core)

    def crash(self) -> None:
        assert self.core is not None
        self.mirror.check(self.core)
        self._shown = self.shown() if self.quiet else None
        self.life.alive = False
        self.end()

    def end(self) -> None:
        """Let go of all that was in memory: a Y document that is not closed is kept for ever."""
        core, self.core = self.core, None
        for end in list(self.ends.values()):
            end.link.cut()
        if core is not None:
            for name in core.documents():
                maps = core._replicas.maps(name)
                assert maps is not None
                maps.close()

    @property
    def quiet(self) -> bool:
        """Whether nothing is being written or waits for that, but for accesses."""
        core = self.core
        return core is not None and not core._busy and not core._queue

    def shown(self) -> object:
        """What apps can see here, but for accesses."""
        assert self.core is not None
        view = self.core.view(SESSION)
        revisions = {name: each.revision for name, each in view.references.items()}
        return explicit(view.references), revisions, view.revision, view.active, self.core.username

    def states(self) -> dict[str, tuple[bytes, bytes]]:
        """Return state vector and digest of the delete set of each document: equal ones hold the same."""
        assert self.core is not None
        return digested(self.core._states())

    def _changed(self, document: str, update: bytes, source: str) -> None:
        for end in list(self.ends.values()):
            if end.link.other(end).device.name != source:
                end.changed(document, update)

    def call(self, operation: Any, reply: Any) -> None:
        assert self.core is not None
        self.core.change(SESSION, operation, reply, Origin(self.name))


def digested(states: States) -> dict[str, tuple[bytes, bytes]]:
    return {name: (vector, sha256(gone).digest()) for name, (vector, gone) in states.items()}


class End:
    """One side of a link: what `services.peers.link` does around the real `Documents`."""

    def __init__(self, link: Link, device: Device) -> None:
        self.link = link
        self.device = device
        assert device.core is not None
        self.core: Core = device.core
        self.documents = Documents(
            self.core,
            link.name_of_other(device),
            send=lambda frame: link.send(self, frame),
            pause=lambda paused: None,
            failed=self._failed,
            progressed=lambda: None,
            forgotten=lambda: self._failed(AssertionError("a peer knows more of a device than itself")),
        )
        self._early: list[Frame] | None = []
        """What came before our own beginning, which waits for the disk."""

    def greet(self, other: End) -> None:
        """Compare clocks, then begin."""
        ahead = self.device.now() - other.device.now()
        self.documents.hold_back(ahead > MAX_AHEAD)
        if abs(ahead) <= MAX_AHEAD:
            self.core.mend_clock(lambda result: self._begin())
        else:
            self._begin()

    def _begin(self) -> None:
        self.core.state(self._begun)

    def _begun(self, states: States) -> None:
        if self.link.up:
            self.documents.begin(digested(states))
            early, self._early = self._early or [], None
            for frame in early:
                self.receive(frame)

    def changed(self, document: str, update: bytes) -> None:
        if self._early is None:  # before that, what there is will be told by the beginning
            self.documents.changed(document, update)

    def receive(self, frame: Frame) -> None:
        if self._early is not None:
            self._early.append(frame)
            return
        try:
            self.documents.receive(frame)
        except ProtocolError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        assert self.link.faulty, f"an honest device ended a link: {error}"
        self.link.cut()

    def keep_alive(self, other: End) -> None:
        """Sum up what there is; let go of what was held back when the clock is mended."""
        if self._early is not None:
            return
        if self.documents.replica.held_back and self.device.now() - other.device.now() <= MAX_AHEAD:
            self.core.mend_clock(lambda result: self.documents.hold_back(False))
        self.core.state(lambda states: self.documents.summarise(digested(states)) if self.link.up else None)


class Link:
    """A connection: frames arrive in order after a while, until it is cut; then all that was on its way is lost.

    `faults` is the share of frames that are lost, come twice or come too late all the same.
    """

    def __init__(self, engine: Engine, a: Device, b: Device, faults: float = 0.0) -> None:
        self.engine = engine
        self.up = True
        self.faults = faults
        self.faulty = faults > 0
        """Whether frames may have been spoiled at any time: then the protocol may have to end the link."""
        self.said = 0
        """Frames that were sent, but for summaries: none where there is nothing to tell."""
        self._devices = (a, b)
        self.ends = (End(self, a), End(self, b))
        self._arrival = dict.fromkeys(self.ends, 0.0)
        for end, other in (self.ends, self.ends[::-1]):
            old = end.device.ends.get(other.device.name)
            if old is not None:
                old.link.cut()
            end.device.ends[other.device.name] = end
        for end in self.ends:
            end.greet(self.other(end))
        engine.after(engine.random.uniform(*KEEP_ALIVE), self._keep_alive)

    def name_of_other(self, device: Device) -> str:
        return next(each.name for each in self._devices if each is not device)

    def other(self, end: End) -> End:
        return self.ends[1] if end is self.ends[0] else self.ends[0]

    def send(self, end: End, frame: Frame) -> None:
        random = self.engine.random
        data = write_frame(frame)
        # not the bytes: yrs writes the keys of a JSON object in an order that chance decides
        self.engine.trace.update(
            f"{self.engine.time} {end.device.name} {type(frame).__name__} {len(data)}".encode()
        )
        self.said += not isinstance(frame, Summary)
        target = self.other(end)
        arrival = max(self._arrival[target], self.engine.time + random.uniform(0.0002, 0.08))
        if self.faults and random.random() < self.faults:
            match random.randrange(4):
                case 0 | 1:
                    return
                case 2:
                    self.engine.after(arrival - self.engine.time, self._arrive, target, data)
                case _:  # others overtake it
                    self.engine.after(arrival - self.engine.time + 0.1, self._arrive, target, data)
                    return
        self._arrival[target] = arrival
        self.engine.after(arrival - self.engine.time, self._arrive, target, data)

    def _arrive(self, target: End, data: bytes) -> None:
        if self.up:
            target.receive(read_frame(data))

    def _keep_alive(self) -> None:
        if self.up:
            for end in self.ends:
                end.keep_alive(self.other(end))
            self.engine.after(self.engine.random.uniform(*KEEP_ALIVE), self._keep_alive)

    def cut(self) -> None:
        if self.up:
            self.up = False
            for end in self.ends:
                end.documents.end()
                if end.device.ends.get(self.other(end).device.name) is end:
                    del end.device.ends[self.other(end).device.name]
