"""Holds back what is logged again and again, so that a fault in a loop can neither fill a disk nor hide the rest.

Messages are the same if they have the same logger, level and wording before their values are filled in. How many
were held back is told with the next one that passes. Nothing here needs a timer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from noggd.platform.clock import monotonic

BURST = 10
"""So many of one message pass in a window."""
WINDOW = 60.0
"""Seconds."""
_KINDS = 256

Kind = tuple[str, int, object]


class Repeats(logging.Filter):
    """Passes the first `BURST` of a message in each `WINDOW` seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Kind, tuple[float, int]] = {}
        """When a kind's window began, and how many came in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record passes; one that ends a silence tells its length."""
        kind: Kind = (record.name, record.levelno, record.msg)
        now = self._clock()
        with self._lock:
            began, count = self._seen.pop(kind, (now, 0))
            held = max(count - BURST, 0)
            if now - began >= WINDOW:
                began, count = now, 0
            else:
                held = 0
            self._seen[kind] = (began, count + 1)
            if len(self._seen) > _KINDS:
                del self._seen[next(iter(self._seen))]  # the one that was longest silent
        if held:
            record.msg, record.args = f"{record.getMessage()} ({held} more like it were not logged)", ()
        return count < BURST
