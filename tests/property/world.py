"""Three devices of one person in memory: what they wrote, what they know of each other, what must come of it.

The oracle keeps its own log of every act with its stamp and the causal knowledge behind it; it shares no code with
the fold.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from nogg.errors import NotFound
from noggd.domain.changes import Origin
from noggd.domain.document import Document, Incomplete
from noggd.domain.hlc import HybridClock
from noggd.domain.session import Session

DEVICES = ("dA", "dB", "dC")
IDS = ("m1", "m2", "m3")
EXAMPLES = int(os.environ.get("NOGG_EXAMPLES", "150"))
"""Histories that each property tries; the long form is run with more."""
START = 1_700_000_000_000


@dataclass
class Act:
    """One act as the oracle remembers it."""

    number: int
    stamp: int
    device: str
    kind: str
    name: str
    view: str | None = None
    password: str | None = None
    knows: frozenset[int] = frozenset()
    writes_view: bool = False
    writes_password: bool = False


@dataclass
class Device:
    """One device: its session, the acts that it knows, updates on their way to each other device."""

    name: str
    client: int
    session: Session
    knows: set[int] = field(default_factory=set)
    skew: int = 0
    clients: list[int] = field(default_factory=list)
    """Every client id that it ever wrote under."""
    backup: tuple[bytes, int, frozenset[int]] | None = None
    rolled_back: bool = False


class World:
    """Three devices, a clock, the log."""

    def __init__(self) -> None:
        self.now = START
        self.log: list[Act] = []
        self.secrets = 0
        self.devices = [self._device(name, 101 + 50 * index) for index, name in enumerate(DEVICES)]
        self.wires: dict[tuple[int, int], list[tuple[bytes, frozenset[int]]]] = {
            (a, b): [] for a in range(3) for b in range(3) if a != b
        }

    def _device(self, name: str, client: int, state: bytes = b"", clock: int = 0) -> Device:
        session = Session("default", name, HybridClock(clock), Document(client, name, state))
        session.load()
        return Device(name, client, session, clients=[client])

    def time(self, who: int) -> int:
        return self.now + self.devices[who].skew

    # Acts

    def act(self, who: int, kind: str, name: str, view: str | None = None, secret: bool = False) -> None:
        device, session = self.devices[who], self.devices[who].session
        password = None
        if secret:
            self.secrets += 1
            password = f"secret-{self.secrets:04}-of-{name}"
        alive = name in session.references
        now = self.time(who)
        operation: Callable[[], object]
        act = Act(len(self.log), 0, device.name, kind, name, view, password, frozenset(device.knows))
        match kind:
            case "register":
                operation = lambda: session.register(now, name, view, password)  # noqa: E731 (one line each)
                act.writes_view, act.writes_password = view is not None, password is not None
            case "update" if alive:
                fields: dict[str, str | None] = {"password": password} if secret else {"view": view}
                operation = lambda: session.update(now, name, fields)  # noqa: E731 (one line each)
                act.writes_view, act.writes_password = not secret, secret
            case "clear" if alive:
                operation = lambda: session.update(now, name, {"password": None})  # noqa: E731 (one line each)
                act.writes_password = True
            case "remove" if alive:
                operation = lambda: session.remove(now, name)  # noqa: E731 (one line each)
            case "touch" if alive:
                operation = lambda: session.touch(now, name)  # noqa: E731 (one line each)
            case "restore":
                operation = lambda: session.restore(now, name)  # noqa: E731 (one line each)
            case "forget":
                operation = lambda: session.forget(now, name)  # noqa: E731 (one line each)
            case _:
                return
        try:
            session.perform(operation, Origin(device.name))
        except NotFound:
            return
        if kind == "restore" and alive:
            return
        act.stamp = session.clock.last
        self.log.append(act)
        device.knows.add(act.number)
        if kind != "touch":
            session.maps.hurry()
            self.send(who, frozenset({act.number}))

    def activate(self, who: int, name: str | None) -> None:
        session = self.devices[who].session
        session.perform(lambda: session.set_active(self.time(who), name), Origin(DEVICES[who]))
        self.send(who, frozenset())

    def send(self, who: int, acts: frozenset[int]) -> None:
        if self.devices[who].rolled_back:
            self.devices[who].session.maps.flush()
            return  # a link first finds out that the other side knows more of us than we do
        for update in self.devices[who].session.maps.flush():
            for other in range(3):
                if other != who:
                    self.wires[who, other].append((update, acts))

    def flush(self, who: int) -> None:
        """Let accesses that wait go into the document."""
        device = self.devices[who]
        waiting = {key[2:] for key in device.session.maps.later}
        acts = frozenset(a.number for a in self.log if a.kind == "touch" and a.name in waiting)
        device.session.maps.hurry()
        self.send(who, acts & frozenset(device.knows))

    # What happens to devices and links

    def sync(self, source: int, target: int) -> None:
        """A state-vector sync in one direction."""
        self.flush(source)
        a, b = self.devices[source], self.devices[target]
        if a.rolled_back and b.rolled_back:
            return
        if a.rolled_back or self.knows_more(b, a):
            self.rescue(source, target)
        if b.rolled_back or self.knows_more(a, b):
            self.rescue(target, source)
        assert a.session.maps.document is not None
        assert b.session.maps.document is not None
        update = a.session.maps.document.missing(b.session.maps.document.state_vector)
        b.session.merge(update, Origin(a.name))
        b.knows |= a.knows
        self.send(target, frozenset())

    def deliver(self, source: int, target: int, pick: int) -> str:
        """One raw update, in any order, perhaps twice."""
        wire = self.wires[source, target]
        a, b = self.devices[source], self.devices[target]
        if not wire or a.rolled_back or b.rolled_back or self.knows_more(a, b):
            return "empty"
        update, acts = wire[pick % len(wire)]
        if pick % 3:
            wire.pop(pick % len(wire))
        try:
            self.devices[target].session.merge(update, Origin(DEVICES[source]))
        except Incomplete:
            return "incomplete"
        self.devices[target].knows |= acts
        self.send(target, frozenset())
        return "merged"

    def compact(self, who: int) -> None:
        self.flush(who)
        for update in self.devices[who].session.compact(self.time(who)):
            for other in range(3):
                if other != who:
                    self.wires[who, other].append((update, frozenset()))

    def restart(self, who: int) -> None:
        self.flush(who)
        old = self.devices[who]
        assert old.session.maps.document is not None
        new = self._device(old.name, old.client, old.session.maps.document.encode(), old.session.clock.last)
        new.knows, new.skew = old.knows, old.skew
        new.backup, new.rolled_back, new.clients = old.backup, old.rolled_back, old.clients
        self.devices[who] = new

    def back_up(self, who: int) -> None:
        self.flush(who)
        device = self.devices[who]
        if not device.rolled_back:
            assert device.session.maps.document is not None
            state = device.session.maps.document.encode()
            device.backup = (state, device.session.clock.last, frozenset(device.knows))

    def roll_back(self, who: int) -> None:
        """Restore the backup: what was written since is forgotten here, and perhaps known elsewhere."""
        old = self.devices[who]
        if old.backup is None or sum(device.rolled_back for device in self.devices) > 1:
            return
        state, clock, knows = old.backup
        new = self._device(old.name, old.client, state, clock)
        new.knows, new.skew, new.rolled_back, new.clients = set(knows), old.skew, True, old.clients
        self.devices[who] = new
        for pair, wire in self.wires.items():
            if who in pair:
                wire.clear()  # what was on its way arrived, or went with the connection

    def knows_more(self, helper: Device, lost: Device) -> bool:
        """Whether one device holds more of what another ever wrote than that one itself."""
        theirs, own = helper.session.maps.document, lost.session.maps.document
        assert theirs is not None
        assert own is not None
        return any(theirs.clock_of(client) > own.clock_of(client) for client in lost.clients)

    def rescue(self, who: int, by: int) -> None:
        lost, helper = self.devices[who], self.devices[by]
        self.flush(by)
        assert helper.session.maps.document is not None
        lost.client += 1000
        lost.clients.append(lost.client)
        lost.session.rescue(lost.client, helper.session.maps.document.encode(), Origin(helper.name))
        lost.session.maps.flush()
        lost.knows |= helper.knows
        lost.rolled_back = False

    def settle(self) -> None:
        """Sync everyone with everyone until nothing is new."""
        for _ in range(3):
            for a in range(3):
                for b in range(3):
                    if a != b:
                        self.sync(a, b)

    # What must be visible

    @property
    def history(self) -> list[Act]:
        """The acts that any device still knows: a rolled-back device may have taken some with it."""
        known = set().union(*(device.knows for device in self.devices))
        return [act for act in self.log if act.number in known]

    def acts(self, name: str, *kinds: str) -> list[Act]:
        return [act for act in self.history if act.name == name and act.kind in kinds]

    def gone(self, name: str) -> int:
        return max((act.stamp for act in self.acts(name, "remove")), default=0)

    def newest(self, acts: list[Act]) -> Act | None:
        return max(acts, key=lambda act: (act.stamp, act.device), default=None)

    def passwords(self, name: str) -> list[Act]:
        return [a for a in self.history if a.name == name and a.writes_password and a.stamp > self.gone(name)]

    def unanswered(self, name: str) -> list[Act]:
        """Password writes that no later writer knew."""
        writes = self.passwords(name)
        return [a for a in writes if not any(a.number in b.knows for b in writes if b is not a)]
