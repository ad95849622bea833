"""Measure the promises of speed: `python -m benchmarks [NAME...]`, from the repository's root.

Here: which benchmarks there are and how much each does. What they measure stands in the bench_ modules.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import bench_devices, bench_growth, bench_idle, bench_local
from benchmarks.figures import Row, table, write_json
from benchmarks.processes import Unavailable

Benchmark = Callable[[int, int], list[Row]]

# name: what runs, (rounds, n) in full, (rounds, n) in --quick
BENCHMARKS: dict[str, tuple[Benchmark, tuple[int, int], tuple[int, int]]] = {
    "read": (bench_local.read, (15, 2000), (3, 200)),
    "register": (bench_local.register, (8, 300), (2, 50)),
    "register-16": (bench_local.register_16, (5, 4000), (2, 400)),
    "change": (bench_devices.change, (3, 500), (1, 50)),
    "stream": (bench_devices.flow, (3, 10_000), (1, 1000)),
    "fanout": (bench_devices.fanout, (3, 30), (1, 5)),
    "join": (bench_devices.join, (5, 10_000), (1, 1000)),
    "growth": (bench_growth.growth, (1, 1_000_000), (1, 20_000)),
    "idle": (bench_idle.idle, (3, 1000), (1, 100)),
    "start": (bench_idle.start, (5, 10_000), (1, 1000)),
    "command": (bench_idle.command, (5, 8), (1, 3)),
}


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, print the table; 1 if a row missed its target (never in --quick)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; none: all")
    parser.add_argument(
        "--quick", action="store_true", help="see that they run, in seconds; figures mean little"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for name in chosen.names or BENCHMARKS:
        benchmark, full, quick = BENCHMARKS[name]
        started = time.monotonic()
        try:
            rows += benchmark(*(quick if chosen.quick else full))
        except Unavailable as reason:
            print(f"{name}: left out, {reason}", file=sys.stderr)
            continue
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(table(rows))
    if chosen.json:
        write_json(chosen.json, rows, about())
    return 0 if chosen.quick else int(any(row.verdict == "MISSED" for row in rows))


def about() -> dict[str, object]:
    """What has to be known to compare two runs."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }


if __name__ == "__main__":
    sys.exit(main())
