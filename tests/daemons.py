"""Real daemons for tests: a process in a folder of its own, on the loopback interface only.

Whatever a test starts here is stopped by its pid when the test ends, and its log is shown when the test fails.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nogg.blocking import Connection
from nogg.errors import ConnectionLost, NotRunning, Starting

PATIENCE = 60.0
"""Seconds for what takes moments; reached only by a test that fails."""

NETWORK = ("--listen", "127.0.0.1:0", "--no-discovery")


def until(holds: Callable[[], Any], what: str = "it", every: float = 0.005) -> Any:
    """Wait for a condition, looking every so many seconds, and return what made it true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} never came to be"
        time.sleep(every)
    return found


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nothing of the user's own plays a part."""
    kept = {
        key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "LC_ALL", "PYTHONPATH")
    }
    return {**kept, "HOME": str(folder), "TZ": "UTC", **more}


class Daemon:
    """One daemon; it may be started again after it was stopped or killed."""

    def __init__(self, folder: Path, *flags: str, env: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.socket = folder / "s"
        self.state = folder / "state"
        self.log = folder / "log"
        self.config = folder / "config.toml"
        self.config.touch()
        self.flags = flags
        self.env = environment(folder, **(env or {}))
        self.process: subprocess.Popen[bytes] | None = None
        self._connections: list[Connection] = []

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self.process is not None
        return self.process.pid

    def command(self) -> list[str]:
        """Return the command line."""
        places = ["--socket", self.socket, "--state-dir", self.state, "--config", self.config]
        return [sys.executable, "-m", "noggd", *map(str, places), *NETWORK, *self.flags]

    def launch(self, **popen: Any) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd=self.folder,
                **popen,
            )
        return self.process

    def start(self, **popen: Any) -> Daemon:
        """Start it and wait until it is ready."""
        self.launch(**popen)
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Wait until `hello` says so."""
        until(self._ready, "a ready daemon")

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{self.words()}"
        try:
            with Connection(self.socket) as connection:
                return bool(connection.call("hello")["ready"])
        except (NotRunning, ConnectionLost, Starting):
            return False

    def connect(self, timeout: float = PATIENCE) -> Connection:
        """Open a connection that is closed with the daemon at the latest."""
        connection = Connection(self.socket, timeout=timeout)
        self._connections.append(connection)
        return connection

    def call(self, method: str, /, **params: object) -> Any:
        """Call a method on a connection of its own."""
        with Connection(self.socket, timeout=PATIENCE) as connection:
            return connection.call(method, **params)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it by SIGTERM; returns its exit status."""
        return self._end(signal.SIGTERM)

    def restart(self) -> Daemon:
        """Stop it and start it again."""
        assert self.stop() == 0, self.words()
        return self.start()

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit status."""
        assert self.process is not None
        status = self.process.wait(PATIENCE)
        self.process = None
        return status

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.process = None
        return status

    def close(self) -> None:
        """Let nothing of it stay."""
        for connection in self._connections:
            connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._end(signal.SIGKILL)

    def words(self) -> str:
        """Return what it logged."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- log of {self.folder.name}\n{text}"


class Daemons:
    """Makes daemons in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Daemon] = []

    def make(self, name: str = "d", *flags: str, env: Mapping[str, str] | None = None) -> Daemon:
        """Return a daemon that is not started yet."""
        daemon = Daemon(self.folder / name, *flags, env=env)
        self.all.append(daemon)
        return daemon

    def start(self, name: str = "d", *flags: str, env: Mapping[str, str] | None = None) -> Daemon:
        """Return a daemon that is ready."""
        return self.make(name, *flags, env=env).start()

    def together(self, *names: str, flags: tuple[str, ...] = ()) -> list[Daemon]:
        """Return daemons that are ready, and started at the same time."""
        made = [self.make(name, *flags) for name in names]
        for daemon in made:
            daemon.launch()
        for daemon in made:
            daemon.wait_until_ready()
        return made


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Daemons]:
    """Give daemons to a test and end them after it."""
    daemons = Daemons(folder)
    try:
        yield daemons
    finally:
        for daemon in daemons.all:
            daemon.close()
