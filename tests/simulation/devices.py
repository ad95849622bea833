"""Devices with the real core and the real replica protocol, joined by links that lose, delay and break."""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from typing import Any, cast

from noggd.core import Core
from noggd.core.opening import load
from noggd.domain.changes import Origin
from noggd.domain.document import Incomplete
from noggd.domain.frames import Frame, Step1, read_frame, write_frame
from noggd.domain.replica import Action, Answer, Ask, Merge, Replica, Send
from tests.simulation.engine import Disk, Engine, Life, Writer

START_MS = 1_700_000_000_000
EMPTY = b"\x00"


class Device:
    """One device: a disk, and while it runs a core and its ends of links. `skew` is its clock's error in ms."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.disk = Disk()
        self.skew = 0
        self.ends: dict[str, End] = {}
        self.start()

    def now(self) -> int:
        return START_MS + int(self.engine.time * 1000) + self.skew

    def start(self) -> None:
        self.life = Life(self.engine)
        replicas, history = load(cast(Any, self.disk), self.name, None)
        writer = Writer(self.disk, self.life)
        self.core: Core | None = Core(cast(Any, writer), replicas, history, self.now, self.life)
        self.core.on_update(self._changed)

    def crash(self) -> None:
        self.life.alive = False
        self.core = None
        for end in list(self.ends.values()):
            end.link.cut()

    def _changed(self, document: str, update: bytes, source: str) -> None:
        for end in list(self.ends.values()):
            if end.link.other(end).device.name != source:
                end.changed(document, update)

    def call(self, operation: Any, reply: Any) -> None:
        assert self.core is not None
        self.core.change("default", operation, reply, Origin(self.name))


class End:
    """One side of a link: carries out what the replica wants, one thing after the other."""

    def __init__(self, link: Link, device: Device) -> None:
        self.link = link
        self.device = device
        self.replica = Replica()
        self._todo: deque[Action] = deque()
        self._busy = False
        self._early: list[Frame] | None = []
        """What came before our own beginning, which waits for the disk."""

    @property
    def core(self) -> Core:
        assert self.device.core is not None
        return self.device.core

    def begin(self) -> None:
        def start(states: dict[str, tuple[bytes, bytes]]) -> None:
            self.do(self.replica.begin({name: state[0] for name, state in states.items()}))
            early, self._early = self._early or [], None
            for frame in early:
                self.receive(frame)

        self._states(start)

    def changed(self, document: str, update: bytes) -> None:
        if self._early is None:  # before that, what there is will be told by the beginning
            self.do(self.replica.changed(document, update))

    def receive(self, frame: Frame) -> None:
        if self._early is not None:
            self._early.append(frame)
        else:
            self.do(self.replica.receive(frame))

    def summarise(self) -> None:
        self._states(lambda states: self.do(self.replica.summarise(states)))

    def _states(self, then: Any) -> None:
        def reply(states: dict[str, tuple[bytes, bytes]]) -> None:
            if self.link.up:
                then({name: (vector, sha256(gone).digest()) for name, (vector, gone) in states.items()})

        self.core.state(reply)

    def do(self, actions: list[Action]) -> None:
        """Carry these out after what is still to do."""
        self._todo.extend(actions)
        self._pump()

    def _pump(self) -> None:
        while self._todo and not self._busy and self.link.up:
            self._carry_out(self._todo.popleft())

    def _done(self, actions: list[Action]) -> None:
        if self.link.up:
            self._busy = False
            self._todo.extendleft(reversed(actions))
            self._pump()

    def _carry_out(self, action: Action) -> None:
        match action:
            case Send(frame):
                self.link.send(self, frame)
                return
            case Ask(document):
                self._busy = True
                self._states(
                    lambda states: self._done([Send(Step1(document, states.get(document, (EMPTY, b""))[0]))])
                )
            case Answer(document, vector, _):
                self._busy = True
                self.core.missing(
                    document, vector, lambda update: self._done(self.replica.answered(action, update))
                )
            case Merge(document, update, _):
                self._busy = True
                name = self.link.other(self).device.name
                self.core.merge(document, update, name, lambda result: self._merged(action, result))

    def _merged(self, action: Merge, result: object) -> None:
        if result is None:
            self._states(
                lambda states: self._done(self.replica.stored(action.document, states[action.document][0]))
            )
        elif isinstance(result, Incomplete):
            self._done(self.replica.refused(action))
        else:
            raise AssertionError(f"an honest device sent what is refused: {result}")


class Link:
    """A connection: frames arrive in order after a while, until it is cut; then all that was on its way is lost."""

    def __init__(self, engine: Engine, a: Device, b: Device) -> None:
        self.engine = engine
        self.up = True
        self.ends = (End(self, a), End(self, b))
        self._arrival = dict.fromkeys(self.ends, 0.0)
        for end, other in (self.ends, self.ends[::-1]):
            old = end.device.ends.get(other.device.name)
            if old is not None:
                old.link.cut()
            end.device.ends[other.device.name] = end
        for end in self.ends:
            end.begin()
        self._keep_alive()

    def other(self, end: End) -> End:
        return self.ends[1] if end is self.ends[0] else self.ends[0]

    def send(self, end: End, frame: Frame) -> None:
        data = write_frame(frame)
        target = self.other(end)
        arrival = max(self._arrival[target], self.engine.time + self.engine.random.uniform(0.0002, 0.08))
        self._arrival[target] = arrival
        self.engine.after(arrival - self.engine.time, lambda: self._arrive(target, data))

    def _arrive(self, target: End, data: bytes) -> None:
        if self.up:
            target.receive(read_frame(data))

    def _keep_alive(self) -> None:
        if self.up:
            for end in self.ends:
                end.summarise()
            self.engine.after(self.engine.random.uniform(0.5, 1.5), self._keep_alive)

    def cut(self) -> None:
        if self.up:
            self.up = False
            for end in self.ends:
                if end.device.ends.get(self.other(end).device.name) is end:
                    del end.device.ends[self.other(end).device.name]
