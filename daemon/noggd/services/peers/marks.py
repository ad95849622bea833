"""Which state of a document holds which revision of its session: so that sync.wait can be asked about an older one.

An access is visible some seconds before it is in the document, so the states of that time do not hold its
revision. Kept in memory, and only so far back: for what is not marked, the present state is the answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final, NamedTuple

MAX_MARKS: Final = 1000
"""Revisions that are marked, for each session."""
ON_ITS_WAY: Final = 15.0
"""Seconds after which an access is surely in the document."""


class _Mark(NamedTuple):
    revision: int
    vector: bytes
    before: int | None
    """The state holds only revisions before this one: a later access was on its way."""


class Marks:
    """The marks of one session."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque(maxlen=MAX_MARKS)
        self._on_its_way: deque[tuple[int, float]] = deque()

    def note(self, revision: int, vector: bytes, *, access: bool, now: float) -> None:
        """Note a revision, the state of the document at that moment, and whether it was an access only."""
        while self._on_its_way and self._on_its_way[0][1] + ON_ITS_WAY < now:
            self._on_its_way.popleft()
        if access:
            self._on_its_way.append((revision, now))
        else:
            before = self._on_its_way[0][0] if self._on_its_way else None
            self._marks.append(_Mark(revision, vector, before))

    def state_with(self, revision: int) -> bytes | None:
        """Return the state vector of the earliest marked state that holds a revision; None where there is none."""
        place = bisect_left(self._marks, revision, key=lambda mark: mark.revision)
        for nth in range(place, len(self._marks)):
            mark = self._marks[nth]
            if mark.before is None or revision < mark.before:
                return mark.vector
        return None
