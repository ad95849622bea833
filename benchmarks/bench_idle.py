"""What the daemon costs when nothing happens, how soon it is ready, and how quick the command line is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.apps import Subscriber, stream
from benchmarks.daemons import Daemon, daemon, paired
from benchmarks.figures import Row, median, paired_ratio
from benchmarks.processes import Unavailable, scratch
from benchmarks.requests import connect


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _busy_ns(pid: int) -> int:
    """Nanoseconds on a core so far, over all threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)


def _fill(device: Daemon, n: int) -> None:
    reader = Subscriber(device)
    with connect(device.socket) as writer, reader.socket:
        stream(writer, reader, [f"idle.{i:016}" for i in range(n)])


def idle(rounds: int, n: int) -> list[Row]:
    """Memory and processor of a daemon that is paired, connected and left alone; `rounds` times 10 s."""
    watched_s = 10 if rounds > 1 else 1
    with scratch() as folder, paired(folder) as (a, _):
        _fill(a, min(n, 1000))
        time.sleep(3)  # what the last change still does (coalesced touches, acknowledgements) is not idling
        shares = []
        for _ in range(rounds):
            before, start = _busy_ns(a.pid), time.monotonic_ns()
            time.sleep(watched_s)
            shares.append(100 * (_busy_ns(a.pid) - before) / (time.monotonic_ns() - start))
        resident = _resident_mb(a.pid)
    return [
        Row("idle daemon, resident", resident, "MB", 60),
        Row("idle daemon, processor", median(shares), "% of a core", 0.2),
    ]


def start(rounds: int, n: int) -> list[Row]:
    """From starting the program until `hello` says ready, with `n` references in the store."""
    with scratch() as folder:
        with daemon(folder / "d") as first:
            _fill(first, n)
        found = []
        for _ in range(rounds):
            with daemon(folder / "d") as again:
                found.append(again.ready_s)
    return [Row(f"ready after start with {n:,} references", median(found), "s", 0.7)]


def command(rounds: int, n: int) -> list[Row]:
    """`nogg status` against the same Python that does nothing; `n` of each a round."""
    nogg = Path(sys.executable).with_name("nogg")
    if not nogg.exists():
        raise Unavailable("nogg is not installed beside this Python (pip install -e .)")
    status, nothing = [], []
    with scratch() as folder, daemon(folder / "d") as device:
        env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        for _ in range(rounds * n):
            status.append(_wall_ms([str(nogg), "status", "--socket", str(device.socket)], env))
            nothing.append(_wall_ms([sys.executable, "-c", "pass"], env))
    ratio = paired_ratio(status, nothing)
    return [Row("nogg status", median(status), "ms", 4.0, "python3 -c pass", median(nothing), ratio)]


def _wall_ms(command: list[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=env, check=True, timeout=30, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - start) * 1e3
