"""Five devices of one person in bad networks: what was answered is everywhere soon after the network is whole.

One of the five is frozen for a minute while the other four go through all the rest, in the order of this file.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.daemons import until
from tests.network.conftest import Host, Lab

pytestmark = [pytest.mark.root, pytest.mark.beside]

SOON = 5.0
"""Seconds after which devices are equal on a machine that does nothing else."""
BUSY = 3.0
"""How many times as long it may take on one that does."""
GIVEN_UP = 16.0
"""Seconds after which a silent link is given up: longer than the keep-alive waits."""
NOTICED = 20.0
"""Seconds within which a silent link must be noticed (contract)."""
FROZEN = 60.0
YEAR = 365 * 24 * 3600 * 1000


@dataclass
class Five:
    """The hosts, and what was answered so far."""

    lab: Lab
    hosts: list[Host]
    answered: dict[str, str] = field(default_factory=dict)
    frozen_at: float = 0.0

    @property
    def awake(self) -> list[Host]:
        return self.hosts[:-1] if self.frozen_at else self.hosts

    def round(self, label: str, hosts: list[Host] | None = None) -> None:
        """Let each device register something of its own, and change what all of them have."""
        for host in hosts or self.awake:
            name = f"{label}.{host.folder.name}"
            host.call("reference.register", microcosmID=name, view=name)
            self.answered[name] = name
            host.call("reference.register", microcosmID="shared", password=name)

    def meet(self) -> None:
        """Wait until all are linked to all."""
        others = len(self.awake) - 1
        until(lambda: all(linked(host) == others for host in self.awake), "all linked to all")

    def equal(self) -> float:
        """Wait until everything that was answered is everywhere and all are equal; returns how long that took."""
        began = time.monotonic()

        def same() -> bool:
            first, *others = [state(host) for host in self.awake]
            return all(each == first for each in others) and all(
                name in first and first[name][1] == view for name, view in self.answered.items()
            )

        until(same, "all equal, with everything that was answered")
        return time.monotonic() - began


def linked(host: Host) -> int:
    return sum(peer["state"] == "online" for peer in host.call("sync.status")["peers"])


def state(host: Host) -> dict[str, tuple[str | None, str | None]]:
    return {
        each["microcosmID"]: (each["password"], each["view"])
        for each in host.call("session.get")["microcosms"]
    }


def state_of(host: Host, among: list[Host]) -> list[str]:
    """Return how the others see a host."""
    device = (host.folder / "device").read_text()
    rows = [row for other in among if other is not host for row in other.call("device.list")["devices"]]
    return [row["state"] for row in rows if row["id"] == device]


@pytest.fixture(scope="module")
def five(make_lab: Callable[[], Lab]) -> Iterator[Five]:
    lab = make_lab()
    hosts = [lab.host(name, f"10.77.0.{number}/24") for number, name in enumerate("abcde", start=1)]
    for host in hosts:
        host.launch()
    for host in hosts:
        host.wait_until_ready()
        (host.folder / "device").write_text(host.call("hello")["device"]["id"])
    for new in hosts[1:]:
        new.call("pair.join", ticket=hosts[0].call("pair.invite")["ticket"])
    made = Five(lab, hosts)
    made.meet()
    yield made
    print("\n".join(host.words() for host in hosts))


def test_one_is_frozen(five: Five) -> None:
    """It thaws in the last test. The others are not slowed by it."""
    five.round("before")
    assert five.equal() < SOON * BUSY
    five.frozen_at = time.monotonic()
    os.kill(five.hosts[-1].pid, signal.SIGSTOP)
    five.round("frozen")
    assert five.equal() < SOON * BUSY


def test_frames_are_lost_and_late_and_some_go_one_way_only(five: Five) -> None:
    switch = five.lab.switch
    switch.loss, switch.delay, before = 0.3, 0.3, switch.lost
    five.round("lossy")
    switch.deaf = {("p-a", "p-b"), ("p-c", "p-d")}
    for number in range(5):
        five.round(f"one-way-{number}")
    until(lambda: switch.lost - before > 300, "a bad network")
    five.round("lossier")
    switch.mend()
    assert five.equal() < SOON * BUSY


def test_the_frozen_one_is_given_up(five: Five) -> None:
    frozen = five.hosts[-1]
    until(lambda: set(state_of(frozen, five.awake)) == {"offline"}, "the frozen one given up", every=0.05)
    assert time.monotonic() - five.frozen_at < NOTICED * BUSY
    until(lambda: all(linked(host) == 3 for host in five.awake), "the others linked")


def test_a_clock_is_a_year_ahead_and_then_mended(five: Five) -> None:
    """It is told so, its changes wait, nobody's order is pinned; once it is mended they are everywhere soon."""
    wrong, *right = five.awake
    wrong.set_clock(YEAR)
    wrong.call("reference.register", microcosmID="from.the.future", view="future")
    until(
        lambda: all(row["held_back"] for row in wrong.call("sync.status")["peers"] if "held_back" in row),
        "a device that was told",
    )
    five.round("right", right)
    until(lambda: state(wrong).keys() >= five.answered.keys(), "what the others changed")
    until(
        lambda: all(state(host).keys() == state(right[0]).keys() >= five.answered.keys() for host in right),
        "the others equal",
    )
    assert all("from.the.future" not in state(host) for host in right)

    wrong.set_clock(0)
    five.answered["from.the.future"] = "future"
    assert five.equal() < SOON * BUSY
    right[0].call("reference.update", microcosmID="from.the.future", view="present")
    five.answered["from.the.future"] = "present"
    assert five.equal() < SOON * BUSY
    latest = [
        max(each["lastAccessed"] for each in host.call("session.get")["microcosms"]) for host in five.awake
    ]
    assert all(each < time.time() * 1000 + 600_000 for each in latest)


def test_a_group_is_cut_in_two(five: Five) -> None:
    five.meet()
    awake = five.awake
    five.lab.switch.islands = [{"p-a", "p-b"}]
    cut = time.monotonic()
    five.round("cut")
    until(
        lambda: [linked(host) for host in awake] == [1, 1, 1, 1] and time.monotonic() - cut > GIVEN_UP,
        "links that were given up",
        every=0.05,
    )
    five.round("apart")
    until(lambda: state(awake[0]) == state(awake[1]) and state(awake[2]) == state(awake[3]), "two halves")
    assert state(awake[0]) != state(awake[2]), "the cut is real"
    five.lab.switch.mend()
    assert five.equal() < SOON * BUSY
    five.meet()


def test_one_is_killed_and_all_move_to_other_addresses(five: Five) -> None:
    awake = five.awake
    five.round("moved")
    awake[2].kill()
    for number, host in enumerate(awake, start=1):
        host.move(f"10.77.0.{number + 100}/24")
    awake[2].start()
    five.round("there")
    assert five.equal() < SOON * BUSY
    five.meet()


def test_the_frozen_one_thaws_after_a_minute(five: Five) -> None:
    """All that it knows of the others is where they were."""
    until(lambda: time.monotonic() - five.frozen_at > FROZEN, "a minute", every=0.1)
    frozen, five.frozen_at = five.hosts[-1], 0.0
    os.kill(frozen.pid, signal.SIGCONT)
    frozen.call("reference.register", microcosmID="thawed", view="thawed")
    five.answered["thawed"] = "thawed"
    assert five.equal() < SOON * BUSY
    five.meet()
