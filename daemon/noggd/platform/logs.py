"""How the daemon's log looks. What is logged never holds a password, a code or the parameters of a call.

In one of three forms: text on stderr for people, json on stderr for machines, entries with fields for systemd's
journal. The same message is not repeated without end. Nothing here decides what is worth a line.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from noggd.platform.journal_log import SOCKET, JournalHandler, fields_of
from noggd.platform.repeats import Repeats
from noggd.platform.systemd import stderr_is_journal
from noggd.platform.traces import trace

LIBRARIES = {"websockets": logging.INFO, "asyncio": logging.INFO, "zeroconf": logging.DEBUG}
"""The least that libraries may say at level debug; at others they say warnings only. What two of them would say
below it quotes frames and arguments, and with them passwords."""

log = logging.getLogger(__name__)


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00.123 warning peers: …`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it if there is one."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return f"{when}.{int(record.msecs):03d} {_line(record)}{_trace(record)}"


class JournalFormatter(logging.Formatter):
    """`peers: …`: the journal knows the time and the priority."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, with the traceback below it if there is one."""
        return f"{_source(record)}: {record.getMessage()}{_trace(record)}"


class JsonFormatter(logging.Formatter):
    """One object per line: `time`, `level`, `source`, `message`, what the record brought along, `trace`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if found := _trace(record):
            fields["trace"] = found.lstrip("\n")
        return json.dumps(fields, ensure_ascii=False)


_FORMATTERS: dict[str, type[logging.Formatter]] = {
    "text": TextFormatter,
    "json": JsonFormatter,
    "journal": JournalFormatter,
}


def set_up(level: str, form: str | None) -> None:
    """Log from now on; calling it again changes level and form. `form` None: what stderr is."""
    native = stderr_is_journal()
    form = form or ("journal" if native else "text")
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if form == "journal":
        handler = JournalHandler(SOCKET if native else None)
    handler.setFormatter(_FORMATTERS[form]())
    handler.addFilter(Repeats())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.raiseExceptions = (
        False  # a log that cannot be written stops nothing and cannot be complained about
    )
    for name, least in LIBRARIES.items():
        logging.getLogger(name).setLevel(least if level == "debug" else logging.WARNING)


def end() -> None:
    """Let the process end with its own status even if nobody reads what it logged: a pipe whose reader is gone."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def fault_in_loop(_loop: object, context: dict[str, Any]) -> None:
    """Log what asyncio caught (for `loop.set_exception_handler`); its own way quotes the arguments of callbacks."""
    message = str(context.get("message", "a fault in the event loop"))
    if message.startswith("Exception in callback"):
        message = "a callback failed"
    log.error("%s", message, exc_info=context.get("exception"))


def _source(record: logging.LogRecord) -> str:
    return record.name.removeprefix("noggd.").removeprefix("services.")


def _line(record: logging.LogRecord) -> str:
    return f"{record.levelname.lower()} {_source(record)}: {record.getMessage()}"


def _trace(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return f"\n{trace(error)}" if error is not None else ""
