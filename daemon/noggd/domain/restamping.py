"""Mending what a device wrote while its clock ran ahead.

Such a device keeps its changes to itself (a stamp of next year would win for a year); once its clock is right, it
stamps them anew, in the same order, before anyone sees them. Stamps of other devices are never touched.
"""

from __future__ import annotations

from noggd.domain.entries import Act, Entry, Field, Touch
from noggd.domain.hlc import stamp_at
from noggd.domain.maps import DeviceMaps

AHEAD = 10 * 60 * 1000
"""How far ahead of its peers a clock may be, in milliseconds (contract, section 4)."""


def own_future(maps: DeviceMaps, now: int) -> set[int]:
    """Return the stamps of the own map that are too far ahead; empty if others wrote such stamps too.

    Where others did, ours may be ahead rightly: an act is always later than what its author had seen.
    """
    limit = stamp_at(now + AHEAD)
    for device, entries in maps.entries.items():
        if device != maps.device and any(entry.stamp > limit for entry in entries.values()):
            return set()
    return {stamp for entry in maps.own.values() for stamp in _stamps(entry) if stamp > limit}


def newest_past(maps: DeviceMaps, now: int) -> int:
    """Return the newest stamp of anyone that is not too far ahead."""
    limit = stamp_at(now + AHEAD)
    stamps = (entry.stamp for entries in maps.entries.values() for entry in entries.values())
    return max((stamp for stamp in stamps if stamp <= limit), default=0)


def restamp(maps: DeviceMaps, new: dict[int, int]) -> list[str]:
    """Write the own entries anew under the stamps that `new` gives for the old ones; return their keys."""
    keys = [key for key, entry in maps.own.items() if any(stamp in new for stamp in _stamps(entry))]
    for key in keys:
        maps.put(key, _restamped(maps.own[key], new))
    return keys


def _stamps(entry: Entry) -> tuple[int, ...]:
    if isinstance(entry, Act):
        return entry.stamp, entry.gone, entry.forgot, entry.base
    if isinstance(entry, Field):
        return (entry.stamp,) if entry.forgot is None else (entry.stamp, entry.forgot)
    return (entry.stamp,)


def _restamped(entry: Entry, new: dict[int, int]) -> Entry:
    stamp = new.get(entry.stamp, entry.stamp)
    if isinstance(entry, Act):
        gone, forgot, base = (new.get(each, each) for each in (entry.gone, entry.forgot, entry.base))
        return Act(stamp, entry.kind, gone, forgot, base)
    if isinstance(entry, Field):
        forgotten = entry.forgot if entry.forgot is None else new.get(entry.forgot, entry.forgot)
        return entry._replace(stamp=stamp, forgot=forgotten)
    if isinstance(entry, Touch) and not entry.placed:
        return Touch(stamp, stamp >> 10)
    return entry._replace(stamp=stamp)
