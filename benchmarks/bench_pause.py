"""Whether an app notices that a daemon compacts: reads at a steady pace while another app writes.

A compaction is seen from outside: the other device receives the whole map anew. The reads are due every
millisecond whether or not the one before was answered in time, or a pause would hide the reads that it delays.
"""

from __future__ import annotations

import itertools
import socket
import time

from benchmarks.apps import fill, flood
from benchmarks.daemons import Daemon, paired, received
from benchmarks.figures import Row, median, paired_ratio, quantile
from benchmarks.plan import Plan
from benchmarks.processes import scratch
from benchmarks.requests import ask, call, connect

_WINDOW = 400
"""Reads in a window, one each millisecond."""

_WRITES = 50
"""Writes at the start of each window."""

_STEP = 500
"""Writes at once while a compaction is far."""

_WINDOWS = 40
"""The most windows in which a compaction is looked for."""


class _House:
    """Two devices with `n` references; one of them is written to."""

    def __init__(self, a: Daemon, b: Daemon, n: int) -> None:
        self._a, self._b, self._n = a, b, n
        self._serial = itertools.count()
        fill(a, "pause", n)

    def writes(self, count: int) -> bytes:
        """Requests that change one reference after the other."""
        return b"".join(
            call("reference.update", microcosmID=self.name(i), view=f"view{i}")
            for i in itertools.islice(self._serial, count)
        )

    def name(self, i: int) -> str:
        """The id of a reference."""
        return f"pause.{i % self._n:016}"

    def write(self, count: int) -> int:
        """Have as many changes made and stored on both devices; bytes that the other received for them."""
        before = received(self._b)
        flood([(self._a.socket, iter([self.writes(count)]), count)])
        self._a.call("sync.wait", devices="all", timeout_s=30)
        return received(self._b) - before

    def until_compacted(self) -> int:
        """Write until the map is compacted; how many changes that took, in steps."""
        least = self.write(_STEP)
        for written in itertools.count(2 * _STEP, _STEP):
            got = self.write(_STEP)
            least = min(least, got)
            if got - least > self.map_bytes:
                return written
        raise AssertionError("never reached")

    @property
    def map_bytes(self) -> int:
        """Less than what the whole map takes, and more than what a few writes differ by."""
        return 40 * self._n

    def window(self, app: socket.socket, writer: socket.socket | None) -> tuple[list[float], int]:
        """Read every millisecond, after a few writes where there is a writer; milliseconds late, and bytes that
        the other device received meanwhile.
        """
        before = received(self._b)
        if writer is not None:
            writer.sendall(self.writes(_WRITES))
        late = _reads(
            app, [call("reference.get", microcosmID=self.name(7 * i), touch=False) for i in range(_WINDOW)]
        )
        if writer is not None:
            answered = 0
            while answered < _WRITES:
                answered += writer.recv(1 << 16).count(b"\n")
        return late, received(self._b) - before


def _reads(app: socket.socket, requests: list[bytes]) -> list[float]:
    """Milliseconds from when each read was due, one each millisecond, until it was answered."""
    found = []
    start = time.perf_counter()
    for i, request in enumerate(requests):
        due = start + i / 1000
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
            due = time.perf_counter()  # waking up late is this program's matter
        ask(app, request)
        found.append((time.perf_counter() - due) * 1e3)
    return found


def pause(plan: Plan) -> list[Row]:
    """Reads of one app while the map of `n` references is compacted, against the windows without it."""
    during, quiet, idle, longest = [], [], [], []
    with scratch() as folder, paired(folder) as (a, b):
        house = _House(a, b, plan.n)
        house.until_compacted()
        period = house.until_compacted()
        with connect(a.socket) as app, connect(a.socket) as writer:
            for _ in range(plan.rounds):
                for _ in range(max(period // _STEP - 3, 0)):
                    house.write(_STEP)
                idle.append(quantile(house.window(app, None)[0], 0.99))
                windows = _until_one_differs(house, app, writer)
                least = min(nbytes for _, nbytes in windows)
                with_it: list[float] = []
                without: list[float] = []
                for late, nbytes in windows:
                    (with_it if nbytes - least > house.map_bytes else without).extend(late)
                during.append(quantile(with_it, 0.99))
                quiet.append(quantile(without, 0.99))
                longest.append(max(with_it))
    note = f"the longest {median(longest):.1f} ms; idle p99 {median(idle):.2f}"
    what = f"read while a map of {plan.n:,} is compacted, p99"
    return [
        Row(what, median(during), "ms", 3.0, "without", median(quiet), paired_ratio(during, quiet), note=note)
    ]


_Window = tuple[list[float], int]


def _until_one_differs(house: _House, app: socket.socket, writer: socket.socket) -> list[_Window]:
    windows: list[_Window] = []
    while len(windows) < _WINDOWS:
        windows.append(house.window(app, writer))
        sizes = [nbytes for _, nbytes in windows]
        if len(windows) > 3 and max(sizes) - min(sizes) > house.map_bytes:
            break
    else:
        raise RuntimeError("the map was not compacted when it was due")
    windows.append(house.window(app, writer))
    return windows
