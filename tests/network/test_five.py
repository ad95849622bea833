"""Five devices of one person in bad networks: what was answered is everywhere soon after the network is whole."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.daemons import until
from tests.network.conftest import Host, Lab

pytestmark = pytest.mark.root

SOON = 5.0
"""Seconds after which five devices are equal on a machine that does nothing else."""
BUSY = 3.0
"""How many times as long it may take on one that does."""
GIVEN_UP = 16.0
"""Seconds after which a silent link is given up: longer than the keep-alive waits."""

Five = tuple[Lab, list[Host]]


@pytest.fixture(scope="module")
def five(make_lab: Callable[[], Lab]) -> Iterator[Five]:
    lab = make_lab()
    hosts = [lab.host(name, f"10.77.0.{number}/24") for number, name in enumerate("abcde", start=1)]
    for host in hosts:
        host.launch()
    for host in hosts:
        host.wait_until_ready()
    for new in hosts[1:]:
        new.call("pair.join", ticket=hosts[0].call("pair.invite")["ticket"])
    until(lambda: all(linked(host) == 4 for host in hosts), "all linked to all")
    yield lab, hosts
    print("\n".join(host.words() for host in hosts))


def linked(host: Host) -> int:
    return sum(peer["state"] == "online" for peer in host.call("sync.status")["peers"])


def state(host: Host) -> dict[str, object]:
    return {
        each["microcosmID"]: (each["password"], each["view"])
        for each in host.call("session.get")["microcosms"]
    }


class Acts:
    """What was answered."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.expected: set[str] = set()

    def round(self, hosts: list[Host], number: int) -> None:
        """Let each device register something of its own, and change what all of them have."""
        for host in hosts:
            name = f"{self.label}.{host.folder.name}.{number}"
            host.call("reference.register", microcosmID=name, view=name)
            self.expected.add(name)
            host.call("reference.register", microcosmID=f"{self.label}.shared", password=name)

    def everywhere(self, hosts: list[Host]) -> float:
        """Wait until all have everything and are equal; returns how long that took."""
        began = time.monotonic()
        until(lambda: all(self.expected <= state(host).keys() for host in hosts), f"{self.label} everywhere")
        until(lambda: all(state(host) == state(hosts[0]) for host in hosts[1:]), "all equal")
        return time.monotonic() - began


def test_frames_are_lost_and_late_and_some_go_one_way_only(five: Five) -> None:
    lab, hosts = five
    acts = Acts("lossy")
    lab.switch.loss, lab.switch.delay = 0.3, 0.3
    acts.round(hosts, 0)
    lab.switch.deaf = {("p-a", "p-b"), ("p-c", "p-d")}
    for number in range(1, 6):
        acts.round(hosts, number)
    time.sleep(
        2.0
    )  # a while of it, for there is nothing to wait for: whether anything gets through is chance
    acts.round(hosts, 6)
    assert lab.switch.lost > 50, "the network is bad"
    lab.switch.mend()
    assert acts.everywhere(hosts) < SOON * BUSY


def test_a_group_is_cut_in_two_while_one_of_it_is_frozen(five: Five) -> None:
    lab, hosts = five
    until(lambda: all(linked(host) == 4 for host in hosts), "all linked to all")
    acts = Acts("cut")
    acts.round(hosts, 0)
    acts.everywhere(hosts)

    *awake, frozen = hosts
    os.kill(frozen.pid, signal.SIGSTOP)
    lab.switch.islands = [{"p-a", "p-b"}]
    cut = time.monotonic()
    for number in range(1, 6):
        acts.round(awake, number)
    until(
        lambda: [linked(host) for host in awake] == [1, 1, 1, 1] and time.monotonic() - cut > GIVEN_UP,
        "links that were given up",
    )
    acts.round(awake, 6)
    until(lambda: state(awake[0]) == state(awake[1]) and state(awake[2]) == state(awake[3]), "two halves")
    assert state(awake[0]) != state(awake[2]), "the cut is real"
    os.kill(frozen.pid, signal.SIGCONT)
    lab.switch.mend()
    assert acts.everywhere(hosts) < SOON * BUSY
    until(lambda: all(linked(host) == 4 for host in hosts), "all linked to all")


def test_one_is_killed_and_all_move_to_other_addresses(five: Five) -> None:
    _, hosts = five
    acts = Acts("moved")
    acts.round(hosts, 0)
    hosts[2].kill()
    for number, host in enumerate(hosts, start=1):
        host.move(f"10.77.0.{number + 100}/24")
    hosts[2].start()
    acts.round(hosts, 1)
    assert acts.everywhere(hosts) < SOON * BUSY
    until(lambda: all(linked(host) == 4 for host in hosts), "all linked to all")
