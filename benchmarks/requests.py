"""The tight client: raw sockets, prepared requests, the same code against noggd and against Redis.

A reply is complete when its last byte is a newline, which is true of both; each run first checks that one
whole reply is the right one.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nogg import wire

PATIENCE_S = 30.0
"""How long any one reply may take."""


def connect(path: Path) -> socket.socket:
    """A blocking stream connection to the Unix socket at `path`."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened.settimeout(PATIENCE_S)
    opened.connect(str(path))
    return opened


def call(method: str, number: int = 1, **params: object) -> bytes:
    """One request line of the local API."""
    return wire.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send one request, return its reply."""
    connection.sendall(request)
    reply = connection.recv(65536)
    while reply[-1:] != b"\n":
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("closed in the middle of a reply")
        reply += more
    return reply


def times_us(connection: socket.socket, requests: Sequence[bytes]) -> list[float]:
    """Ask one after the other; how long each took, in microseconds."""
    connection.setblocking(True)  # without a timeout: one system call less per request, on both sides
    found: list[float] = []
    clock = time.perf_counter_ns
    for request in requests:
        start = clock()
        ask(connection, request)
        found.append((clock() - start) / 1000)
    return found


def rate(connections: Sequence[socket.socket], requests: Sequence[Iterator[bytes]], total: int) -> float:
    """Requests per second with one in flight on each connection, until `total` are answered."""
    with selectors.DefaultSelector() as selector:
        start = time.perf_counter()
        for connection, source in zip(connections, requests, strict=True):
            selector.register(connection, selectors.EVENT_READ, source)
            connection.sendall(next(source))
        answered = 0
        while answered < total:
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise TimeoutError("no reply")
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj.recv(65536)[-1:] != b"\n":
                    raise ConnectionError("half a reply: these are short, so this is a fault")
                answered += 1
                key.fileobj.sendall(next(key.data))
        seconds = time.perf_counter() - start
        for connection in connections:  # what is still in flight is read, so that the next round starts clean
            connection.recv(65536)
        return answered / seconds
