"""How the daemon's log looks. What is logged never holds a password, a code or the parameters of a call.

One handler on stderr in one of three forms: text for people, json for machines, journal (`<N>` in front, no
time) where systemd reads it. Nothing here decides what is worth a line.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from noggd.platform.systemd import stderr_is_journal

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7
_CHATTY = ("websockets", "asyncio", "zeroconf")  # libraries whose "info" is our "debug"


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00.123 warning peers: …`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it if there is one."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return f"{when}.{int(record.msecs):03d} {_line(record)}{_trace(self, record)}"


class JournalFormatter(logging.Formatter):
    """`<4>peers: …`: the journal knows the time, and takes the priority from the number (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with the priority in front of each of its lines."""
        prefix = f"<{_priority(record.levelno)}>"
        text = f"{_source(record)}: {record.getMessage()}{_trace(self, record)}"
        return "\n".join(prefix + line for line in text.splitlines())


class JsonFormatter(logging.Formatter):
    """One object per line: `time`, `level`, `source`, `message`, and `trace` if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": record.name,
            "message": record.getMessage(),
        }
        trace = _trace(self, record)
        if trace:
            fields["trace"] = trace.lstrip("\n")
        return json.dumps(fields, ensure_ascii=False)


_FORMATTERS: dict[str, type[logging.Formatter]] = {
    "text": TextFormatter,
    "json": JsonFormatter,
    "journal": JournalFormatter,
}


def set_up(level: str, form: str | None) -> None:
    """Log to stderr from now on; calling it again changes level and form. `form` None: what stderr is."""
    form = form or ("journal" if stderr_is_journal() else "text")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _source(record: logging.LogRecord) -> str:
    return record.name.removeprefix("noggd.").removeprefix("services.")


def _line(record: logging.LogRecord) -> str:
    return f"{record.levelname.lower()} {_source(record)}: {record.getMessage()}"


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return f"\n{formatter.formatException(record.exc_info)}" if record.exc_info else ""


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG_PRIORITY)
