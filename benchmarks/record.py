"""The figures that the project shows: kept in docs/performance.json, from which tables and plots are made.

`python -m benchmarks.record` makes them anew without measuring; a test holds them equal to the figures.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Row, aligned, number, table
from benchmarks.peers import PEERS, PYCRDT_DEFLATING
from benchmarks.plot import plot

Found = dict[str, list[Row]]
"""Rows by the benchmark that found them."""

_REPOSITORY = Path(__file__).parents[1]
_DOCS = _REPOSITORY / "docs"
FIGURES = _DOCS / "performance.json"


def merge(path: Path, found: Found, machine: dict[str, str], order: Sequence[str]) -> None:
    """Keep what was found, and of the benchmarks that did not run, or peers that were left out, what was there."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    benchmarks: dict[str, Any] = kept.get("benchmarks", {})
    date = time.strftime("%Y-%m-%d", time.gmtime())
    for name, rows in found.items():
        before = {_key(row): row for row in benchmarks.get(name, {}).get("rows", [])}
        now = {_key(row): row for row in map(dataclasses.asdict, rows)}
        benchmarks[name] = {"date": date, "rows": list((before | now).values())}
    ordered = {name: benchmarks[name] for name in order if name in benchmarks}
    text = json.dumps({"machine": machine, "benchmarks": ordered}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["what"], row["peer"]


def load(path: Path) -> tuple[dict[str, str], Found]:
    """The machine, and what was found on it."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    found = {name: [Row(**row) for row in each["rows"]] for name, each in kept["benchmarks"].items()}
    return kept["machine"], found


def pages() -> dict[Path, str]:
    """What is made from the figures: each file with the text that it is to have."""
    machine, found = load(FIGURES)
    rows = [row for each in found.values() for row in each]
    page, readme = _DOCS / "performance.md", _REPOSITORY / "README.md"
    promised = [(name, row) for name, each in found.items() for row in each if row.target is not None]
    peers = {peer.name for peer in (*PEERS, PYCRDT_DEFLATING)}
    against = [row for row in rows if row.target is None and row.peer in peers]
    others = [row for row in rows if row.target is not None or row.peer not in peers]
    made = page.read_text(encoding="utf-8")
    made = _between(made, "machine", aligned([("", ""), *machine.items()]))
    made = _between(made, "promises", table(others))
    made = _between(made, "peers", table(against))
    return {
        page: made,
        readme: _between(readme.read_text(encoding="utf-8"), "speed", _short(promised)),
        _DOCS / "performance.svg": plot(rows),
    }


def _short(promised: Iterable[tuple[str, Row]]) -> str:
    """README's table: what is promised, and what was found."""
    lines = [("what", "measured", "against", "ratio", "promised", "shown by")]
    for name, row in promised:
        theirs = f"{row.peer}: {number(row.theirs)} {row.unit}" if row.peer else ""
        ratio = row.shown if row.peer else ""
        missed = ", missed" if row.verdict == "MISSED" else ""
        shown_by = f"[`{name}`](benchmarks/__main__.py)"
        measured = f"{number(row.ours)} {row.unit}"
        lines.append((row.what, measured, theirs, ratio, row.promise + missed, shown_by))
    return aligned(lines)


def _between(text: str, name: str, block: str) -> str:
    """Put `block` between the two comments that name its place."""
    start, end = f"<!-- {name}: made by python -m benchmarks --record -->\n", f"<!-- end of {name} -->"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there is no place for {name}")
    return pattern.sub(lambda _: f"{start}\n{block}\n\n{end}", text)


def write_pages() -> None:
    """Make them anew."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages()
