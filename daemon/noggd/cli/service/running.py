"""Which unit a running daemon belongs to, and which is installed: who starts it, stops it and keeps its log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from noggd.cli.service.manager import Manager, user_name
from noggd.cli.service.plan import Target

_UNIT = re.compile(r"/(noggd(?:@[^/]+)?)\.service$")
_USERS_MANAGER = re.compile(r"/user@[0-9]+\.service/")


class Unit(NamedTuple):
    """A unit of ours, without the ending, and the manager that has it."""

    manager: Manager
    name: str

    @property
    def both(self) -> tuple[str, str]:
        """The socket and the service."""
        return f"{self.name}.socket", f"{self.name}.service"

    @property
    def state(self) -> Path | None:
        """Where the daemon of a system unit keeps its state; None for a user's, which finds its own place."""
        if self.manager.user:
            return None
        person = self.name.partition("@")[2]
        return Path("/var/lib/noggd-user", person) if person else Path("/var/lib/private/noggd")

    @property
    def journal(self) -> list[str]:
        """The command that shows its log."""
        return ["journalctl", *(["--user"] if self.manager.user else []), "-u", f"{self.name}.service"]


def unit_of(pid: int) -> Unit | None:
    """Return the unit that a process belongs to; None if none of ours started it."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return unit_in(groups)


def unit_in(groups: str) -> Unit | None:
    """Find a unit of ours in the text of /proc/PID/cgroup."""
    for line in groups.splitlines():
        found = _UNIT.search(line)
        if found:
            return Unit(Manager(user=_USERS_MANAGER.search(line) is not None), found[1])
    return None


def installed() -> Unit | None:
    """Return the enabled unit that runs the daemon of whoever asks: their own, or the system's for them."""
    for target in (Target("user"), Target("person", user_name()), Target("headless")):
        manager = Manager(user=target.user)
        if manager.show(f"{target.unit}.socket", "UnitFileState")["UnitFileState"] == "enabled":
            return Unit(manager, target.unit)
    return None
