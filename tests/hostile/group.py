"""A group under attack: two honest daemons, and a paired one that was stopped, whose key the test has."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from tests.daemons import Daemon, Daemons, until
from tests.hostile.peer import Member

CHANGES = 30
"""Honest changes that are timed during each attack."""


def pair(inviter: Daemon, joiner: Daemon) -> None:
    invited = inviter.call("pair.invite")
    joiner.call("pair.join", code=invited["code"], address=invited["addresses"][0])


def me(daemon: Daemon) -> str:
    return str(daemon.call("hello")["device"]["id"])


def online(daemon: Daemon) -> int:
    return sum(peer["state"] == "online" for peer in daemon.call("sync.status")["peers"])


def memory(daemon: Daemon, what: str = "VmRSS") -> int:
    """Megabytes that a daemon has resident, or with VmHWM had at most."""
    for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) // 1024
    raise AssertionError(f"no {what}")


def forget_peak(daemon: Daemon) -> None:
    """Let `VmHWM` begin anew."""
    Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")


class Group:
    """`a` is attacked, `c` sees how it fares, `member` is the attacker."""

    def __init__(self, daemons: Daemons) -> None:
        self.a, b, self.c = daemons.together(*"abc")
        pair(self.a, b)
        pair(self.a, self.c)
        until(lambda: all(online(daemon) == 2 for daemon in (self.a, b, self.c)), "links between all three")
        b.stop()
        self.member = Member(b.state)
        self.a_id, self.c_id = me(self.a), me(self.c)
        self.address = str(self.a.call("sync.status")["listen"])
        self.count = 0

    def fresh(self) -> None:
        """Start the attacked daemon anew: it forgives, and its memory is what it was."""
        self.a.restart()
        until(lambda: online(self.c) == 1 == online(self.a), "the honest link")

    def row(self) -> dict[str, Any]:
        """What the attacked one says of the attacker."""
        rows = self.a.call("sync.status")["peers"]
        return next(row for row in rows if row["device"] == self.member.id)

    def changes(self) -> list[float]:
        """Write on the attacked device until the app on the other one is told; return the seconds of each."""
        writer, reader = self.a.connect(), self.c.connect()
        reader.call("session.subscribe")
        told = reader.notifications()
        seconds = []
        for _ in range(CHANGES):
            self.count += 1
            name, began = f"honest.{self.count}", time.monotonic()
            writer.call("reference.register", microcosmID=name)
            while name not in next(told)[1].get("set", {}):
                pass
            seconds.append(time.monotonic() - began)
        writer.close()
        reader.close()
        return seconds


def words(seconds: list[float]) -> str:
    """The times of changes, for the log of the test."""
    return f"changes p50 {statistics.median(seconds) * 1000:.1f} ms, slowest {max(seconds) * 1000:.0f} ms"
