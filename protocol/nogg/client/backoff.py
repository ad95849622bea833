"""How long to wait before the next attempt to reconnect, as data: no clock, no sleeping."""

from __future__ import annotations

from collections.abc import Callable

#: seconds before the second attempt, and the longest wait; a local daemon restarts in a moment
FIRST, LONGEST = 0.05, 2.0


class Backoff:
    """Doubles from `FIRST` to `LONGEST`, each wait shortened by up to a half so that clients do not come at once.

    `random` gives numbers from 0 to 1.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait now; the first attempt is made at once."""
        if self._failures == 0:
            self._failures = 1
            return 0.0
        wait = min(FIRST * 2.0 ** (self._failures - 1), LONGEST)
        self._failures = min(self._failures + 1, 32)
        return wait * (1 - self._random() / 2)

    def reset(self) -> None:
        """Start over: the connection stands."""
        self._failures = 0
