"""Which entries still count: visible, restorable, in conflict, or a removal that must be remembered.

What does not count may be dropped by its owner and deleted by any member. Of equal entries exactly one holder
keeps its own, the one of the greatest device id, so that two devices never both drop one because of the other.
"""

from __future__ import annotations

from noggd.domain.entries import Act, Entry, Field, Touch
from noggd.domain.fold import Folded, is_present
from noggd.domain.maps import DeviceMaps


def counts(maps: DeviceMaps, folded: Folded, device: str, key: str, entry: Entry) -> bool:
    """Tell whether a device's entry of a reference counts, given how the reference folds."""
    if isinstance(entry, Act):
        return _act_counts(maps, folded, device, key, entry)
    if isinstance(entry, Touch):
        return _touch_counts(maps, folded, device, key, entry)
    assert isinstance(entry, Field)
    if key.startswith("p/"):
        return device not in folded.dead
    winner = folded.view
    return winner is not None and (winner.stamp, winner.device) == (entry.stamp, device)


def _act_counts(maps: DeviceMaps, folded: Folded, device: str, key: str, entry: Act) -> bool:
    acts = [(act, who) for who, act in maps.each(key) if isinstance(act, Act)]
    present = [(act.stamp, who) for act, who in acts if is_present(act, folded.gone, folded.forgot)]
    return (
        (entry.stamp, device) == max(present, default=None)
        or (entry.gone > 0 and (entry.gone, device) == max((act.gone, who) for act, who in acts))
        or (entry.forgot > 0 and (entry.forgot, device) == max((act.forgot, who) for act, who in acts))
    )


def _touch_counts(maps: DeviceMaps, folded: Folded, device: str, key: str, entry: Touch) -> bool:
    touches = [
        (touch, who)
        for who, touch in maps.each(key)
        if isinstance(touch, Touch) and touch.stamp > folded.life
    ]
    placed = max(((touch.stamp, who) for touch, who in touches if touch.placed), default=(0, ""))
    if entry.placed:
        return (entry.stamp, device) == placed
    later = [(touch.milliseconds, who) for touch, who in touches if touch.stamp > placed[0]]
    return entry.stamp > folded.life and (entry.milliseconds, device) == max(later, default=None)
