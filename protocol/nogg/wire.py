"""One compact JSON object per line: the framing of the local API, without any I/O.

Here: cutting a byte stream into lines under a size limit, and the way between a line and its object. Not
here: what the objects mean (`nogg.methods`) and the sockets (`nogg.blocking`, `nogg.client`, the daemon).
"""

from __future__ import annotations

import json
import math
from typing import NoReturn

from nogg.errors import ProtocolError

#: longest request line that the daemon takes, in bytes
REQUEST_LIMIT = 1 << 20
#: the same for the methods that carry whole sessions
LARGE_REQUEST_LIMIT = 16 << 20
LARGE_METHODS = frozenset({"session.import", "session.set"})


class LineTooLong(ProtocolError):
    """A line passed the limit, so the stream cannot be followed any further.

    `lines` are the complete lines that stood before it in the same read.
    """

    def __init__(self, limit: int, lines: list[bytes]) -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.limit = limit
        self.lines = lines


class LineDecoder:
    """Cuts a byte stream into lines; CRLF is accepted and blank lines are skipped.

    `limit` is the longest line in bytes, its ending not counted; no more than that is ever kept.
    """

    def __init__(self, limit: int = LARGE_REQUEST_LIMIT) -> None:
        self._limit = limit
        self._partial = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of the unfinished last line."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read and return the lines that it completes; raises `LineTooLong`."""
        *complete, rest = data.split(b"\n")
        if complete and self._partial:
            complete[0] = bytes(self._partial) + complete[0]
            self._partial.clear()
        self._partial += rest
        lines: list[bytes] = []
        for ended in complete:
            line = ended[:-1] if ended.endswith(b"\r") else ended
            if len(line) > self._limit:
                raise LineTooLong(self._limit, lines)
            if line and not line.isspace():
                lines.append(line)
        if len(self._partial) > self._limit + 1:  # one more for the CR of a line that just fits
            raise LineTooLong(self._limit, lines)
        return lines


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode(obj: object) -> bytes:
    """Return the line for an object, its newline included.

    Raises `ValueError` for what JSON cannot say (NaN, Infinity, a lone surrogate) and `TypeError` for foreign
    types: both are mistakes of the caller, found before a byte is sent.
    """
    return _encode(obj).encode("utf-8") + b"\n"


def _no_constant(name: str) -> NoReturn:
    raise ProtocolError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ProtocolError("a number is out of range")
    return number


_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode


def decode(line: bytes) -> object:
    """Return what a line says; raises `ProtocolError` for anything but strict JSON in UTF-8."""
    try:
        return _decode(line.decode("utf-8"))
    except ProtocolError:
        raise
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a line is not JSON") from error
