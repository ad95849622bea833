"""One history by its seed: devices that act, crash and lose each other, then a whole network, then what must hold.

Most worlds are small, so that many can be tried; one in twelve is large.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from noggd.domain.changes import Origin
from noggd.domain.hlc import milliseconds
from noggd.domain.reference import Reference
from noggd.services.peers.link import MAX_AHEAD
from tests.simulation.devices import SESSION, Device, Link
from tests.simulation.engine import Engine

SHARED = ("shared.1", "shared.2")
YEAR = 365 * 24 * 3600 * 1000
HEALING = 30.0
"""Virtual seconds within which all must be equal once the network is whole."""
LAST_WORDS = 12.0
"""Virtual seconds until equal devices have nothing to say: accesses wait for 3, and each keep-alive for up to 4."""
CALM = 4.5
"""Virtual seconds of listening whether that is so: longer than the keep-alive waits."""
FAULTS = (0.0, 0.0, 0.05, 0.2)
"""Shares of frames that a link spoils. Half of the worlds have links as TLS over TCP makes them: whole, or cut."""


class Chaos:
    """One history."""

    def __init__(self, seed: int) -> None:
        self.engine = Engine(seed)
        self.random = self.engine.random
        large = seed % 12 == 6
        self.devices = [
            Device(self.engine, f"d{number}")
            for number in range(self.random.randint(3, 5) if large else self.random.randint(2, 3))
        ]
        self.acts = self.random.randint(30, 80) if large else self.random.randint(8, 30)
        self.faults = self.random.choice(FAULTS)
        self.whole = False
        """Whether nothing breaks any more."""
        self.patient = seed % 5 == 0
        for device in self.devices:
            device.skew = self.random.randint(-300_000, 300_000)
        if self.random.random() < 0.1:
            self.devices[0].skew += YEAR
        self.count = 0
        self.answered: dict[str, str] = {}
        """Passwords of references that only one device registers."""
        self.removing: set[str] = set()
        self.removed: set[str] = set()
        self.outdone: set[str] = set()
        """Passwords in whose place somebody who saw them put another."""
        self.active: dict[str, list[str | None]] = {device.name: [None] for device in self.devices}
        """What may be active on a device: what was answered last, and what was asked for since."""

    def run(self) -> None:
        acts: tuple[Callable[[Device], None], ...] = (
            *(self.register, self.register, self.share, self.share),  # twice as often as the others
            *(self.remove, self.touch, self.activate, self.rename),
        )
        for _ in range(self.acts):
            device = self.random.choice(self.devices)
            if self.random.random() < 0.35:
                self.fate(device)
            elif device.core is not None:
                self.random.choice(acts)(device)
            self.engine.run_until(self.engine.time + self.random.choice((0, 0.001, 0.02, 0.3)))
        self.heal()

    # What happens to devices and links

    def fate(self, device: Device) -> None:
        match self.random.randrange(8):
            case 0:
                self.crash(device)
            case 1 if device.ends:
                self.random.choice(list(device.ends.values())).link.cut()
            case 2:
                device.skew += self.random.randint(-1000, 1000)
            case 3 if device.core is not None:
                device.core._maintenance.want_compaction()
            case 4 if device.core is not None:
                device.core.compact_maps(lambda result: None)
            case _:
                self.connect(device, self.random.choice(self.devices), self.faults)

    def crash(self, device: Device) -> None:
        if device.core is not None and not self.whole:
            device.crash()
            self.engine.after(self.random.uniform(0, 1.0), self.revive, device)

    def revive(self, device: Device) -> None:
        if device.core is None:
            device.start()

    def connect(self, a: Device, b: Device, faults: float = 0.0) -> None:
        if a is not b and a.core is not None and b.core is not None:
            Link(self.engine, a, b, faults)

    # What apps do

    def perhaps_crash(self, device: Device) -> None:
        """Now and then, crash between two steps of what was just begun."""
        if self.random.random() < 0.2:
            self.engine.after_steps(self.random.randint(1, 8), lambda: self.crash(device))

    def register(self, device: Device) -> None:
        self.count += 1
        name, password = f"own.{self.count}", f"secret-{self.count}"

        def reply(result: Any) -> None:
            assert isinstance(result, Reference), result
            self.answered[name] = password

        device.call(lambda session: session.register(device.now(), name, None, password), reply)
        self.perhaps_crash(device)

    def share(self, device: Device) -> None:
        """Set a password of a reference that others set too."""
        self.count += 1
        name, password = self.random.choice(SHARED), f"shared-{self.count}"
        seen: list[str] = []

        def operation(session: Any) -> object:
            known = session.references.get(name)
            seen[:] = [known.password] if known is not None else []
            return session.register(device.now(), name, None, password)

        def reply(result: Any) -> None:
            assert isinstance(result, Reference), result
            self.outdone.update(seen)

        device.call(operation, reply)
        self.perhaps_crash(device)

    def remove(self, device: Device) -> None:
        assert device.core is not None
        here = sorted(name for name in device.core.view(SESSION).references if name.startswith("own."))
        if here:
            name = self.random.choice(here)
            self.removing.add(name)
            device.call(
                lambda session: session.remove(device.now(), name), lambda result: self.removed.add(name)
            )
            self.perhaps_crash(device)

    def touch(self, device: Device) -> None:
        assert device.core is not None
        for name in sorted(device.core.view(SESSION).references)[:2]:
            device.core.touch(SESSION, name, Origin(device.name))

    def activate(self, device: Device) -> None:
        self.count += 1
        asked, possible = f"active.{self.count}", self.active[device.name]
        possible.append(asked)

        def reply(result: Any) -> None:
            assert result["active"] == asked
            del possible[: possible.index(asked)]

        device.call(lambda session: session.set_active(device.now(), asked), reply)

    def rename(self, device: Device) -> None:
        assert device.core is not None
        self.count += 1
        name = f"user-{self.count}"
        device.core.change_person(
            lambda person: person.set_username(device.now(), name), lambda result: None, Origin(device.name)
        )

    # The end

    def heal(self) -> None:
        """Make the network whole, and let time pass until all are equal."""
        self.faults, self.whole = 0.0, True
        for device in self.devices:
            for end in list(device.ends.values()):
                end.link.faults = 0.0
        end_of_time = self.engine.time + HEALING
        for device in self.devices:
            if device.skew > YEAR / 2:  # its clock is mended
                device.skew -= YEAR
        self.connect_all()
        for _ in range(self.random.randint(0, 4)):  # while links begin
            self.random.choice((self.register, self.share, self.remove))(self.random.choice(self.devices))
            self.engine.run_until(self.engine.time + self.random.uniform(0, 0.03))
        while not self.equal():
            assert self.engine.time < end_of_time, "devices never become equal"
            self.connect_all()
            self.engine.run_until(self.engine.time + 0.5)

    def connect_all(self) -> None:
        for device in self.devices:
            self.revive(device)
        for a in self.devices:
            for b in self.devices:
                if a.name < b.name and b.name not in a.ends:
                    self.connect(a, b)

    def equal(self) -> bool:
        """Say whether all hold and show the same, and nothing is under way."""
        first, *others = self.devices
        if not all(device.quiet for device in self.devices):
            return False
        seen = everything(first)
        return all(everything(device) == seen for device in others) and all(
            device.states() == first.states() for device in others
        )

    def check(self) -> None:
        references = self.devices[0].core.view(SESSION).references  # type: ignore[union-attr] # it runs
        for name, password in self.answered.items():
            if name not in self.removing:
                assert name in references, f"{name} was answered and is lost"
                assert references[name].password == password
        assert not self.removed & references.keys(), "what was removed is there again"
        for name in SHARED:
            if name in references:
                assert references[name].password not in self.outdone, "an older act won over a newer one"
        for device in self.devices:
            assert device.core is not None
            device.mirror.check(device.core)
            newest = milliseconds(device.core.clock)
            assert newest < device.now() + MAX_AHEAD, "a clock that is far ahead reached this device"
            assert device.core.view(SESSION).active in self.active[device.name], "active is another one"
        if self.patient:
            self.stay_calm()
        victim = self.random.choice(self.devices)
        victim.crash()
        victim.start()

    def end(self) -> None:
        """Keep nothing of it in memory."""
        for device in self.devices:
            device.end()

    def stay_calm(self) -> None:
        links = {end.link for device in self.devices for end in device.ends.values()}
        before = everything(self.devices[0])
        self.engine.run_until(self.engine.time + LAST_WORDS)
        said = sum(link.said for link in links)
        self.engine.run_until(self.engine.time + CALM)
        assert sum(link.said for link in links) == said, "equal devices go on talking"
        assert self.equal()
        assert everything(self.devices[0]) == before


def everything(device: Device) -> object:
    """What a device shows, accesses included."""
    assert device.core is not None
    view = device.core.view(SESSION)
    fields = {name: (each.last_accessed, each.view, each.password) for name, each in view.references.items()}
    return fields, device.core.username, device.core.everywhere(SESSION)


class Faults(logging.Handler):
    """What the core logged as a fault of whom it told: here that is an assertion of this test."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.getMessage()}: {record.exc_info and record.exc_info[1]}")


def play(seed: int) -> str:
    """Play one history and return what sums up all that was said and written. Raises AssertionError."""
    chaos = Chaos(seed)
    faults, log = Faults(), logging.getLogger("noggd")
    log.addHandler(faults)
    try:
        chaos.run()
        chaos.check()
        assert not faults.found, faults.found
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    finally:
        log.removeHandler(faults)
        chaos.end()
    return chaos.engine.trace.hexdigest()
