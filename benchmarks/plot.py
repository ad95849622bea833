"""The ratios as a picture: one line for each figure, one mark for each peer, on a logarithmic scale.

SVG written by hand, so that the same figures give the same bytes. No measuring here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.figures import Row

_LEFT, _WIDTH, _LINE, _TOP = 330, 560, 22, 64
_LOW, _HIGH = 0.01, 100.0
_INK, _FAINT, _BAD = "#1f2430", "#d5d9e0", "#b3261e"
# shape and colour both tell the peer, for those who see no difference between the colours
_MARKS = {
    "y-websocket": ("#0b6bcb", "M-5,-5H5V5H-5Z"),
    "Hocuspocus": ("#8a4fbf", "M0,-6L6,5H-6Z"),
    "pycrdt-websocket": ("#0f7b55", "M0,-7L6,0L0,7L-6,0Z"),
    "pycrdt-websocket, deflate": ("#6fae95", "M0,-7L6,0L0,7L-6,0Z"),
    "automerge-repo": ("#b86e00", "M-6,-4H6L0,6Z"),
}
_OTHER = (_INK, "M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0Z")


def cost(row: Row) -> float:
    """What ours takes as a multiple of what the peer takes: below 1 is better, for rates too."""
    return 1 / row.figure if row.at_least else row.figure


def plot(rows: Sequence[Row]) -> str:
    """Every row that has a peer; a stroke stands where its target is."""
    compared = [row for row in rows if row.peer and row.figure > 0]
    lines: dict[str, list[Row]] = {}
    for row in compared:
        lines.setdefault(row.what, []).append(row)
    bottom = _TOP + _LINE * len(lines)
    parts = [_axis(bottom), *_legend(compared)]
    for at, (what, each) in enumerate(lines.items()):
        y = _TOP + _LINE * at + _LINE / 2
        parts.append(_text(_LEFT - 12, y + 4, what, anchor="end"))
        parts.append(f'<path d="M{_LEFT},{y:g}h{_WIDTH}" stroke="{_FAINT}" stroke-dasharray="1 3"/>')
        parts += [_stroke(row, y) for row in each if row.target]
        parts += [_mark(row, y) for row in each]
    width, height = _LEFT + _WIDTH + 30, bottom + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="{_INK}">'
    )
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#fff"/>', *parts, "</svg>", ""])


def _x(value: float) -> float:
    share = math.log(value / _LOW) / math.log(_HIGH / _LOW)
    return round(_LEFT + _WIDTH * min(max(share, 0.0), 1.0), 1)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _axis(bottom: int) -> str:
    parts = []
    for value in (0.01, 0.1, 1, 10, 100):
        stroke = f'stroke="{_INK}" stroke-width="1.5"' if value == 1 else f'stroke="{_FAINT}"'
        parts.append(f'<path d="M{_x(value)},{_TOP - 4}V{bottom}" {stroke}/>')
        parts.append(_text(_x(value), bottom + 16, f"{value:g}x", "middle"))
    parts.append(_text(_x(1) - 8, bottom + 33, "← ours takes less", "end"))
    parts.append(_text(_x(1) + 8, bottom + 33, "ours takes more →"))
    return "\n".join(parts)


def _legend(rows: Sequence[Row]) -> list[str]:
    names = [name for name in _MARKS if any(row.peer == name for row in rows)]
    parts = []
    x = 16
    for name in [*names, "another peer, named in the table"]:
        colour, path = _MARKS.get(name, _OTHER)
        parts.append(f'<path d="{path}" fill="{colour}" transform="translate({x},20)"/>')
        parts.append(_text(x + 12, 24, name))
        x += 40 + 7 * len(name)
    parts.append(f'<path d="M16,38v12" stroke="{_BAD}" stroke-width="2"/>')
    parts.append(
        _text(
            28,
            48,
            "what is promised (of y-websocket, where there are several): the mark is to lie left of it",
        )
    )
    return parts


def _stroke(row: Row, y: float) -> str:
    assert row.target
    x = _x(1 / row.target if row.at_least else row.target)
    return f'<path d="M{x},{y - 8:g}v16" stroke="{_BAD}" stroke-width="2"/>'


def _mark(row: Row, y: float) -> str:
    colour, path = _MARKS.get(row.peer, _OTHER)
    title = escape(f"{row.what}, against {row.peer}: {row.shown}")
    return (
        f'<path d="{path}" fill="{colour}" fill-opacity="0.85" transform="translate({_x(cost(row))},{y:g})">'
        f"<title>{title}</title></path>"
    )
