"""A person's devices: one change, a stream, many subscribers, ten devices; against each peer in turn.

Ours goes app, daemon A, TLS, daemon B, app, and is on disk at both ends; a peer goes client, server, client, in
memory and in the clear. Each round starts everything anew, so that both are equally cold.
"""

from __future__ import annotations

import contextlib
import time

from benchmarks.apps import Subscriber, one_by_one, stream, to_the_last
from benchmarks.daemons import Daemon, paired
from benchmarks.figures import Row, median, paired_ratio, quantile
from benchmarks.peers import Y_WEBSOCKET, Peer, serving
from benchmarks.plan import Plan
from benchmarks.processes import scratch
from benchmarks.requests import connect

_CHUNK = 50
_SUBSCRIBERS = 50
_DEVICES = 10


def _ids(kind: str, n: int) -> list[str]:
    return [f"{kind}.{i:016}" for i in range(n)]


def _promised(peer: Peer, target: float) -> float | None:
    """The promises speak of y-websocket; what the others do is told beside it."""
    return target if peer is Y_WEBSOCKET else None


def change(plan: Plan) -> list[Row]:
    """One change from an app on A to the app on B, `n` in sequence a round."""
    rows = []
    for peer in plan.each_peer():
        found = [_change(plan, peer) for _ in range(plan.rounds)]
        for name, q, target, stretch in (("p50", 0.5, 1.6, 1.2), ("p99", 0.99, 1.0, None)):
            ours, theirs = [quantile(a, q) for a, _ in found], [quantile(b, q) for _, b in found]
            what = f"change from app to app on two devices, {name}"
            rows.append(
                Row(what, median(ours), "ms", _promised(peer, target), peer.name, median(theirs),
                    paired_ratio(ours, theirs), stretch)
            )  # fmt: skip
    return rows


def _change(plan: Plan, peer: Peer) -> tuple[list[float], list[float]]:
    """One round: milliseconds of ours and of the peer's, in chunks that take turns."""
    ours: list[float] = []
    theirs: list[float] = []
    n = plan.n
    with scratch() as folder, paired(folder) as (a, b), serving(peer, folder) as clients:
        reader = Subscriber(b)
        with connect(a.socket) as writer, reader.socket:
            ids = _ids("change", n + _CHUNK)
            one_by_one(writer, reader, ids[n:])  # both sides have carried something before they are timed
            clients.run("latency", peer.of(_CHUNK))
            for at in range(0, n, _CHUNK):
                ours += one_by_one(writer, reader, ids[at : at + _CHUNK])
                theirs += clients.run("latency", peer.of(_CHUNK))["times_ms"]
    return ours, theirs


def flow(plan: Plan) -> list[Row]:
    """`n` changes as fast as possible from an app on A until the app on B was told of all."""
    rows = []
    n = plan.n
    for peer in plan.each_peer():
        ours, theirs = [], []
        for _ in range(plan.rounds):
            with scratch() as folder, paired(folder) as (a, b), serving(peer, folder) as clients:
                reader = Subscriber(b)
                with connect(a.socket) as writer, reader.socket:
                    one_by_one(writer, reader, _ids("warm", _CHUNK))
                    clients.run("latency", peer.of(_CHUNK))
                    ours.append(n / stream(writer, reader, _ids("stream", n)))
                    theirs.append(peer.of(n) / clients.run("stream", peer.of(n))["seconds"])
        note = f"the peer {peer.of(n):,} only" if peer.share < 1 else ""
        rows.append(
            Row(f"{n:,} changes in a stream", median(ours), "per s", _promised(peer, 1.3), peer.name,
                median(theirs), paired_ratio(ours, theirs), 2.0, at_least=True, note=note)
        )  # fmt: skip
    return rows


def fanout(plan: Plan) -> list[Row]:
    """One change on A until the last of 50 apps on B was told."""
    rows = []
    for peer in plan.each_peer():
        ours, theirs = [], []
        for _ in range(plan.rounds):
            with scratch() as folder, paired(folder) as (a, b), serving(peer, folder) as clients:
                ours.append(_until_all_told(a, [b] * _SUBSCRIBERS, plan.n))
                theirs.append(_until_all_have(clients.run("fanout", plan.n + 5, _SUBSCRIBERS)))
        what, ratio = "change until the last of 50 subscribers has it, p50", paired_ratio(ours, theirs)
        target = _promised(peer, 1.0)
        rows.append(Row(what, median(ours), "ms", target, peer.name, median(theirs), ratio))
    return rows


def devices(plan: Plan) -> list[Row]:
    """One change until the apps on all of ten devices were told, all connected to all; nine clients at a peer."""
    rows = []
    ours: list[float] = []
    theirs: dict[str, list[float]] = {}
    peers = list(plan.each_peer())
    for _ in range(plan.rounds):
        with scratch() as folder, paired(folder, _DEVICES) as daemons:
            ours.append(_until_all_told(daemons[0], daemons, plan.n))
        for peer in peers:
            with scratch() as folder, serving(peer, folder) as clients:
                found = _until_all_have(clients.run("fanout", plan.n + 5, _DEVICES - 1))
                theirs.setdefault(peer.name, []).append(found)
    note = "ten daemons on one disk"
    for name, found_s in theirs.items():
        what, ratio = "change until the last of 10 devices has it, p50", paired_ratio(ours, found_s)
        rows.append(Row(what, median(ours), "ms", None, name, median(found_s), ratio, note=note))
    return rows


def _until_all_told(a: Daemon, at: list[Daemon], n: int) -> float:
    """Milliseconds from a call on `a` until an app on each of `at` was told, the median of `n`."""
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(connect(a.socket))
        readers = [Subscriber(each) for each in at]
        for reader in readers:
            stack.enter_context(reader.socket)
        time.sleep(0.1)  # what connecting left to do is done
        return median(to_the_last(writer, readers, _ids("fanout", n + 5))[5:])


def _until_all_have(found: dict[str, list[float]]) -> float:
    return median(found["times_ms"][5:])
