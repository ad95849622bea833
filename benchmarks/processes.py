"""Programs that benchmarks start: bounded in time, ended by their own process id, nothing left behind.

Which programs these are stands in the modules that start them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

START_S = 20.0
"""How long a program may take until it serves."""


class Unavailable(Exception):
    """What a benchmark needs is not on this machine; the message says how to get it."""


@contextlib.contextmanager
def program(
    command: Sequence[str | Path],
    *,
    executable: str | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    pipes: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` for the length of the block, then end it: politely, and after 5 s by force."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        process = subprocess.Popen(
            [str(part) for part in command],
            executable=executable,
            env=dict(env) if env is not None else None,
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else output,
            stderr=output,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = START_S) -> None:
    """Look every 10 ms until `condition` holds; TimeoutError naming `what` otherwise."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and what it starts in the block, on one core.

    A request that takes microseconds costs three times as much across two cores as within one, and which of the
    two the scheduler picks for whom is chance; on one core all sides have it equally.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def scratch(where: Path | None = None) -> Iterator[Path]:
    """A short temporary folder (socket paths end at 107 bytes), in `where` if that is given, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="nb-", dir=where, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
