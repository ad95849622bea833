"""How the other members behave: what each last did against the protocol, and how long it is kept out for that.

A member has a key and is trusted with the data, but its device may be broken, or broken into. Whoever misbehaves is
named in `sync.status` with what to do about it, and kept out for a time that doubles, so that it costs next to
nothing. Kept in memory: a restart forgives. Not here: noticing it (`.link`, `.connection`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from noggd.platform.clock import monotonic

FIRST_TIME_OUT: Final = 0.25
LONGEST_TIME_OUT: Final = 300.0
"""Seconds for which a device is kept out: the first time, doubled each time after, and at most."""
FORGIVEN_AFTER: Final = 600.0
"""Seconds without another fault after which a device has a clean record."""
LINKS: Final = (30, 0.2)
"""How many links to one device may be made at once, and then in a second."""
START_OVERS: Final = (3, 1 / 3600)
"""How often one device may claim at once that this one has forgotten what it wrote, and then in a second."""

UPDATE_OR_EVICT: Final = "update noggd on that device; if it goes on, shut it out: nogg device evict NAME"
CLOCK: Final = "set the clock of that device; if that is right, shut it out: nogg device evict NAME"
COPIED: Final = "on one of the two: nogg device leave, and pair it anew"
NEW: Final = "update noggd on this device"
OLD: Final = "update noggd on that device"


class Allowance:
    """So many at once, and then so many in a second."""

    __slots__ = ("_at", "_left", "_most", "_now", "_rate")

    def __init__(self, most: float, rate: float, now: Callable[[], float] = monotonic) -> None:
        self._most = self._left = float(most)
        self._rate = rate
        self._now = now
        self._at = now()

    def take(self, count: float = 1) -> bool:
        """Take some; False if there is nothing left."""
        now = self._now()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < count:
            return False
        self._left -= count
        return True


@dataclass(slots=True)
class _Record:
    """What is known of one device. `out_until` and `at` are seconds of the monotonic clock."""

    links: Allowance
    start_overs: Allowance
    fault: str = ""
    fix: str = ""
    times: int = 0
    at: float = 0.0
    out_until: float = field(default=0.0)


class Conduct:
    """The records of all devices."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._records: dict[str, _Record] = {}

    def _record(self, device: str) -> _Record:
        record = self._records.get(device)
        if record is None:
            record = _Record(Allowance(*LINKS, self._now), Allowance(*START_OVERS, self._now))
            self._records[device] = record
        elif record.times and self._now() > max(record.at, record.out_until) + FORGIVEN_AFTER:
            record.fault, record.times, record.out_until = "", 0, 0.0
        return record

    def blame(self, device: str, fault: str, fix: str = UPDATE_OR_EVICT, *, keep_out: bool = True) -> float:
        """Note what a device did. Returns for how many seconds it is kept out."""
        record, now = self._record(device), self._now()
        record.fault, record.fix, record.at = fault, fix, now
        record.times += 1
        if keep_out:
            doubled = FIRST_TIME_OUT * 2 ** min(record.times - 1, 20)
            record.out_until = now + min(LONGEST_TIME_OUT, doubled)
        return self.kept_out(device)

    def kept_out(self, device: str) -> float:
        """Return for how many seconds more a device is kept out; 0 if it is not."""
        record = self._records.get(device)
        return 0.0 if record is None else max(0.0, record.out_until - self._now())

    def fault(self, device: str) -> tuple[str, str] | None:
        """Return what a device last did, and what to do about it; None while its record is clean."""
        if device not in self._records:
            return None
        record = self._record(device)
        return (record.fault, record.fix) if record.fault else None

    def may_link(self, device: str) -> bool:
        """Count a link that is made; False if there were too many of late."""
        return self._record(device).links.take()

    def may_start_us_over(self, device: str) -> bool:
        """Count a claim that this device has forgotten what it wrote; False if there were too many of late."""
        return self._record(device).start_overs.take()

    def forget(self, device: str) -> None:
        """Let go of a device that is no member any more."""
        self._records.pop(device, None)
