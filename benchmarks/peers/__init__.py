"""What noggd is measured against: one server each, and one process with its clients, on loopback.

Each peer's folder holds what is pinned for it and its two small programs. They are installed into `.peers`, which
git ignores; nothing of them is imported here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import Unavailable, program, wait_until

_HERE = Path(__file__).parent
_INSTALLED = _HERE.parent / ".peers"


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """One of them.

    `share` is the part of a run that it is given, and `largest_join` the most references that it is filled with,
    where all of it would take minutes.
    """

    name: str
    folder: str
    in_python: bool = False
    options: tuple[str, ...] = ()
    share: float = 1.0
    largest_join: int = 100_000

    def of(self, n: int) -> int:
        """How many of `n` changes it is given."""
        return max(5, int(n * self.share))

    @property
    def _pinned(self) -> tuple[str, ...]:
        return ("requirements.txt",) if self.in_python else ("package.json", "package-lock.json")

    def install(self) -> Path:
        """Install what is pinned, once, and again when that changes; return where."""
        if not self.in_python and (shutil.which("node") is None or shutil.which("npm") is None):
            raise Unavailable("node and npm are not installed (Debian: apt install nodejs npm)")
        place = _INSTALLED / self.folder
        place.mkdir(parents=True, exist_ok=True)
        done, wanted = place / "installed", (_HERE / self.folder / self._pinned[-1]).read_bytes()
        if not done.exists() or done.read_bytes() != wanted:
            for name in self._pinned:
                shutil.copyfile(_HERE / self.folder / name, place / name)
            self._fetch(place)
            done.write_bytes(wanted)
        # the programs lie beside what they import, because that is where Node looks for it
        programs = [
            _HERE / "driver.mjs",
            *(_HERE / self.folder).glob("*.py"),
            *(_HERE / self.folder).glob("*.mjs"),
        ]
        for each in programs:
            shutil.copyfile(each, place / each.name)
        return place

    def _fetch(self, place: Path) -> None:
        if self.in_python:
            commands = [
                [sys.executable, "-m", "venv", "venv"],
                ["venv/bin/pip", "install", "--quiet", "--no-deps", "-r", "requirements.txt"],
            ]
        else:
            commands = [["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]]
        for command in commands:
            done = subprocess.run(command, cwd=place, timeout=300, stdin=subprocess.DEVNULL, check=False)
            if done.returncode:
                raise Unavailable(
                    f"it could not be installed ({' '.join(command[:2])} said {done.returncode})"
                )

    def command(self, place: Path, which: str, *arguments: str) -> list[str | Path]:
        """Return what runs its `server` or its `clients`."""
        if self.in_python:
            return [place / "venv/bin/python", place / f"{which}.py", *arguments, *self.options]
        return ["node", place / f"{which}.mjs", *arguments, *self.options]


Y_WEBSOCKET = Peer("y-websocket", "y_websocket")
"""The one that the promises speak of."""

PYCRDT_WEBSOCKET = Peer("pycrdt-websocket", "pycrdt_websocket", in_python=True, options=("plain",))
"""Without the compression that is its default, because that is quicker."""

PYCRDT_DEFLATING = dataclasses.replace(
    PYCRDT_WEBSOCKET, name="pycrdt-websocket, deflate", options=("deflate",)
)
"""As it comes. It compresses what is on the way, and so trades time for bytes: only joins show both ways."""

PEERS = (
    Y_WEBSOCKET,
    Peer("Hocuspocus", "hocuspocus"),
    PYCRDT_WEBSOCKET,
    Peer("automerge-repo", "automerge_repo", share=0.1, largest_join=10_000),
)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Clients:
    """The process with the clients; one run at a time."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.name = name
        self._in, self._out = process.stdin, process.stdout

    def run(self, name: str, n: int, clients: int = 2) -> Any:
        """Carry out the run `name`, which `driver.mjs` describes; returns what it measured."""
        self._in.write(json.dumps({"run": name, "n": n, "clients": clients}).encode() + b"\n")
        self._in.flush()
        line = self._out.readline()
        if not line:
            raise RuntimeError(f"the clients of {self.name} have ended; see clients.log")
        found = json.loads(line)
        if "error" in found:
            raise TimeoutError(f"{self.name}: {found['error']}")
        return found


@contextlib.contextmanager
def serving(peer: Peer, folder: Path) -> Iterator[Clients]:
    """A server without persistence and the process of its clients, with their logs in `folder`."""
    place = peer.install()
    port = _free_port()
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    server = peer.command(place, "server", str(port))
    clients = peer.command(place, "clients", f"ws://127.0.0.1:{port}")
    with program(server, env=env, log=folder / "server.log"):
        wait_until(lambda: _listens(port), f"the server of {peer.name} listens")
        with program(clients, env=env, log=folder / "clients.log", pipes=True) as process:
            yield Clients(peer.name, process)
