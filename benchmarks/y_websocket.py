"""y-websocket as a peer: its server and its clients in Node, installed into benchmarks/.peers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import Unavailable, program, wait_until

_HERE = Path(__file__).parent
_PEERS = _HERE / ".peers" / "node"


def install() -> Path:
    """Install the pinned peers once, and again when their list changes; returns their folder."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed (Debian: apt install nodejs npm)")
    _PEERS.mkdir(parents=True, exist_ok=True)
    lock = (_HERE / "node" / "package-lock.json").read_bytes()
    done = _PEERS / "installed-lock.json"
    if not done.exists() or done.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(_HERE / "node" / name, _PEERS / name)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(npm, cwd=_PEERS, check=True, timeout=300, stdin=subprocess.DEVNULL)
        done.write_bytes(lock)
    # beside node_modules, because that is where Node looks for what it imports
    shutil.copyfile(_HERE / "node" / "y-websocket.mjs", _PEERS / "y-websocket.mjs")
    return _PEERS


def free_port() -> int:
    """A TCP port on loopback that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Clients:
    """The Node process with the clients; one run at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    def run(self, name: str, n: int) -> Any:
        """Carry out the run `name` of y-websocket.mjs; returns what it measured."""
        self._in.write(json.dumps({"run": name, "n": n}).encode() + b"\n")
        self._in.flush()
        line = self._out.readline()
        if not line:
            raise RuntimeError("the y-websocket clients have ended; see node.log")
        found = json.loads(line)
        if "error" in found:
            raise TimeoutError(found["error"])
        return found


@contextlib.contextmanager
def y_websocket(folder: Path) -> Iterator[Clients]:
    """A y-websocket server without persistence and the process of its clients, all on loopback."""
    peers = install()
    port = free_port()
    env = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": str(port)}
    server: list[str | Path] = ["node", peers / "node_modules/@y/websocket-server/src/server.js"]
    client: list[str | Path] = ["node", peers / "y-websocket.mjs", f"ws://127.0.0.1:{port}"]
    log = folder / "node.log"
    with program(server, env=env, log=log):
        wait_until(lambda: _listens(port), "the y-websocket server listens")
        with program(client, log=log, pipes=True) as process:
            yield Clients(process)
