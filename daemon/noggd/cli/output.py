"""How the command line speaks: versioned JSON or plain text on stdout, everything else on stderr.

Here lives every rule about the look of an answer: masking of secrets, tables, times, colour. What an answer
says is the business of the commands; nothing here talks to the daemon.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO

FORMAT_VERSION = 1
"""Version of the JSON that `--json` prints; it changes only when a reader of the old form would break."""

MASK = "********"
"""Stands for a secret, always the same length, so that it does not give the length away."""

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "bold": 1, "dim": 2}


def printable(text: object) -> str:
    """Return `text` safe for a terminal: names come from other devices and may hold control codes."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))


def mask(value: object) -> object:
    """Return a copy of an answer in which each password is replaced by `MASK` (null stays null)."""
    if isinstance(value, list):
        return [mask(item) for item in value]
    if not isinstance(value, dict):
        return value
    secrets = {"password"}
    if value.get("field") == "password":  # a conflict: its values are passwords under another name
        value = {**value, "values": [_without_value(one) for one in value.get("values", ())]}
        secrets |= {"chosen", "value"}
    return {key: MASK if key in secrets and item is not None else mask(item) for key, item in value.items()}


def _without_value(entry: dict[str, object]) -> dict[str, object]:
    return {**entry, "value": None if entry.get("value") is None else MASK}


def colours_wanted(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal that wants colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Output:
    """Prints the answers of one run of the command line."""

    def __init__(self) -> None:
        self.json = False
        self.show_secrets = False

    def result(self, answer: Mapping[str, object], text: Callable[[], Iterable[str]]) -> None:
        """Print an answer: `answer` under `--json`, else the lines that `text` makes."""
        if self.json:
            self.document(answer)
            return
        for line in text():
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def document(self, answer: Mapping[str, object]) -> None:
        """Print one JSON object on one line, with the version of the format first."""
        shown = dict(answer) if self.show_secrets else mask(dict(answer))
        assert isinstance(shown, dict)
        sys.stdout.write(
            json.dumps({"version": FORMAT_VERSION, **shown}, ensure_ascii=False, separators=(",", ":")) + "\n"
        )
        sys.stdout.flush()  # a reader at the end of a pipe waits for each line of `watch`

    def error(self, kind: str, message: str, hint: str | None) -> None:
        """Report a failure: an object on stdout under `--json`, else a sentence and a hint on stderr."""
        if self.json:
            self.document({"error": {"type": kind, "message": message, "hint": hint}})
            return
        first, *more = message.splitlines() or [""]
        note(f"{style('error:', 'red', sys.stderr)} {printable(first)}")
        for line in more:
            note(printable(line))
        if hint:
            note(f"  {printable(hint)}")

    def secret(self, value: object) -> str:
        """Return a password as it may be shown: masked, or as it is under `--show-secrets`."""
        if value is None:
            return ""
        return printable(value) if self.show_secrets else MASK


def note(text: str) -> None:
    """Print a diagnostic on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def style(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return `text` coloured if the stream (default stdout) wants colour; the text alone must say it all."""
    if not colours_wanted(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return aligned columns under a header; no lines at all when there are no rows."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        return []
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    head = "  ".join(title.ljust(width) for title, width in zip(header, widths, strict=True)).rstrip()
    body = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return [style(head, "bold"), *body]


def ago(milliseconds: object, now: float | None = None) -> str:
    """Return how long ago a Unix time in milliseconds was, in words ("5 min ago"); "never" for none."""
    if not isinstance(milliseconds, int | float) or milliseconds <= 0:
        return "never"
    seconds = (time.time() if now is None else now) - milliseconds / 1000
    if seconds < -60:
        return f"{span(-seconds)} ahead"
    return "just now" if seconds < 5 else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit ("3 h")."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"


def clock_time(milliseconds: object) -> str:
    """Return a Unix time in milliseconds as local date and time."""
    if not isinstance(milliseconds, int | float):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))


class Waiting:
    """Shows on stderr that something is awaited: a live line on a terminal, one plain line elsewhere."""

    def __init__(self, text: str) -> None:
        self._live = sys.stderr.isatty()
        self._shown = 0
        if self._live:
            self.update(text)
        else:
            note(f"{text} …")

    def update(self, text: str) -> None:
        """Replace the live line; does nothing where there is no terminal."""
        if self._live:
            sys.stderr.write("\r" + text.ljust(self._shown))
            sys.stderr.flush()
            self._shown = len(text)

    def done(self) -> None:
        """Take the live line away."""
        if self._live:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
