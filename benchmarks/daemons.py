"""Our side: real daemons on loopback with throw-away state, alone or as a paired two."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import START_S, Unavailable, program, wait_until
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


def pair(inviter: Daemon, joiner: Daemon) -> float:
    """Make the two devices of one person; return the seconds that joining took."""
    invite = inviter.call("pair.invite")
    start = time.perf_counter()
    joiner.call("pair.join", code=invite["code"], address=invite["addresses"][0])
    return time.perf_counter() - start


def wait_until_all_connected(devices: Sequence[Daemon]) -> None:
    """Return once each has a link to each other."""
    others = len(devices) - 1
    wait_until(
        lambda: all(each.call("daemon.status")["counts"]["peers_online"] == others for each in devices),
        "every device is connected to every other",
    )


@contextlib.contextmanager
def paired(folder: Path, count: int = 2) -> Iterator[list[Daemon]]:
    """`count` devices of one person, all paired with the first, each connected to each."""
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(daemon(folder / f"d{i}")) for i in range(count)]
        for other in devices[1:]:
            pair(devices[0], other)
        wait_until_all_connected(devices)
        yield devices


def received(device: Daemon) -> int:
    """Bytes that the open TCP connections of a daemon have received, as the kernel counts them."""
    if shutil.which("ss") is None:
        raise Unavailable("ss is not installed (Debian: apt install iproute2)")
    command = ["ss", "-H", "-t", "-i", "-n", "-p", "state", "established"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    total = 0
    mine = False
    for line in listing.splitlines():
        if not line[:1].isspace():
            mine = f"pid={device.pid}," in line
        elif mine and (found := re.search(r"bytes_received:(\d+)", line)):
            total += int(found[1])
    return total


def resident_mb(device: Daemon) -> float:
    """Its resident memory."""
    status = Path(f"/proc/{device.pid}/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
