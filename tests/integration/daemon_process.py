"""A `noggd` process with a store of its own, started, stopped and killed by a test."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from nogg.blocking import Connection
from nogg.errors import ConnectionLost, NotRunning, Starting

PATIENCE = 20.0  # seconds; reached only by a test that fails


class Daemon:
    """Listens at `socket`; `start` returns when it is ready."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "d.sock"
        self.state = folder / "state"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "noggd", "--listen", "127.0.0.1:0", "--no-discovery"]
        places = ["--socket", str(self.socket), "--state-dir", str(self.state)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.state.parent)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*command, *places], stderr=log, stdout=log, env=environment)
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            assert self._process.poll() is None, self._log.read_text("utf-8")
            assert time.monotonic() < deadline, self._log.read_text("utf-8")
            time.sleep(0.01)

    def stop(self) -> None:
        """As asked by the user: everything accepted is finished."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Without a moment to tidy up."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            os.kill(self._process.pid, how)
            self._process.wait(PATIENCE)
            self._process = None

    def _ready(self) -> bool:
        try:
            with Connection(self.socket) as connection:
                return bool(connection.call("hello")["ready"])
        except (NotRunning, ConnectionLost, Starting):
            return False
