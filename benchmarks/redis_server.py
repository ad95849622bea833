"""Redis as a peer: one server of our own on a Unix socket, and the two requests that are compared."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import Unavailable, program, wait_until


def _serves(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            probe.sendall(b"*1\r\n$4\r\nPING\r\n")
            return probe.recv(64) == b"+PONG\r\n"
        except OSError:
            return False


@contextlib.contextmanager
def redis_server(folder: Path, *, durable: bool) -> Iterator[Path]:
    """A Redis on a Unix socket in `folder`; yields the socket's path.

    `durable`: it answers a write after its fsync. The other name is the one under which Debian's redis-tools
    has the server's program, without a service that starts by itself.
    """
    found = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if found is None:
        raise Unavailable("Redis is not installed (Debian: apt install redis-tools)")
    path = folder / "redis.sock"
    appending = ["--appendonly", "yes" if durable else "no", "--appendfsync", "always"]
    where: list[str | Path] = ["--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
    command = ["redis-server", *where, *appending]
    with program(command, executable=found, log=folder / "redis.log"):
        wait_until(lambda: _serves(path), "Redis answers PING")
        yield path


def request(*words: bytes) -> bytes:
    """One Redis request in its wire form."""
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%s" % (len(words), parts)
