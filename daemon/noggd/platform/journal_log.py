"""systemd's journal as a logging handler: each record is an entry with a priority and fields of its own.

The protocol is one datagram per entry (systemd.io/JOURNAL_NATIVE_PROTOCOL). Fields of ours begin with NOGG_; a
record gets them from `extra={"fields": {"device": …}}`. Where the journal's socket is not to be used or cannot be
reached, entries go to stderr with their priority in front, as sd-daemon(3) has it.
"""

from __future__ import annotations

import logging
import socket
import struct
import sys
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
LONGEST = 64 * 1024
"""Bytes of a field; what is longer is cut, so that an entry fits into a datagram."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7


def priority(level: int) -> int:
    """Return syslog's priority for a level of `logging`."""
    return next((number for least, number in _PRIORITIES if level >= least), _DEBUG_PRIORITY)


def datagram(fields: Mapping[str, object]) -> bytes:
    """Encode an entry: `NAME=value`, or with a length in front where the value has several lines."""
    parts = []
    for name, value in fields.items():
        data = str(value).encode("utf-8", "backslashreplace")[:LONGEST]
        if b"\n" in data:
            parts += [name.encode(), b"\n", struct.pack("<Q", len(data)), data, b"\n"]
        else:
            parts += [name.encode(), b"=", data, b"\n"]
    return b"".join(parts)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what a record brought along for machines to read."""
    found = getattr(record, "fields", None)
    return dict(found) if isinstance(found, Mapping) else {}


class JournalHandler(logging.Handler):
    """Writes records into the journal at `path`, or to stderr for it; the formatter makes the message."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._channel.setblocking(False)  # a journal that is stuck must not stop the daemon

    def emit(self, record: logging.LogRecord) -> None:
        """Write one entry."""
        message = self.format(record)
        entry = {
            "MESSAGE": message,
            "PRIORITY": priority(record.levelno),
            "SYSLOG_IDENTIFIER": "noggd",
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
            **{f"NOGG_{name.upper()}": value for name, value in fields_of(record).items()},
        }
        if not self._send(datagram(entry)):
            prefix = f"<{priority(record.levelno)}>"
            sys.stderr.write("".join(f"{prefix}{line}\n" for line in message.splitlines()))

    def _send(self, entry: bytes) -> bool:
        if self._path is None:
            return False
        try:
            self._channel.sendto(entry, self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of the socket."""
        self._channel.close()
        super().close()
