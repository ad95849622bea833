"""The clocks of this machine. The domain takes time as an argument; this is where it comes from."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the wall clock in Unix milliseconds: what stamps and `lastAccessed` are made of. May jump."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Return seconds on a clock that never jumps back and stands still while the machine sleeps."""
    return time.monotonic()


def awake_and_asleep() -> float:
    """Return seconds on a clock that never jumps back and counts sleep too.

    Compared with `monotonic` it tells that the machine slept in between. Where the system has no such
    clock (macOS: `monotonic` itself goes on in sleep there) both are the same.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
