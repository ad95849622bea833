"""Numbers: quantiles, rows of the result table, and whether a row meets its target.

No measuring here.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence


def quantile(values: Sequence[float], q: float) -> float:
    """The q-th quantile (0 to 1) of `values`, by the nearest rank."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(q * len(ranked)))]


def median(values: Sequence[float]) -> float:
    """The middle of `values`."""
    return statistics.median(values)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured here, beside what, and what is promised.

    `figure` is what the target speaks of: the ratio where there is a `peer`, else our own number.
    `at_least` turns the comparison round (rates: more is better).
    """

    what: str
    ours: float
    unit: str
    target: float | None = None
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    stretch: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def figure(self) -> float:
        """The number that is compared with the target."""
        if self.ratio is not None:
            return self.ratio
        return self.ours if self.theirs is None else self.ours / self.theirs

    def meets(self, target: float) -> bool:
        """Whether this row is as good as `target`."""
        return self.figure >= target if self.at_least else self.figure <= target

    @property
    def _times(self) -> str:
        return "x" if self.peer else ""

    @property
    def shown(self) -> str:
        """The figure as it stands in tables."""
        return f"{self.figure:.2f}{self._times}"

    @property
    def promise(self) -> str:
        """The target as it stands in tables, the stretch goal behind it."""
        if self.target is None:
            return ""
        goal = "" if self.stretch is None else f" ({self.stretch:g}{self._times})"
        return f"{'>=' if self.at_least else '<='} {self.target:g}{self._times}{goal}"

    @property
    def verdict(self) -> str:
        """`stretch`, `ok` or `MISSED`; nothing where nothing is promised."""
        if self.target is None:
            return ""
        if self.stretch is not None and self.meets(self.stretch):
            return "stretch"
        return "ok" if self.meets(self.target) else "MISSED"


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of round-by-round ratios: a busy moment hits both sides of its own round only."""
    return median([a / b for a, b in zip(ours, theirs, strict=True)])


def number(value: float | None) -> str:
    """As it stands in tables: no more digits than mean something."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 else 2 if abs(value) < 100 else 1
    return f"{value:,.{digits}f}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that reads well in a terminal too."""
    head = ("what", "ours", "peer", "unit", "against", "figure", "target", "verdict", "note")
    lines = [head]
    for row in rows:
        numbers = number(row.ours), number(row.theirs), row.unit, row.peer
        lines.append((row.what, *numbers, row.shown, row.promise, row.verdict, row.note))
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of `lines`, of which the first is its head."""
    head = lines[0]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)
