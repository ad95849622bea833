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
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nogg.methods.daemon import PROTOCOL
from nogg.paths import Paths
from noggd.core import Core
from noggd.platform import checks
from noggd.platform.checks import Check
from noggd.platform.clock import monotonic
from noggd.platform.config import Settings
from noggd.platform.files import InstanceLock
from noggd.services import diagnosis
from noggd.storage.journal import Journal

LIBRARIES = ("cryptography", "pycrdt", "pydantic", "websockets", "zeroconf")


@cache
def own_version() -> str:
    """Return the version of this installation; found once, for it is read from files."""
    try:
        return version("noggd")
    except PackageNotFoundError:
        return "0"


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the daemon looks for what it says about itself.

    `socket` is None where systemd holds it; `peers` gives the rows of `sync.status`.
    """

    core: Core
    journal: Journal
    lock: InstanceLock
    places: Paths
    settings: Callable[[], Settings]
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
        self._began = time.time()

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
            "places": {name: str(path) for name, path in self._facts.places._asdict().items()},
            "settings": self._facts.settings().rows(),
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
        return [
            check["message"] for check in (checks.disk_space(self._facts.places.state),) if not check["ok"]
        ]

    def metrics(self) -> dict[str, tuple[str, str, float]]:
        """Return what is measured, for Prometheus."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        values = {
            f'nogg_build_info{{version="{own_version()}"}}': ("gauge", "The version that runs.", 1.0),
            "nogg_start_time_seconds": ("gauge", "When it started, in Unix time.", self._began),
            "nogg_uptime_seconds": ("gauge", "Time since the start.", monotonic() - self._started),
            "nogg_cpu_seconds_total": ("counter", "Processor time used.", usage.ru_utime + usage.ru_stime),
            "nogg_resident_bytes": ("gauge", "Memory in use.", float(resident_bytes())),
            "nogg_store_bytes": ("gauge", "Size of the store.", float(self._facts.journal.size())),
            "nogg_store_commits_total": (
                "counter",
                "Records ever stored.",
                float(self._facts.journal.last_seq),
            ),
            "nogg_disk_free_bytes": ("gauge", "Room on the disk of the store.", float(self._free())),
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

    def _free(self) -> int:
        return shutil.disk_usage(self._facts.places.state).free

    async def doctor(self) -> list[Check]:
        """Look at everything that can be wrong; the disk is asked in a thread."""
        state = self._facts.places.state
        found = await asyncio.to_thread(
            lambda: [
                checks.state_folder(state),
                checks.state_files(state),
                diagnosis.lock(self._facts.lock),
                diagnosis.store(self._facts.journal),
                checks.disk_space(state),
                checks.disk_sync(state),
            ]
        )
        found += [diagnosis.socket(self._facts.socket), checks.clock(), checks.program(own_version())]
        if checks.under_user_manager():
            found.append(checks.lingering())
        return found + list(diagnosis.peers(self._facts.peers()))


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
