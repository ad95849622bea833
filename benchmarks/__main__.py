"""Measure the promises of speed: `python -m benchmarks [NAME...]`, from the repository's root.

Here: which benchmarks there are and how much each does. What they measure stands in the bench_ modules.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    bench_devices,
    bench_growth,
    bench_idle,
    bench_join,
    bench_local,
    bench_pause,
    bench_wear,
    record,
)
from benchmarks.figures import Row, table
from benchmarks.machine import machine
from benchmarks.peers import PEERS, Y_WEBSOCKET
from benchmarks.plan import Plan
from benchmarks.plot import plot
from benchmarks.processes import Unavailable

Benchmark = Callable[[Plan], list[Row]]
Size = tuple[int, int]
"""Rounds, and n."""

# name: what runs, its size in full, in --quick (None: not then), and in --long where that is more
BENCHMARKS: dict[str, tuple[Benchmark, Size, Size | None, Size | None]] = {
    "read": (bench_local.read, (15, 2000), (3, 200), None),
    "register": (bench_local.register, (8, 300), (2, 50), None),
    "register-16": (bench_local.register_16, (5, 4000), (2, 400), None),
    "change": (bench_devices.change, (3, 500), (1, 50), None),
    "stream": (bench_devices.flow, (3, 10_000), (1, 1000), None),
    "fanout": (bench_devices.fanout, (3, 30), (1, 5), None),
    "devices": (bench_devices.devices, (3, 30), None, None),
    "join-1000": (bench_join.join, (5, 1000), (1, 1000), None),
    "join": (bench_join.join, (5, 10_000), None, None),
    "join-100000": (bench_join.join, (1, 100_000), None, (3, 100_000)),
    "growth": (bench_growth.growth, (1, 1_000_000), (1, 20_000), None),
    "touches": (bench_wear.touches, (1, 1_000_000), None, None),
    "cycles": (bench_wear.cycles, (1, 20_000), (1, 2000), (1, 100_000)),
    "restarts": (bench_wear.restarts, (1, 30), None, (1, 1000)),
    "pause": (bench_pause.pause, (2, 10_000), (1, 100), None),
    "idle": (bench_idle.idle, (3, 1000), (1, 100), None),
    "start": (bench_idle.start, (5, 10_000), (1, 1000), None),
    "command": (bench_idle.command, (5, 8), (1, 3), None),
}


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, print the table; 1 if a row missed its target (never in --quick)."""
    asked = _parser().parse_args(arguments)
    found: record.Found = {}
    for name in asked.names or BENCHMARKS:
        benchmark, full, quick, long = BENCHMARKS[name]
        size = quick if asked.quick else (long or full) if asked.long else full
        if size is None:
            continue
        peers = tuple(peer for peer in PEERS if not asked.peer or peer.name in asked.peer)
        plan = Plan(*size, (Y_WEBSOCKET,) if asked.quick else peers)
        started = time.monotonic()
        try:
            found[name] = benchmark(plan)
        except Unavailable as reason:
            print(f"{name}: left out, {reason}", file=sys.stderr)
            continue
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    rows = [row for each in found.values() for row in each]
    here = machine()
    print(table(rows) + "\n\n" + ", ".join(f"{name} {value}" for name, value in here.items()))
    if asked.json:
        record.merge(asked.json, found, here, list(BENCHMARKS))
    if asked.plot:
        asked.plot.write_text(plot(rows), encoding="utf-8")
    if asked.record:
        record.merge(record.FIGURES, found, here, list(BENCHMARKS))
        record.write_pages()
    return 0 if asked.quick else int(any(row.verdict == "MISSED" for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    names = ", ".join(BENCHMARKS)
    add("names", nargs="*", metavar="NAME", help=f"any of {names}; none: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="see that they run, in seconds; figures mean little"
    )
    size.add_argument("--long", action="store_true", help="do the long forms too: about half an hour")
    peers = [peer.name for peer in PEERS]
    add("--peer", action="append", metavar="PEER", choices=peers, help=f"only against it: {', '.join(peers)}")
    add("--json", type=Path, metavar="FILE", help="keep the figures there; what it has of others stays")
    add("--plot", type=Path, metavar="FILE", help="draw the ratios there, as SVG")
    add("--record", action="store_true", help="keep the figures in docs/, and make its tables and plots anew")
    return parser


if __name__ == "__main__":
    sys.exit(main())
