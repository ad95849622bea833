"""Whole devices under chaos, by seed: what was answered is never lost, and all devices end equal.

Real core, real document, real link protocol; simulated time, disk and network. Devices crash between any two
steps, links break and lose what was on its way, clocks are minutes apart. `NOGG_SEEDS=10000` runs the long form,
`NOGG_SEED=n` replays one seed.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from noggd.domain.changes import Origin
from noggd.domain.reference import Reference
from tests.simulation.devices import Device, Link
from tests.simulation.engine import Engine

SEEDS = int(os.environ.get("NOGG_SEEDS", "300"))
BLOCK = 100
SHARED = ("shared.1", "shared.2")
HEALING = 12.0  # virtual seconds; links come up again and again within


class Chaos:
    """One history."""

    def __init__(self, seed: int) -> None:
        self.engine = Engine(seed)
        self.random = self.engine.random
        self.devices = [Device(self.engine, f"d{number}") for number in range(self.random.randint(2, 4))]
        for device in self.devices:
            device.skew = self.random.randint(-300_000, 300_000)
        self.count = 0
        self.answered: dict[str, str] = {}
        self.removed: set[str] = set()

    def run(self) -> None:
        for _ in range(self.random.randint(10, 60)):
            self.random.choice(
                (self.register, self.register, self.share, self.remove, self.touch, self.fate)
            )()
            self.engine.run_until(self.engine.time + self.random.choice((0, 0.001, 0.02, 0.3)))
        self.heal()

    def fate(self) -> None:
        device = self.random.choice(self.devices)
        match self.random.randrange(4):
            case 0:
                self.crash(device)
            case 1 if device.ends:
                self.random.choice(list(device.ends.values())).link.cut()
            case 2:
                device.skew += self.random.randint(-1000, 1000)
            case _:
                self.connect(device, self.random.choice(self.devices))

    def crash(self, device: Device) -> None:
        if device.core is not None:
            device.crash()
            self.engine.after(self.random.uniform(0, 1.0), lambda: self.revive(device))

    def revive(self, device: Device) -> None:
        if device.core is None:
            device.start()

    def connect(self, a: Device, b: Device) -> None:
        if a is not b and a.core is not None and b.core is not None:
            Link(self.engine, a, b)

    def running(self) -> Device | None:
        device = self.random.choice(self.devices)
        return device if device.core is not None else None

    # What apps do

    def register(self) -> None:
        device = self.running()
        if device is None:
            return
        self.count += 1
        name, password = f"own.{self.count}", f"secret-{self.count}"

        def reply(result: Any) -> None:
            assert isinstance(result, Reference), result
            self.answered[name] = password

        device.call(lambda session: session.register(device.now(), name, None, password), reply)
        if self.random.random() < 0.2:  # in the middle of it, or just after
            self.engine.after(self.random.uniform(0, 0.05), lambda: self.crash(device))

    def share(self) -> None:
        """Set a password of a reference that others set too."""
        device = self.running()
        if device is None:
            return
        self.count += 1
        name, password = self.random.choice(SHARED), f"shared-{self.count}"
        device.call(lambda session: session.register(device.now(), name, None, password), lambda result: None)

    def remove(self) -> None:
        device = self.running()
        if device is None or device.core is None:
            return
        here = [name for name in device.core.view("default").references if name.startswith("own.")]
        if here:
            name = self.random.choice(here)
            self.removed.add(name)
            device.call(lambda session: session.remove(device.now(), name), lambda result: None)

    def touch(self) -> None:
        device = self.running()
        if device is None or device.core is None:
            return
        for name in list(device.core.view("default").references)[:2]:
            device.core.touch("default", name, Origin(device.name))

    # The end

    def heal(self) -> None:
        end = self.engine.time + HEALING
        while self.engine.time < end:
            for device in self.devices:
                self.revive(device)
            for a in self.devices:
                for b in self.devices:
                    if a.name < b.name and b.name not in a.ends:
                        self.connect(a, b)
            self.engine.run_until(self.engine.time + 1.0)

    def check(self) -> None:
        views = [device.core.view("default") for device in self.devices if device.core is not None]
        assert len(views) == len(self.devices)
        seen = [{name: fields(ref) for name, ref in view.references.items()} for view in views]
        assert all(each == seen[0] for each in seen), "devices differ"
        for name, password in self.answered.items():
            if name not in self.removed:
                assert name in seen[0], f"{name} was answered and is lost"
                assert seen[0][name][2] == password
        for device in self.devices:
            device.crash()
            device.start()
            assert device.core is not None
            again = {name: fields(ref) for name, ref in device.core.view("default").references.items()}
            assert {name: each[1:] for name, each in again.items()} == {
                name: each[1:] for name, each in seen[0].items()
            }, "what is on disk is not what was shown"


def fields(reference: Reference) -> tuple[int, str | None, str | None]:
    return reference.last_accessed, reference.view, reference.password


class Faults(logging.Handler):
    """What the core logged as a fault of whom it told: here that is an assertion of this test."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.getMessage()}: {record.exc_info and record.exc_info[1]}")


def play(seed: int) -> None:
    faults, log = Faults(), logging.getLogger("noggd")
    log.addHandler(faults)
    try:
        chaos = Chaos(seed)
        chaos.run()
        chaos.check()
        assert not faults.found, faults.found
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    finally:
        log.removeHandler(faults)


@pytest.mark.parametrize("block", range(max(1, SEEDS // BLOCK)))
def test_nothing_answered_is_lost_and_all_devices_end_equal(block: int) -> None:
    only = os.environ.get("NOGG_SEED")
    for seed in [int(only)] if only else range(block * BLOCK, min(SEEDS, (block + 1) * BLOCK)):
        play(seed)
