"""The hybrid logical clock that orders explicit acts across devices.

Pure: wall time is an argument. What may be stored under a stamp is the business of `entries`.
"""

from __future__ import annotations

COUNTER_BITS = 10
"""Low bits of a stamp that count acts within one millisecond."""

MAX_STAMP = (1 << 53) - (1 << 30)
"""Largest stamp that is believed: a Y number is exact below 2**53, and the clock must be able to go on from it."""


def stamp_at(milliseconds: int) -> int:
    """Return the smallest stamp of a wall time in Unix milliseconds."""
    return milliseconds << COUNTER_BITS


def milliseconds(stamp: int) -> int:
    """Return the wall time in Unix milliseconds that a stamp carries."""
    return stamp >> COUNTER_BITS


class HybridClock:
    """A clock that never repeats a stamp and is always past everything that it has seen.

    Rule: Kulkarni et al., "Logical Physical Clocks" (2014), packed into one integer
    `milliseconds << 10 | counter`, which stays an exact Y number until the year 2248.
    """

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def tick(self, now: int) -> int:
        """Return a fresh stamp for an act at `now` (Unix milliseconds)."""
        self.last = max(self.last + 1, stamp_at(now))
        return self.last

    def see(self, stamp: int) -> None:
        """Move past a stamp that arrived from a peer or from the journal."""
        if self.last < stamp <= MAX_STAMP:
            self.last = stamp
