"""Which entries still count: visible, restorable, in conflict, or a removal that must be remembered.

What does not count may be dropped by its owner and deleted by any member. Of equal entries exactly one holder
keeps its own, the one of the greatest device id, so that two devices never both drop one because of the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from noggd.domain.entries import Act, Entry, Field, Touch
from noggd.domain.fold import Folded, Row, is_present


def counts(rows: Sequence[Row], folded: Folded, device: str, key: str, entry: Entry) -> bool:
    """Tell whether a device's entry of a reference counts, given the reference's rows and what they fold to."""
    if isinstance(entry, Act):
        return _act_counts(rows, folded, device, entry)
    if isinstance(entry, Touch):
        return _touch_counts(rows, folded, device, entry)
    assert isinstance(entry, Field)
    if key.startswith("p/"):
        return device not in folded.dead
    winner = folded.view
    return winner is not None and (winner.stamp, winner.device) == (entry.stamp, device)


def _act_counts(rows: Sequence[Row], folded: Folded, device: str, entry: Act) -> bool:
    acts = [(row.act, row.device) for row in rows if row.act is not None]
    present = [(act.stamp, who) for act, who in acts if is_present(act, folded.gone, folded.forgot)]
    return (
        (entry.stamp, device) == max(present, default=None)
        or (entry.gone > 0 and (entry.gone, device) == max((act.gone, who) for act, who in acts))
        or (entry.forgot > 0 and (entry.forgot, device) == max((act.forgot, who) for act, who in acts))
    )


def _touch_counts(rows: Sequence[Row], folded: Folded, device: str, entry: Touch) -> bool:
    touches = [
        (row.touch, row.device) for row in rows if row.touch is not None and row.touch.stamp > folded.life
    ]
    placed = max(((touch.stamp, who) for touch, who in touches if touch.placed), default=(0, ""))
    if entry.placed:
        return (entry.stamp, device) == placed
    later = [(touch.milliseconds, who) for touch, who in touches if touch.stamp > placed[0]]
    return entry.stamp > folded.life and (entry.milliseconds, device) == max(later, default=None)
