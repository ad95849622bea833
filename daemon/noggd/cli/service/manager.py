"""systemd as seen from the command line: one service manager, asked and told through its own programs.

Nothing here decides what is installed or how it is shown.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from noggd.cli.exits import TIMEOUT, Failure
from noggd.platform.checks import LINGER

_START_LIMIT = 120.0
"""Seconds for one command: a start waits until the daemon has loaded its store."""


class Manager:
    """The service manager of the system (`user` False) or of the user who runs this."""

    def __init__(self, *, user: bool) -> None:
        self.user = user

    @property
    def folder(self) -> Path:
        """Where a person (or root) puts units."""
        if not self.user:
            return Path("/etc/systemd/system")
        base = os.environ.get("XDG_CONFIG_HOME", "")
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".config") / "systemd/user"

    @property
    def packaged(self) -> tuple[Path, ...]:
        """Where a distribution puts units."""
        kind = "user" if self.user else "system"
        return tuple(Path(base) / "systemd" / kind for base in ("/usr/local/lib", "/usr/lib", "/lib"))

    def line(self, *words: str) -> list[str]:
        """Return a command of systemctl for this manager."""
        return ["systemctl", *(["--user"] if self.user else []), *words]

    def fault(self) -> str | None:
        """Say why this manager cannot be used, None if it can."""
        if shutil.which("systemctl") is None:
            return "there is no systemd on this machine"
        if not Path("/run/systemd/system").is_dir():
            return "this machine was not started by systemd"
        if not self.user:
            return None
        runtime = self._environment().get("XDG_RUNTIME_DIR", "")
        if not runtime or not (Path(runtime) / "systemd/private").exists():
            return f"no service manager runs for {user_name()}"
        return None

    def run(self, *words: str) -> str:
        """Run a command of systemctl; raises Failure with what it said."""
        done = self._run(self.line(*words))
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Failure(f"{' '.join(self.line(*words))} failed: {said}")
        return done.stdout

    def try_to(self, *words: str) -> bool:
        """Run a command of systemctl; return whether it succeeded."""
        return self._run(self.line(*words)).returncode == 0

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit; all empty where there is no such manager."""
        found = dict.fromkeys(properties, "")
        if self.fault() is not None:
            return found
        text = self._run(self.line("show", unit, *(f"--property={name}" for name in properties))).stdout
        for line in text.splitlines():
            name, _, value = line.partition("=")
            found[name] = value
        return found

    def verify(self, files: Mapping[str, str]) -> str | None:
        """Let systemd read units, given by the names of their files; return what it finds wrong with them."""
        if shutil.which("systemd-analyze") is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            units = [str(Path(folder) / name) for name in files if "/" not in name]
            scope = ["--user"] if self.user else []
            # without --recursive-errors misspelt names of settings are no errors
            command = ["systemd-analyze", *scope, "verify", "--man=no", "--recursive-errors=yes", *units]
            done = self._run(command)
        return done.stderr.strip() or "it does not say why" if done.returncode else None

    def can_make_namespaces(self) -> bool:
        """Try whether services of this manager may have user namespaces, which the strict drop-in rests on."""
        scope = ["--user"] if self.user else []
        command = ["systemd-run", *scope, "--wait", "--quiet", "--collect", "-p", "PrivateUsers=yes", "true"]
        return self._run(command).returncode == 0

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_START_LIMIT,
                check=False,
            )
        except FileNotFoundError:
            return subprocess.CompletedProcess(command, 127, "", f"there is no {command[0]}")
        except subprocess.TimeoutExpired as late:
            message = f"{' '.join(command)} is not done after {_START_LIMIT:.0f} s"
            raise Failure(message, kind="timeout", status=TIMEOUT) from late

    def _environment(self) -> dict[str, str]:
        """Return our environment; after `su` and in cron it lacks the way to the user's manager."""
        env = {**os.environ, "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        if self.user and not env.get("XDG_RUNTIME_DIR"):
            env["XDG_RUNTIME_DIR"] = f"/run/user/{os.getuid()}"
        return env


def user_name() -> str:
    """Return the name of the user who runs this."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def lingers(user: str) -> bool:
    """Tell whether a user's services run without a login."""
    return (LINGER / user).exists()


def set_linger(user: str) -> None:
    """Let a user's services run without a login. Raises Failure where that is not allowed."""
    command = ["loginctl", "enable-linger", user]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(
            f"lingering could not be switched on: {done.stderr.strip()}",
            hint=f"sudo loginctl enable-linger {user}",
        )
