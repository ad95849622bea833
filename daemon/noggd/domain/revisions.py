"""The revisions of one session on this device: what `since` and `if_revision` are answered from.

Local to the device and persisted beside the journal (they are not part of the document). Pure bookkeeping.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from noggd.domain.changes import ABSENT, Change

KEPT_REMOVALS = 10_000
"""Removals that are remembered one by one for `since`; an older `since` is answered fresh."""


class Difference(NamedTuple):
    """What changed since a revision: ids to look up, ids that are gone, whether `active` changed."""

    set: list[str]
    removed: list[str]
    active: bool


class Revisions:
    """Counts visible changes: `now` is the session's revision, `explicit` that of the last explicit change."""

    def __init__(self) -> None:
        self.now = 0
        self.explicit = 0
        self.active = 0
        self.floor = 0
        self.changed: dict[str, tuple[int, int]] = {}
        self.removed: dict[str, int] = {}

    def record(self, change: Change) -> None:
        """Take a change into account: its ids get its revision."""
        self._take(
            change.revision, change.explicit, _touched(change), change.removed, change.active is not ABSENT
        )

    def apply(self, record: list[Any]) -> None:
        """Take a change as the journal holds it (see `as_record`)."""
        self._take(*record)

    def _take(
        self,
        revision: int,
        explicit: Iterable[str],
        touched: Iterable[str],
        removed: Iterable[str],
        active: bool,
    ) -> None:
        self.now = revision
        for name in explicit:
            self.changed[name] = (revision, revision)
            self.removed.pop(name, None)
        for name in touched:
            self.changed[name] = (self.changed.get(name, (0, 0))[0], revision)
        for name in removed:
            self.changed.pop(name, None)
            self.removed.pop(name, None)
            self.removed[name] = revision
        if active:
            self.active = revision
        if explicit or removed or active:
            self.explicit = revision
        while len(self.removed) > KEPT_REMOVALS:
            oldest = next(iter(self.removed))
            self.floor = max(self.floor, self.removed.pop(oldest))

    def of(self, microcosm_id: str) -> tuple[int, int]:
        """Return (revision of the last explicit change, of the last change) of a reference; zeros if none."""
        return self.changed.get(microcosm_id, (0, 0))

    def since(self, revision: int) -> Difference | None:
        """Return what changed after `revision`; None where that was never issued or is too long ago."""
        if not self.floor <= revision <= self.now:
            return None
        return Difference(
            [name for name, (_, changed) in self.changed.items() if changed > revision],
            [name for name, removed in self.removed.items() if removed > revision],
            self.active > revision,
        )

    def dump(self) -> list[Any]:
        """Return everything as plain JSON values, for a snapshot."""
        return [self.now, self.explicit, self.active, self.floor, self.changed, self.removed]

    def load(self, dumped: list[Any]) -> None:
        """Take over what `dump` returned."""
        self.now, self.explicit, self.active, self.floor, changed, self.removed = dumped
        self.changed = {name: (explicit, last) for name, (explicit, last) in changed.items()}


def _touched(change: Change) -> list[str]:
    if len(change.explicit) == len(change.set):  # explicit names some of set, and mostly all
        return []
    return [name for name in change.set if name not in change.explicit]


def as_record(change: Change) -> list[Any]:
    """Return the part of a change that the journal keeps: revision, explicit, touched, removed, active."""
    return [
        change.revision,
        sorted(change.explicit),
        _touched(change),
        list(change.removed),
        change.active is not ABSENT,
    ]
