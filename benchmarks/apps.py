"""Applications on two devices: one that changes, others that are told.

Raw sockets and JSON, no client library.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.daemons import Daemon
from benchmarks.requests import PATIENCE_S, ask, call, connect


class Subscriber:
    """A connection that is told each change of the default session."""

    def __init__(self, daemon: Daemon) -> None:
        self.socket = connect(daemon.socket)
        self._rest = b""
        snapshot = json.loads(ask(self.socket, call("session.subscribe", keys=["microcosms"])))
        self.at_start = len(snapshot["result"]["set"])

    def lines(self) -> list[dict[str, Any]]:
        """What one read brings, as whole messages."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the daemon went away")
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in whole]

    def told(self) -> list[str]:
        """The ids of the references that one read tells of."""
        changes = [line["params"] for line in self.lines() if line.get("method") == "session.changed"]
        return [microcosm_id for change in changes for microcosm_id in change["set"]]


def register(microcosm_id: str) -> bytes:
    """The request that makes one reference, of about the size that the peers carry."""
    return call("reference.register", microcosmID=microcosm_id, view="spatial")


def one_by_one(writer: socket.socket, reader: Subscriber, ids: Sequence[str]) -> list[float]:
    """Milliseconds from each call on one device until the app on the other is told, one after the other."""
    found = []
    for microcosm_id in ids:
        request = register(microcosm_id)
        start = time.perf_counter_ns()
        writer.sendall(request)
        while microcosm_id not in reader.told():
            pass
        found.append((time.perf_counter_ns() - start) / 1e6)
        if b'"result"' not in writer.recv(65536):
            raise RuntimeError("the register was refused")
    return found


def stream(writer: socket.socket, reader: Subscriber, ids: Sequence[str]) -> float:
    """Seconds until the app on the other device was told of all `ids`, sent as fast as they are taken."""
    unsent = memoryview(b"".join(register(microcosm_id) for microcosm_id in ids))
    missing = set(ids)
    writer.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(writer, selectors.EVENT_READ | selectors.EVENT_WRITE)
        selector.register(reader.socket, selectors.EVENT_READ)
        start = time.perf_counter()
        answered = 0
        while missing or answered < len(ids):
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise TimeoutError(f"{len(missing)} of {len(ids)} changes did not arrive")
            for key, mask in ready:
                if key.fileobj is reader.socket:
                    missing.difference_update(reader.told())
                    if not missing:
                        seconds = time.perf_counter() - start
                elif mask & selectors.EVENT_READ:
                    answered += writer.recv(1 << 18).count(b"\n")
                elif unsent:
                    unsent = unsent[writer.send(unsent[: 1 << 16]) :]
                    if not unsent:
                        selector.modify(writer, selectors.EVENT_READ)
    writer.setblocking(True)
    return seconds


def flood(apps: Sequence[tuple[Path, Iterator[bytes], int]]) -> None:
    """Send what each app has for its daemon as fast as it is taken, until all of its `count` replies are there.

    For each app the daemon's socket, blocks of whole requests, and how many requests they are.
    """
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for path, blocks, count in apps:
            app = stack.enter_context(connect(path))
            app.setblocking(False)
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(app, both, _Flow(blocks, count))
        while selector.get_map():
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise TimeoutError("no reply")
            for key, mask in ready:
                flow: _Flow = key.data
                assert isinstance(key.fileobj, socket.socket)
                if mask & selectors.EVENT_READ:
                    flow.missing -= _replies(key.fileobj)
                    if flow.missing <= 0:
                        selector.unregister(key.fileobj)
                elif not flow.send(key.fileobj):
                    selector.modify(key.fileobj, selectors.EVENT_READ, flow)


class _Flow:
    """What one app of a flood still has to send, and to hear."""

    def __init__(self, blocks: Iterator[bytes], missing: int) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self.missing = missing

    def send(self, to: socket.socket) -> bool:
        """Send as much as is taken at once; False when there is nothing left."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
            if not self._rest:
                return False
        self._rest = self._rest[to.send(self._rest[: 1 << 16]) :]
        return True


def _replies(app: socket.socket) -> int:
    data = app.recv(1 << 18)
    if not data:
        raise ConnectionError("the daemon went away")
    if b'"error"' in data:
        raise RuntimeError(f"refused: {data[:300]!r}")
    return data.count(b"\n")


def to_the_last(writer: socket.socket, readers: Sequence[Subscriber], ids: Sequence[str]) -> list[float]:
    """Milliseconds from each call on one device until the last of `readers` on the other is told."""
    found = []
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        for microcosm_id in ids:
            request = register(microcosm_id)
            waiting = set(readers)
            start = time.perf_counter_ns()
            writer.sendall(request)
            while waiting:
                for key, _ in selector.select(PATIENCE_S):
                    if microcosm_id in key.data.told():
                        waiting.discard(key.data)
            found.append((time.perf_counter_ns() - start) / 1e6)
            writer.recv(65536)
            time.sleep(0.005)  # as the peer's run does: each change meets idle processes
    return found


def fill(device: Daemon, kind: str, n: int) -> None:
    """Register `n` references."""
    reader = Subscriber(device)
    with connect(device.socket) as writer, reader.socket:
        stream(writer, reader, [f"{kind}.{i:016}" for i in range(n)])


def all_told(reader: Subscriber, count: int) -> None:
    """Return when the subscriber was told of `count` different references."""
    seen: set[str] = set()
    while len(seen) < count:
        seen.update(reader.told())
