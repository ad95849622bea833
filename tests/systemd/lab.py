"""A real systemd, booted beside the machine's own (see `boot-lab`), with two people on it and noggd installed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from nogg.blocking import Connection

HERE = Path(__file__).parent
PEOPLE = ("alice", "bob")
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
OWN_PYTHON = not Path(f"/usr/lib/{VERSION}/venv").is_dir()
"""Whether the lab needs the tests' own interpreter: the system has none that could use the tests' packages."""
PYTHON = f"/opt/python/bin/{VERSION}" if OWN_PYTHON else f"/usr/bin/{VERSION}"
"""The interpreter in the lab; the tests' own may be in a home folder, where services do not see it."""
PACKAGES = "/opt/packages"
WHEELS = "/opt/wheels"
SYSTEM_VENV = "/opt/noggd"

T = TypeVar("T")


class Unavailable(Exception):
    """No systemd can be booted here; says why."""


class Ran:
    """What a command in the lab came to."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self) -> Any:
        """The answer under --json."""
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"Ran({self.status}, {self.out[-2000:]!r}, {self.err[-2000:]!r})"


class Lab:
    """The booted system. Commands run in it; its files are seen through `path`."""

    def __init__(self, leader: int, cgroup: str) -> None:
        self.leader = leader
        self._cgroup = Path(cgroup) / "payload" if cgroup else None
        self.uids: dict[str, int] = {}

    def run(
        self, *command: str, user: str = "root", check: bool = True, limit: float = 60, **env: str
    ) -> Ran:
        """Run a command as root, or as a person in an environment like that of a login."""
        done = subprocess.run(
            self._words(command, user, env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
            preexec_fn=self._join,
        )
        ran = Ran(done)
        assert not check or ran.status == 0, (command, ran)
        return ran

    def popen(self, *command: str, user: str = "root") -> subprocess.Popen[str]:
        """Start a command without waiting for it; its output is to be read."""
        words = self._words(command, user, {})
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, preexec_fn=self._join
        )

    def _words(self, command: Sequence[str], user: str, env: Mapping[str, str]) -> list[str]:
        home = "/root" if user == "root" else f"/home/{user}"
        path = f"{home}/.local/bin:{SYSTEM_VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        known = {"HOME": home, "USER": user, "LOGNAME": user, "PATH": path, "LANG": "C.UTF-8"}
        words: list[str] = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C"]
        if user != "root":
            uid = self.uids[user]
            words += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups"]
            known["XDG_RUNTIME_DIR"] = f"/run/user/{uid}"
        set_to = [f"{name}={value}" for name, value in {**known, **env}.items()]
        return [*words, "env", "-C", "/", "-i", *set_to, *command]

    def _join(self) -> None:
        """Newer systemds listen only to processes of their own cgroup tree."""
        if self._cgroup is not None:
            with contextlib.suppress(OSError):
                (self._cgroup / "cgroup.procs").write_text(str(os.getpid()))

    def path(self, path: str | Path) -> Path:
        """Return a path of the lab as the tests reach it."""
        return Path(f"/proc/{self.leader}/root{path}")

    def systemctl(self, *words: str, user: str | None = None, check: bool = True) -> Ran:
        """Tell the system's manager something, or a person's."""
        scope = ["--user"] if user else []
        return self.run("systemctl", *scope, *words, user=user or "root", check=check)

    def show(self, unit: str, name: str, user: str | None = None) -> str:
        """Return one property of a unit."""
        return self.systemctl("show", unit, f"--property={name}", "--value", user=user).out.strip()

    def nogg(self, *words: str, user: str = "root", check: bool = True) -> Ran:
        """Run the command line that this person has installed."""
        return self.run("nogg", *words, user=user, check=check)

    def connect(self, socket: str, timeout: float = 15) -> Connection:
        """Connect to a daemon, as root from outside."""
        return Connection(self.path(socket), timeout=timeout)

    def call(self, socket: str, method: str, /, **params: object) -> Any:
        """Call a method on a connection of its own."""
        with self.connect(socket) as connection:
            return connection.call(method, **params)

    def journal(self, *words: str, user: str | None = None) -> list[dict[str, Any]]:
        """Return entries of the journal."""
        self.run("journalctl", "--sync")
        scope = ["--user"] if user else []
        text = self.run(
            "journalctl", *scope, "-o", "json", "--no-pager", "-q", *words, user=user or "root"
        ).out
        return [json.loads(line) for line in text.splitlines()]

    def outer_pid(self, inner: int) -> int:
        """Return the process id, as the tests see it, of a process of the lab."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                ids = status.read_text().partition("\nNSpid:")[2].partition("\n")[0].split()
                if ids[-1:] == [str(inner)] and self._here(status.parent):
                    return int(status.parent.name)
        raise ProcessLookupError(inner)

    def _here(self, process: Path) -> bool:
        return (process / "ns/pid").readlink() == Path(f"/proc/{self.leader}/ns/pid").readlink()


def needs_user_managers(lab: Lab) -> None:
    """Skip where no service manager of a user could run."""
    places = ("usr/lib/*/security", "usr/lib*/security")
    if not any(any(lab.path("/").glob(f"{place}/pam_systemd.so")) for place in places):
        pytest.skip("pam_systemd is not installed (Debian: libpam-systemd), which user managers need")


def until(found: Callable[[], T], what: str, limit: float = 15) -> T:
    """Wait for a condition; returns what it gave."""
    end = time.monotonic() + limit
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < end, f"not within {limit} s: {what}; last {value!r}"
        time.sleep(0.02)


@contextlib.contextmanager
def booted(folder: Path, shown: Sequence[str]) -> Iterator[Lab]:
    """Boot a lab; it is gone again afterwards, also if the tests are killed. Raises Unavailable."""
    with subprocess.Popen(
        [str(HERE / "boot-lab"), str(folder), *shown],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline().rstrip("\n")
            if not line:
                reason = process.stderr.read().strip()
                if process.wait() == 3:
                    raise Unavailable(reason)
                raise AssertionError(f"the lab does not boot: {reason}")
            leader, _, cgroup = line.partition(" ")
            yield Lab(int(leader), cgroup)
        finally:
            process.stdin.close()


def what_is_shown(wheels: Path) -> list[str]:
    """Return what the lab needs of this machine beyond its root: interpreter, dependencies, our own wheel."""
    shown = [f"{sysconfig.get_paths()['purelib']}={PACKAGES}", f"{wheels}={WHEELS}"]
    if OWN_PYTHON:
        shown.append(f"{sys.base_prefix}=/opt/python")
    return shown


def settle(lab: Lab) -> None:
    """Let people live in the lab, and install noggd for all of them."""
    for person in PEOPLE:
        lab.run("useradd", "--create-home", "--shell", "/bin/bash", person)
        lab.uids[person] = int(lab.run("id", "-u", person).out)
    install(lab, SYSTEM_VENV)


def install(lab: Lab, venv: str, user: str = "root") -> None:
    """Install the wheel into a venv, as pip does, with the tests' own copies of what it depends on."""
    lab.run(PYTHON, "-m", "venv", "--without-pip", venv, user=user)
    site = f"{venv}/lib/{VERSION}/site-packages"
    lab.run("sh", "-c", f"echo {PACKAGES} > '{site}/packages.pth'", user=user)
    pip = [f"{venv}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    wheel = lab.run("sh", "-c", f"echo {WHEELS}/*.whl").out.strip()
    lab.run(*pip, "--no-index", "--no-deps", "--ignore-installed", wheel, user=user)
