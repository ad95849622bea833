"""A fresh device that has everything to fetch: time and bytes.

Its pairing comes before and is noted: the peers have nothing of the kind.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from benchmarks.apps import Subscriber, all_told, fill
from benchmarks.daemons import Daemon, daemon, pair, received
from benchmarks.figures import Row, median, paired_ratio
from benchmarks.peers import PYCRDT_DEFLATING, PYCRDT_WEBSOCKET, Y_WEBSOCKET, Peer, serving
from benchmarks.plan import Plan
from benchmarks.processes import scratch


@dataclasses.dataclass(frozen=True, slots=True)
class _Joins:
    """What each of several joins took, after pairing where there is such a thing."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    received: list[float] = dataclasses.field(default_factory=list)
    pairing: list[float] = dataclasses.field(default_factory=list)

    def add(self, seconds: float, nbytes: int, pairing: float = 0.0) -> None:
        """Note one."""
        self.seconds.append(seconds)
        self.received.append(nbytes)
        self.pairing.append(pairing)


def join(plan: Plan) -> list[Row]:
    """A fresh device joins `n` references, from dialling to its app; a fresh client of each peer."""
    rows: list[Row] = []
    peers = [*plan.each_peer()]
    if PYCRDT_WEBSOCKET in peers:
        peers.append(PYCRDT_DEFLATING)
    with scratch() as folder, daemon(folder / "a") as a:
        fill(a, "join", plan.n)
        for peer in peers:
            if plan.n <= peer.largest_join:
                rows += _rows(plan, peer, *_against(plan, peer, a, folder / peer.name))
    return rows


def _against(plan: Plan, peer: Peer, a: Daemon, folder: Path) -> tuple[_Joins, _Joins]:
    """In turn a fresh device of ours and a fresh client of the peer; the first of each does not count."""
    ours, theirs = _Joins(), _Joins()
    folder.mkdir()
    with serving(peer, folder) as clients:
        clients.run("fill", plan.n)
        for turn in range(plan.rounds + 1):
            mine, found = join_once(folder, a, plan.n), clients.run("join", plan.n)
            if turn:
                ours.add(*mine)
                theirs.add(found["seconds"], found["bytes"])
    return ours, theirs


def join_once(folder: Path, a: Daemon, n: int) -> tuple[float, int, float]:
    """Pair a fresh device with `a`, which has `n` references; it leaves afterwards.

    Seconds from the end of its pairing until its app was told of all, bytes received, seconds of pairing.
    """
    with scratch(folder) as place, daemon(place) as fresh:
        reader = Subscriber(fresh)
        with reader.socket:
            pairing_s = pair(a, fresh)
            start = time.perf_counter()
            all_told(reader, n)
            seconds = time.perf_counter() - start
        nbytes = received(fresh)
        fresh.call("device.leave")
    return seconds, nbytes, pairing_s


def _rows(plan: Plan, peer: Peer, ours: _Joins, theirs: _Joins) -> list[Row]:
    target = 2.0 if peer is Y_WEBSOCKET and plan.n == 10_000 else None
    note = f"and {median(ours.pairing) * 1e3:.0f} ms of pairing before"
    rows = []
    for name, unit, scale, mine, other, about in (
        ("time", "ms", 1e3, ours.seconds, theirs.seconds, note),
        ("bytes", "kB", 1e-3, ours.received, theirs.received, ""),
    ):
        what, ratio = f"fresh device joins {plan.n:,} references, {name}", paired_ratio(mine, other)
        shown = median(mine) * scale, unit, target, peer.name, median(other) * scale, ratio, 1.0
        rows.append(Row(what, *shown, note=about))
    return rows
