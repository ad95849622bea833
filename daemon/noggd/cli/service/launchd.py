"""macOS: the daemon as a LaunchAgent. Experimental: rendered by the tests, not yet run by them.

A LaunchAgent runs while its user is logged in; there is no socket activation, the daemon binds its socket itself.
"""

from __future__ import annotations

import os
import plistlib
import subprocess
from pathlib import Path

from nogg import paths
from noggd.cli.exits import FAILED, OK, Failure
from noggd.cli.output import note
from noggd.cli.service.place import Place
from noggd.cli.state import State
from noggd.platform.files import private_directory

LABEL = "in.nodenogg.noggd"
"""The agent's name, in launchd's reversed-domain style."""


def agent(place: Place, logs: Path) -> bytes:
    """Return the property list of the agent."""
    log = str(logs / "noggd.log")
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(place.command),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},  # as Restart=on-failure
            "ThrottleInterval": 5,  # seconds between restarts
            "ProcessType": "Background",
            "Umask": 0o077,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
    )


def agent_file() -> Path:
    """Return where the agent's property list stands."""
    return Path.home() / "Library/LaunchAgents" / f"{LABEL}.plist"


def install(state: State, place: Place, *, dry_run: bool) -> None:
    """Write the agent and load it."""
    logs, file = paths.resolve().logs, agent_file()
    commands = [["launchctl", "bootout", _domain(LABEL)], ["launchctl", "bootstrap", _domain(), str(file)]]
    text = agent(place, logs)
    answer = {"scope": "agent", "files": [str(file)], "commands": commands, "dry_run": dry_run}
    if not dry_run:
        private_directory(logs)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text)
        _run(commands[0], may_fail=True)  # an older one, if there is one
        _run(commands[1])
    state.output.result(answer, lambda: [text.decode()] if dry_run else [f"wrote {file}", f"{LABEL} runs"])
    note("services on macOS are experimental")


def uninstall(state: State) -> None:
    """Unload the agent and remove it."""
    file = agent_file()
    there = file.exists()
    _run(["launchctl", "bootout", _domain(LABEL)], may_fail=True)
    file.unlink(missing_ok=True)
    answer = {"uninstalled": there, "files": [str(file)] if there else []}
    state.output.result(answer, lambda: [f"removed {file}" if there else f"{LABEL} is not installed"])


def status(state: State) -> int:
    """Show whether the agent is loaded."""
    loaded = (
        subprocess.run(["launchctl", "print", _domain(LABEL)], capture_output=True, check=False).returncode
        == 0
    )
    answer = {"unit": LABEL, "installed": agent_file().exists(), "active": "active" if loaded else "inactive"}
    state.output.result(answer, lambda: [f"{LABEL} is {'loaded' if loaded else 'not loaded'}"])
    return OK if loaded else FAILED


def _domain(label: str = "") -> str:
    return f"gui/{os.getuid()}" + (f"/{label}" if label else "")


def _run(command: list[str], *, may_fail: bool = False) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        raise Failure(f"{' '.join(command)} failed: {done.stderr.strip()}")
