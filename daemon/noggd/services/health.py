"""What the daemon knows about itself: the screen of `daemon.status`, the checks of `daemon.doctor`, the metrics.

Every check says what to do when it fails. What needs no daemon to be looked at is the command line's business
(`nogg doctor`). Nothing here repairs anything.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nogg.methods.daemon import PROTOCOL
from noggd.core import Core
from noggd.platform.clock import monotonic
from noggd.storage.journal import Journal

LIBRARIES = ("cryptography", "pycrdt", "pydantic", "websockets", "zeroconf")
LOW_DISK = 64 << 20
"""Bytes of free space under which the disk counts as nearly full."""

SLOW_SYNC = 1.0
"""Seconds for one fsync over which a disk counts as too slow."""

FAST_SYNC = 20e-6
"""Seconds for one fsync under which a disk can hardly have written anything."""

Check = dict[str, Any]


@cache
def own_version() -> str:
    """Return the version of this installation; found once, for it is read from files."""
    try:
        return version("noggd")
    except PackageNotFoundError:
        return "0"


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the daemon looks for what it says about itself. `peers` gives the rows of `sync.status`."""

    core: Core
    journal: Journal
    state: Path
    socket: Path | None
    peers: Callable[[], Iterable[dict[str, Any]]]
    connections: Callable[[], int]
    subscriptions: Callable[[], int]
    stop: Callable[[], None]


class Health:
    """The `House` of the local API."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._started = monotonic()

    def stop(self) -> None:
        """Begin to stop."""
        self._facts.stop()

    def status(self) -> dict[str, Any]:
        """Return `daemon.status`."""
        core, problems = self._facts.core, self._problems()
        return {
            "version": own_version(),
            "versions": versions(),
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "uptime_s": round(monotonic() - self._started, 3),
            "ready": True,
            "epoch": core.epoch,
            "device": {"id": core.device, "name": core.device_names.get(core.device, "")},
            "counts": self._counts(),
            "sizes": {"store": self._facts.journal.size(), "resident": resident_bytes()},
            "health": {"ok": not problems, "problems": problems},
        }

    def line(self) -> str:
        """Say in a line how things are, for `systemctl status`."""
        counts, problems = self._counts(), self._problems()
        what = f"{counts['references']} references in {counts['sessions']} sessions"
        devices = f", {counts['peers_online']} of {counts['peers']} devices online" if counts["peers"] else ""
        return f"{what}{devices}" + (f"; {problems[0]}" if problems else "")

    def _counts(self) -> dict[str, int]:
        core, peers = self._facts.core, list(self._facts.peers())
        return {
            "sessions": len(core.sessions),
            "references": sum(len(core.view(name).references) for name in core.sessions),
            "peers": len(peers),
            "peers_online": sum(peer["state"] == "online" for peer in peers),
            "connections": self._facts.connections(),
            "subscriptions": self._facts.subscriptions(),
        }

    def _problems(self) -> list[str]:
        """Name what is wrong, as far as that is known without touching the disk."""
        return [check["message"] for check in (self._space(),) if not check["ok"]]

    def metrics(self) -> dict[str, tuple[str, str, float]]:
        """Return what is measured, for Prometheus."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        values = {
            "nogg_uptime_seconds": ("gauge", "Time since the start.", monotonic() - self._started),
            "nogg_cpu_seconds_total": ("counter", "Processor time used.", usage.ru_utime + usage.ru_stime),
            "nogg_resident_bytes": ("gauge", "Memory in use.", float(resident_bytes())),
            "nogg_store_bytes": ("gauge", "Size of the store.", float(self._facts.journal.size())),
        }
        meanings = {
            "sessions": "Sessions of the person.",
            "references": "References in all sessions.",
            "peers": "Paired devices.",
            "peers_online": "Paired devices that are connected.",
            "connections": "Apps that are connected.",
            "subscriptions": "Subscriptions of apps.",
        }
        for name, count in self._counts().items():
            values[f"nogg_{name}"] = ("gauge", meanings[name], float(count))
        return values

    async def doctor(self) -> list[Check]:
        """Look at everything that can be wrong; the disk is asked in a thread."""
        checks = [self._private_state(), self._socket_check(), self._space(), self._peers_check()]
        checks.append(await asyncio.to_thread(self._sync_check))
        return checks

    def _private_state(self) -> Check:
        found = self._facts.state.stat()
        mode = found.st_mode & 0o777
        return check(
            "state folder",
            not mode & 0o077 and found.st_uid == os.geteuid(),
            f"{self._facts.state} has mode {mode:04o} and belongs to user {found.st_uid}",
            f"chmod 700 {self._facts.state}, and see that it belongs to user {os.geteuid()}",
        )

    def _socket_check(self) -> Check:
        path = self._facts.socket
        if path is None:
            return check("socket", True, "the socket was passed by systemd", "")
        there = path.is_socket()
        return check(
            "socket",
            there,
            f"apps connect at {path}" if there else f"{path} is gone: apps cannot find the daemon",
            "restart the daemon (nogg daemon restart), and see what removes the file",
        )

    def _space(self) -> Check:
        free = shutil.disk_usage(self._facts.state).free
        return check(
            "disk space",
            free >= LOW_DISK,
            f"{free >> 20} MiB are free where {self._facts.state} is",
            "make room on that disk; until then changes may be refused, and nothing is lost",
        )

    def _sync_check(self) -> Check:
        seconds = sync_time(self._facts.state)
        pace = f"an fsync takes {seconds * 1000:.2f} ms"
        if seconds < FAST_SYNC:
            return check(
                "disk sync",
                False,
                f"{pace}: this disk says that it has written before it has",
                "keep the state on a real disk (--state-dir); what is answered may be lost with the power",
            )
        return check("disk sync", seconds < SLOW_SYNC, pace, "move the state to a quicker disk (--state-dir)")

    def _peers_check(self) -> Check:
        away = [peer["name"] or peer["device"] for peer in self._facts.peers() if peer["state"] == "offline"]
        return check(
            "devices",
            not away,
            f"not connected: {', '.join(away)}" if away else "every paired device is connected",
            "start the daemon there; on another network, add its address with nogg pair --address",
        )


def check(name: str, ok: bool, message: str, fix: str) -> Check:
    """Return one row of `daemon.doctor`; the fix is told only where something is to be mended."""
    return {"name": name, "ok": ok, "message": message, "fix": None if ok else fix}


@cache
def versions() -> dict[str, str]:
    """Return the versions of what this daemon is made of."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue  # a trimmed installation
    return found


def resident_bytes() -> int:
    """Return the memory that this process has in use; where the system does not say, the most it ever had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()


def sync_time(folder: Path) -> float:
    """Return the seconds that one fsync takes in a folder, the best of five."""
    best = float("inf")
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(5):
            file.write(b"x" * 64)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            best = min(best, time.perf_counter() - started)
    return best
