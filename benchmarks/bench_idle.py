"""What the daemon costs when nothing happens, how soon it is ready, and how quick the command line is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.apps import fill
from benchmarks.daemons import daemon, paired, resident_mb
from benchmarks.figures import Row, median, paired_ratio
from benchmarks.plan import Plan
from benchmarks.processes import Unavailable, scratch


def _busy_ns(pid: int) -> int:
    """Nanoseconds on a core so far, over all threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)


def idle(plan: Plan) -> list[Row]:
    """Memory and processor of a daemon that is paired, connected and left alone; each round 10 s."""
    watched_s = 10 if plan.rounds > 1 else 1
    with scratch() as folder, paired(folder) as (a, _):
        fill(a, "idle", plan.n)
        time.sleep(3)  # what the last change still does (coalesced touches, acknowledgements) is not idling
        shares = []
        for _ in range(plan.rounds):
            before, start = _busy_ns(a.pid), time.monotonic_ns()
            time.sleep(watched_s)
            shares.append(100 * (_busy_ns(a.pid) - before) / (time.monotonic_ns() - start))
        resident = resident_mb(a)
    return [
        Row("idle daemon, resident", resident, "MB", 60),
        Row("idle daemon, processor", median(shares), "% of a core", 0.2),
    ]


def start(plan: Plan) -> list[Row]:
    """From starting the program until `hello` says ready, with `n` references in the store."""
    with scratch() as folder:
        with daemon(folder / "d") as first:
            fill(first, "idle", plan.n)
        found = []
        for _ in range(plan.rounds):
            with daemon(folder / "d") as again:
                found.append(again.ready_s)
    return [Row(f"ready after start with {plan.n:,} references", median(found), "s", 0.7)]


def command(plan: Plan) -> list[Row]:
    """`nogg status` against the same Python that does nothing; `n` of each a round."""
    nogg = Path(sys.executable).with_name("nogg")
    if not nogg.exists():
        raise Unavailable("nogg is not installed beside this Python (pip install -e .)")
    status, nothing = [], []
    with scratch() as folder, daemon(folder / "d") as device:
        env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        for _ in range(plan.rounds * plan.n):
            status.append(_wall_ms([str(nogg), "status", "--socket", str(device.socket)], env))
            nothing.append(_wall_ms([sys.executable, "-c", "pass"], env))
    ratio = paired_ratio(status, nothing)
    return [Row("nogg status", median(status), "ms", 4.0, "python3 -c pass", median(nothing), ratio)]


def _wall_ms(command: list[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=env, check=True, timeout=30, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - start) * 1e3
