"""Numbers: quantiles, rows of the result table, and whether a row meets its target.

No measuring here.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path


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
    target: float
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
    def verdict(self) -> str:
        """`stretch`, `ok` or `MISSED`."""
        if self.stretch is not None and self.meets(self.stretch):
            return "stretch"
        return "ok" if self.meets(self.target) else "MISSED"


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of round-by-round ratios: a busy moment hits both sides of its own round only."""
    return median([a / b for a, b in zip(ours, theirs, strict=True)])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 else 2 if abs(value) < 100 else 1
    return f"{value:,.{digits}f}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that reads well in a terminal too."""
    head = ("what", "ours", "peer", "unit", "against", "figure", "target", "verdict", "note")
    lines = [head]
    for row in rows:
        sign = ">=" if row.at_least else "<="
        x = "" if row.theirs is None and row.ratio is None else "x"
        target = f"{sign} {row.target:g}{x}" + (f" ({row.stretch:g}{x})" if row.stretch is not None else "")
        lines.append((
            row.what, _number(row.ours), _number(row.theirs), row.unit, row.peer,
            f"{row.figure:.2f}{x}", target, row.verdict, row.note,
        ))  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def write_json(path: Path, rows: Sequence[Row], about: dict[str, object]) -> None:
    """Keep the rows for comparison with a later run."""
    found = [dataclasses.asdict(row) | {"figure": row.figure, "verdict": row.verdict} for row in rows]
    path.write_text(json.dumps({"about": about, "rows": found}, indent=2) + "\n", encoding="utf-8")
