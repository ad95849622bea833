"""Three devices of one person, as real processes: who knows whom, who is out, and what a silent one costs."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from nogg.blocking import Connection
from nogg.errors import PairingFailed, Timeout
from tests.daemons import Daemon, Daemons, until


def pair(inviter: Daemon, joiner: Daemon) -> dict[str, Any]:
    invited = inviter.call("pair.invite")
    joined: dict[str, Any] = joiner.call("pair.join", code=invited["code"], address=invited["addresses"][0])
    return joined


def me(daemon: Daemon) -> str:
    return str(daemon.call("hello")["device"]["id"])


def states(daemon: Daemon) -> dict[str, str]:
    return {device["id"]: device["state"] for device in daemon.call("device.list")["devices"]}


def online(daemon: Daemon) -> int:
    return sum(peer["state"] == "online" for peer in daemon.call("sync.status")["peers"])


def ids(daemon: Daemon) -> set[str]:
    return {reference["microcosmID"] for reference in daemon.call("session.get")["microcosms"]}


@pytest.fixture
def three(daemons: Daemons) -> list[Daemon]:
    """A group: the first took in the second, the second took in the third."""
    a, b, c = daemons.together(*"abc")
    a.call("reference.register", microcosmID="of.a", password="secret")
    pair(a, b)
    pair(b, c)
    until(lambda: all(online(daemon) == 2 for daemon in (a, b, c)), "links between all three")
    return [a, b, c]


def test_a_third_device_is_known_to_all_and_what_one_writes_all_have(three: list[Daemon]) -> None:
    a, b, c = three
    until(lambda: ids(c) == {"of.a"}, "the reference on the third device")
    revision = c.call("reference.register", microcosmID="of.c")["revision"]
    synced = c.call("sync.wait", revision=revision, devices="all")["synced"]
    assert {row["device"] for row in synced} == {me(a), me(b)}
    assert ids(a) == ids(b) == {"of.a", "of.c"}
    c.call("active.set", microcosmID="of.a")
    rows = until(
        lambda: [row for row in a.call("active.everywhere")["devices"] if row["active"] == "of.a"], "hand-off"
    )
    assert [row["device"] for row in rows] == [me(c)]


def test_a_touch_reaches_the_others_within_five_seconds(three: list[Daemon]) -> None:
    a, _, c = three
    until(lambda: ids(c) == {"of.a"}, "the reference on the third device")

    def last_accessed(daemon: Daemon) -> int:
        return int(daemon.call("session.get")["microcosms"][0]["lastAccessed"])

    a.call("reference.get", microcosmID="of.a")
    touched, began = last_accessed(a), time.monotonic()
    until(lambda: last_accessed(c) == touched, "the touch")
    assert time.monotonic() - began < 10  # five, and room for a busy machine


def test_the_evicted_one_is_out_and_returns_only_with_a_new_key(three: list[Daemon]) -> None:
    a, b, c = three
    until(lambda: ids(b) == ids(c) == {"of.a"}, "the reference everywhere")
    evicted = me(b)
    result = c.call("device.evict", device=evicted)
    assert result["passwords_to_change"] == [{"session": "default", "microcosmID": "of.a"}]
    assert result["unaware"] == []
    assert states(a)[evicted] == states(c)[evicted] == "evicted"
    a.call("reference.register", microcosmID="after.eviction")
    until(lambda: ids(c) == {"of.a", "after.eviction"}, "the change on the other member")
    assert ids(b) == {"of.a"}
    with pytest.raises(PairingFailed):
        pair(a, b)
    b.call("device.leave")
    b.call("reference.register", microcosmID="of.b")
    assert me(b) != evicted
    pair(c, b)
    everything = {"of.a", "after.eviction", "of.b"}
    until(lambda: ids(a) == ids(b) == ids(c) == everything, "all of it everywhere")
    for daemon in three:
        daemon.restart()
    until(lambda: all(online(daemon) == 2 for daemon in three), "links after a restart")
    assert ids(a) == ids(b) == ids(c) == everything


def test_what_was_written_apart_comes_together_through_whoever_is_there(three: list[Daemon]) -> None:
    a, b, c = three
    until(lambda: ids(b) == ids(c) == {"of.a"}, "the reference everywhere")
    c.stop()
    a.call("reference.register", microcosmID="while.away")
    until(lambda: "while.away" in ids(b), "the change on the second device")
    a.kill()
    c.start()
    until(lambda: "while.away" in ids(c), "the change, through the second device")
    with pytest.raises(Timeout):
        c.call("sync.wait", devices=[me_of(three, c, a)], timeout_s=0.1)


def me_of(three: list[Daemon], asked: Daemon, absent: Daemon) -> str:
    """The id of a device that cannot be asked itself."""
    there = {me(daemon) for daemon in three if daemon.process is not None}
    (missing,) = set(states(asked)) - there
    assert absent.process is None
    return missing


@pytest.mark.beside
def test_a_silent_device_is_given_up_and_comes_back(three: list[Daemon]) -> None:
    """Stopped as by a laptop's lid: the others notice within 20 s, are not slowed meanwhile, and go on after."""
    a, b, c = three
    until(lambda: ids(b) == ids(c) == {"of.a"}, "the reference everywhere")
    silent = me(b)
    os.kill(b.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for number in range(20):
            a.call("reference.register", microcosmID=f"meanwhile.{number}")
        assert time.monotonic() - began < 10
        until(lambda: len(ids(c)) == 21, "changes between the other two")
        until(lambda: states(a)[silent] == "offline", "the silent device given up", every=0.1)
        assert time.monotonic() - began < 30  # twenty, and room for a busy machine
    finally:
        os.kill(b.pid, signal.SIGCONT)
    until(lambda: states(a)[silent] == "online" and len(ids(b)) == 21, "the device back, with everything")


def test_no_secret_of_pairing_is_in_a_log(daemons: Daemons) -> None:
    a, b = daemons.together("a", "b", flags=("--log-level", "debug"))
    invited = a.call("pair.invite")
    b.call("pair.join", ticket=invited["ticket"])
    until(lambda: online(a) == online(b) == 1, "a link")
    words = invited["code"].split("-", 1)[1]
    for daemon in (a, b):
        log = daemon.words()
        assert "pairing" in log
        assert words not in log
        assert invited["ticket"][:20] not in log
        assert "PRIVATE KEY" not in log


def test_an_eviction_reaches_all_connected_members_within_a_second(daemons: Daemons) -> None:
    """Five real daemons: from the call until each other member has ended its connection to the evicted one."""
    first, *others = found = daemons.together(*"abcde")
    for other in others:
        pair(first, other)
    until(lambda: all(online(daemon) == 4 for daemon in found), "links between all five")
    evicted, members = others[0], [first, *others[1:]]
    gone = me(evicted)
    watching = [(daemon.connect(), daemon) for daemon in members]
    began = time.monotonic()
    result = others[1].call("device.evict", device=gone)
    assert result["unaware"] == []
    until(lambda: all(states_on(line)[gone] == "evicted" for line, _ in watching), "the eviction on all")
    known = time.monotonic() - began
    until(lambda: online(evicted) == 0, "an end of its links")
    ended = time.monotonic() - began
    print(f"known to all after {known * 1000:.0f} ms, links ended after {ended * 1000:.0f} ms")
    assert known < 1.0
    assert ended < 1.0
    assert all(online(daemon) == 3 for daemon in members)


def states_on(line: Connection) -> dict[str, str]:
    return {device["id"]: device["state"] for device in line.call("device.list")["devices"]}
