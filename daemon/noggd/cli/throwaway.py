"""A throw-away device for the demonstration: one daemon in a temporary folder, on the loopback interface only."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nogg import paths
from nogg.blocking import Connection
from nogg.errors import ConnectionLost, NotRunning, Starting
from noggd.cli.exits import Failure

_READY_LIMIT = 30.0  # seconds; it takes less than one on a machine that has time
_STEP = 0.02
_PATIENCE = 20.0  # seconds for one reply
_KNOCK_LIMIT = 5.0  # seconds that a refusal may take
_TAIL = 5


class Device:
    """One throw-away daemon with its own folder; may be launched again after a kill."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder / name
        self._folder.mkdir(mode=0o700)
        self._socket = self._folder / "socket"
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        fault = paths.socket_path_fault(self._socket)
        if fault:
            raise Failure(f"{fault}; set TMPDIR to a shorter folder")

    def launch(self) -> None:
        """Start the daemon, without waiting for it."""
        config = self._folder / "config.toml"
        config.touch(mode=0o600)  # an empty one, so that the user's own plays no part
        places = ["--socket", self._socket, "--state-dir", self._folder / "state", "--config", config]
        network = ["--listen", "127.0.0.1:0", "--no-discovery"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "noggd", *map(str, places), *network],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if not key.startswith("NOGG_")},
            )

    def wait_until_ready(self) -> None:
        """Wait until the daemon has loaded its store; raises Failure with its last words if it does not."""
        assert self._process is not None
        deadline = time.monotonic() + _READY_LIMIT
        while True:
            if self._process.poll() is not None:
                raise Failure(f"the {self.name}'s daemon ended\n{self._last_words()}")
            try:
                self._connection = Connection(self._socket, timeout=_PATIENCE)
                if self._connection.call("hello")["ready"]:
                    return
            except (NotRunning, Starting, ConnectionLost):
                pass  # not there yet: looked at again below
            if time.monotonic() > deadline:
                raise Failure(f"the {self.name}'s daemon does not start\n{self._last_words()}")
            self._hang_up()
            time.sleep(_STEP)

    def call(self, method: str, /, **params: object) -> Any:
        """Call a method of this device's daemon."""
        assert self._connection is not None
        return self._connection.call(method, **params)

    def look(self, microcosm: str) -> dict[str, Any] | None:
        """Return a reference as this device has it, without touching it."""
        found = self.call("reference.get", microcosmID=microcosm, touch=False)
        return found or None

    def address(self) -> tuple[str, int]:
        """Return host and port at which other devices reach it."""
        host, _, port = self.call("sync.status")["listen"].rpartition(":")
        return host, int(port)

    def kill(self) -> None:
        """End the daemon by SIGKILL; harmless if it does not run."""
        self._hang_up()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_TAIL:])


def knock(address: tuple[str, int]) -> bytes:
    """Knock at a device's port as a stranger without a key; return what was told inside the encrypted channel."""
    import socket
    import ssl

    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname = False
    stranger.verify_mode = (
        ssl.CERT_NONE
    )  # the stranger takes any server: it is the server that must be strict
    try:
        with (
            socket.create_connection(address, timeout=_KNOCK_LIMIT) as plain,
            stranger.wrap_socket(plain) as wrapped,
        ):
            wrapped.sendall(b"GET / HTTP/1.1\r\nHost: nogg\r\n\r\n")
            return wrapped.recv(1024)
    except (ssl.SSLError, ConnectionError):
        return b""
