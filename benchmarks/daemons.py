"""Our side: real daemons on loopback with throw-away state, alone or as a paired two."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import START_S, program
from nogg.blocking import Connection
from nogg.errors import ConnectionLost, NotRunning, Starting


@dataclasses.dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon."""

    socket: Path
    process: subprocess.Popen[bytes]
    ready_s: float

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def call(self, method: str, /, **params: object) -> Any:
        """One call on a connection of its own."""
        with Connection(self.socket, timeout=60) as connection:
            return connection.call(method, **params)


def _ready(socket: Path, process: subprocess.Popen[bytes]) -> None:
    """Return as soon as `hello` says ready; looks every millisecond."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"noggd ended with {process.returncode}; see {socket.parent / 'noggd.log'}")
        with contextlib.suppress(NotRunning, ConnectionLost, Starting), Connection(socket) as connection:
            if connection.call("hello")["ready"]:
                return
        time.sleep(0.001)
    raise TimeoutError(f"noggd was not ready within {START_S:g} s; see {socket.parent / 'noggd.log'}")


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[Daemon]:
    """A daemon with its socket, state and configuration in `folder`, which may hold state from before."""
    folder.mkdir(exist_ok=True)
    config = folder / "config.toml"
    config.touch()
    socket = folder / "s"
    command: list[str | Path] = [
        *(sys.executable, "-m", "noggd", "--no-discovery", "--listen", "127.0.0.1:0"),
        *("--socket", socket, "--state-dir", folder / "state", "--config", config),
    ]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    started = time.perf_counter()
    with program(command, env=env, log=folder / "noggd.log") as process:
        _ready(socket, process)
        yield Daemon(socket, process, time.perf_counter() - started)


def pair(inviter: Daemon, joiner: Daemon) -> None:
    """Make the two devices of one person."""
    invite = inviter.call("pair.invite")
    joiner.call("pair.join", code=invite["code"], address=invite["addresses"][0])


@contextlib.contextmanager
def paired(folder: Path) -> Iterator[tuple[Daemon, Daemon]]:
    """Two paired and connected daemons."""
    with daemon(folder / "a") as a, daemon(folder / "b") as b:
        pair(a, b)
        yield a, b
