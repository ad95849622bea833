"""Two devices: one change, a stream, many subscribers and a fresh device, against y-websocket.

Ours goes app, daemon A, TLS, daemon B, app, and is on disk at both ends; y-websocket goes client, server,
client, in memory and in the clear. Each round starts everything anew, so that both are equally cold.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from pathlib import Path

from benchmarks.apps import Subscriber, all_told, one_by_one, stream, to_the_last
from benchmarks.daemons import Daemon, daemon, paired
from benchmarks.figures import Row, median, paired_ratio, quantile
from benchmarks.processes import scratch
from benchmarks.requests import connect
from benchmarks.y_websocket import y_websocket

_PEER = "y-websocket in memory"
_CHUNK = 50


def _ids(kind: str, n: int) -> list[str]:
    return [f"{kind}.{i:016}" for i in range(n)]


def change(rounds: int, n: int) -> list[Row]:
    """One change from an app on A to the app on B, `n` in sequence a round."""
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    for _ in range(rounds):
        with scratch() as folder, paired(folder) as (a, b), y_websocket(folder) as clients:
            reader = Subscriber(b)
            with connect(a.socket) as writer, reader.socket:
                ids = _ids("change", n + _CHUNK)
                one_by_one(writer, reader, ids[n:])  # both sides have carried something before they are timed
                clients.run("latency", _CHUNK)
                ours.append([])
                theirs.append([])
                for at in range(0, n, _CHUNK):
                    ours[-1] += one_by_one(writer, reader, ids[at : at + _CHUNK])
                    theirs[-1] += clients.run("latency", _CHUNK)["times_ms"]
    rows = []
    for name, q, target, stretch in (("p50", 0.5, 1.6, 1.2), ("p99", 0.99, 1.0, None)):
        a_s, b_s = [quantile(x, q) for x in ours], [quantile(x, q) for x in theirs]
        what = f"change from app to app on two devices, {name}"
        rows.append(Row(what, median(a_s), "ms", target, _PEER, median(b_s), paired_ratio(a_s, b_s), stretch))
    return rows


def flow(rounds: int, n: int) -> list[Row]:
    """`n` changes as fast as possible from an app on A until the app on B was told of all."""
    ours, theirs = [], []
    for _ in range(rounds):
        with scratch() as folder, paired(folder) as (a, b), y_websocket(folder) as clients:
            reader = Subscriber(b)
            with connect(a.socket) as writer, reader.socket:
                one_by_one(writer, reader, _ids("warm", _CHUNK))
                clients.run("latency", _CHUNK)
                ours.append(n / stream(writer, reader, _ids("stream", n)))
                theirs.append(n / clients.run("stream", n)["seconds"])
    what, ratio = f"{n:,} changes in a stream", paired_ratio(ours, theirs)
    return [Row(what, median(ours), "per s", 1.3, _PEER, median(theirs), ratio, 2.0, at_least=True)]


def fanout(rounds: int, n: int) -> list[Row]:
    """One change on A until the last of 50 apps on B was told."""
    ours, theirs = [], []
    for _ in range(rounds):
        with scratch() as folder, paired(folder) as (a, b), y_websocket(folder) as clients:
            with contextlib.ExitStack() as stack:
                writer = stack.enter_context(connect(a.socket))
                readers = [Subscriber(b) for _ in range(50)]
                for reader in readers:
                    stack.enter_context(reader.socket)
                times = to_the_last(writer, readers, _ids("fanout", n + 5))[5:]
            ours.append(median(times))
            theirs.append(median(clients.run("fanout", n + 5)["times_ms"][5:]))
    what, ratio = "change until the last of 50 subscribers has it, p50", paired_ratio(ours, theirs)
    return [Row(what, median(ours), "ms", 1.0, _PEER, median(theirs), ratio)]


def _received(device: Daemon) -> int:
    """Bytes that the open TCP connections of a daemon have received, as the kernel counts them."""
    command = ["ss", "-H", "-t", "-i", "-n", "-p", "state", "established"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    total = 0
    mine = False
    for line in listing.splitlines():
        if not line[:1].isspace():
            mine = f"pid={device.pid}," in line
        elif mine and (found := re.search(r"bytes_received:(\d+)", line)):
            total += int(found[1])
    return total


def _join(folder: Path, a: Daemon, n: int) -> tuple[float, int, float]:
    """Join with a fresh device. Seconds from the end of its pairing until its app was told of all `n`
    references, bytes received for them, and seconds that the pairing took.
    """
    with daemon(folder) as fresh:
        reader = Subscriber(fresh)
        with reader.socket:
            code = a.call("pair.invite")
            start = time.perf_counter()
            fresh.call("pair.join", code=code["code"], address=code["addresses"][0])
            paired_at = time.perf_counter()
            all_told(reader, n)
            told_at = time.perf_counter()
        received = _received(fresh)
        fresh.call("device.leave")
    return told_at - paired_at, received, paired_at - start


def join(rounds: int, n: int) -> list[Row]:
    """A fresh device that joins `n` references, from dialling to its app, against a fresh y-websocket client.

    Its pairing comes before and is noted: y-websocket has nothing of the kind.
    """
    ours: list[tuple[float, int, float]] = []
    theirs: list[tuple[float, int]] = []
    with scratch() as folder, daemon(folder / "a") as a, y_websocket(folder) as clients:
        with connect(a.socket) as writer:
            own = Subscriber(a)
            with own.socket:
                stream(writer, own, _ids("join", n))
        clients.run("fill", n)
        for turn in range(rounds + 1):
            ours.append(_join(folder / f"fresh{turn}", a, n))
            found = clients.run("join", n)
            theirs.append((found["seconds"], found["bytes"]))
    rows = []
    note = f"and {median([x[2] for x in ours]) * 1e3:.0f} ms of pairing before"
    for at, (name, unit, scale) in enumerate((("time", "ms", 1e3), ("bytes", "kB", 1e-3))):
        a_s, b_s = [x[at] * scale for x in ours[1:]], [x[at] * scale for x in theirs[1:]]
        what, ratio = f"fresh device joins {n:,} references, {name}", paired_ratio(a_s, b_s)
        about = "" if at else note
        rows.append(Row(what, median(a_s), unit, 2.0, _PEER, median(b_s), ratio, 1.0, note=about))
    return rows
