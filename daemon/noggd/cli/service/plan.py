"""What an installation is made of: the files that it writes and the units that it starts. Nothing is done here.

user      noggd.service     in the user's own manager; the default
person    noggd@alice       in the system's manager, for one user; runs without a login, best sandbox
headless  noggd.service     in the system's manager, under a user of its own; for a machine without its person
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nogg import paths
from noggd.cli.exits import Failure
from noggd.cli.service.manager import Manager
from noggd.cli.service.place import HIDDEN_HOMES, HIDDEN_TEMPORARY, Place
from noggd.cli.service.units import MARK, path_word, shipped, with_command, word
from noggd.platform.config import ROWS

KINDS = ("user", "person", "headless")


@dataclass(frozen=True, slots=True)
class Target:
    """Which of the daemons is meant: one of `KINDS`, and for `person` whose."""

    kind: str
    person: str = ""

    @property
    def user(self) -> bool:
        """Whether it is a unit of the user's own manager."""
        return self.kind == "user"

    @property
    def template(self) -> str:
        """The name of its files, without the ending."""
        return "noggd@" if self.kind == "person" else "noggd"

    @property
    def unit(self) -> str:
        """The name of its units, without the ending."""
        return self.template + self.person

    @property
    def socket(self) -> Path:
        """Where its apps connect."""
        if self.user:
            runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
            return Path(runtime) / "noggd" / paths.SOCKET_NAME
        return paths.SYSTEM_RUN / (f"{self.person}.sock" if self.person else paths.SOCKET_NAME)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be written and run. `state` is the folder that a user's sandbox needs to find."""

    target: Target
    manager: Manager
    files: Mapping[Path, str]
    state: Path | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def units(self) -> tuple[str, str]:
        """The units to be started, the socket first: then apps wait in its queue while the daemon starts."""
        return (f"{self.target.unit}.socket", f"{self.target.unit}.service")

    @property
    def commands(self) -> list[list[str]]:
        """What systemctl is told; the socket is restarted first, for it takes a running service with it."""
        return [
            ["daemon-reload"],
            ["enable", *self.units],
            ["restart", self.units[0]],
            ["restart", self.units[1]],
        ]


def make_plan(place: Place, target: Target, *, hardened: bool = False, lan_only: bool = False) -> Plan:
    """Return the plan for one installation. Raises Failure for what could not work."""
    _refuse_hidden(place, target)
    manager = Manager(user=target.user)
    kind = "user" if target.user else "system"
    service = f"{target.template}.service"
    files: dict[str, str] = {}
    if place.kind != "distribution" or not any((folder / service).exists() for folder in manager.packaged):
        files[service] = with_command(shipped(f"{kind}/{service}"), place.command)
        files[f"{target.template}.socket"] = shipped(f"{kind}/{target.template}.socket")
    state, changed = _state(target)
    notes = _ignored_settings()
    if hardened:
        files[f"{service}.d/strict.conf"] = shipped("drop-in/strict-user.conf")
    if lan_only:
        files[f"{service}.d/lan-only.conf"] = shipped("drop-in/lan-only.conf")
    settings = [f"Environment={name}={word(value)}" for name, value in changed.items()]
    if changed and state is not None:
        settings.append(f"BindPaths={path_word(str(state))}")
    if hardened:
        settings += [f"BindReadOnlyPaths={path_word(str(path))}" for path in place.within(HIDDEN_HOMES)]
    for each in place.within(HIDDEN_TEMPORARY):
        settings += ["PrivateTmp=no", "NoExecPaths="]
        notes.append(f"this copy of noggd is in a temporary folder ({each}), and the service goes with that")
    if settings:
        head = ["# where this copy of noggd and its state are", "[Service]"]
        files[f"{service}.d/place.conf"] = "\n".join([*head, *settings, ""])
    written = {manager.folder / name: MARK + text for name, text in files.items()}
    return Plan(target, manager, written, state, notes)


def _refuse_hidden(place: Place, target: Target) -> None:
    """Refuse an interpreter that the unit's own sandbox would hide from it."""
    hidden = place.within(HIDDEN_HOMES)
    if hidden and not target.user:
        raise Failure(
            f"a system service sees no home folders, and this copy of noggd needs {hidden[0]}",
            hint="install it for all users, e.g. python3 -m venv /opt/noggd && /opt/noggd/bin/pip install noggd",
        )


def _state(target: Target) -> tuple[Path | None, dict[str, str]]:
    """Return the state folder of a user's daemon, and variables that our shell has and its manager has not."""
    if not target.user:
        return None, {}
    ours = paths.resolve()
    plain = paths.resolve(environ={"HOME": str(Path.home())})
    changed = {}
    if ours.state != plain.state:
        changed["NOGG_STATE_DIR"] = str(ours.state.absolute())
    if ours.config != plain.config:
        changed["NOGG_CONFIG"] = str(ours.config.absolute())
    return ours.state.absolute(), changed


def _ignored_settings() -> list[str]:
    """Name settings of this shell that no service will see."""
    found = [name for name in (f"NOGG_{key.upper()}" for key in ROWS) if os.environ.get(name)]
    return [
        f"${name} is set in this shell; the service does not see it, write it into the config file"
        for name in found
    ]


def target_of(*, system: bool, headless: bool, person: str | None) -> Target:
    """Return the target that options name; without `person` it is whoever called sudo."""
    if not system:
        return Target("user")
    if headless:
        return Target("headless")
    name = person or os.environ.get("SUDO_USER") or ""
    if not name or (name == "root" and not person):
        raise Failure(
            "a system service runs for one person, and it is not known for whom",
            kind="usage",
            hint="--for USER names them; --headless is for a machine that has no user of theirs",
            status=2,
        )
    return Target("person", name)
