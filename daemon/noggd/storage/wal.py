"""SQLite's write-ahead log as a file: what it holds, whether some of it was lost, and room made in it beforehand.

SQLite takes the first frame whose checksum fails for the end of the log and forgets the rest without a word. That
is right after a power cut in the middle of a commit, and silent loss after anything else; here they are told apart.
The layout is documented (sqlite.org/fileformat2.html, section 4). Not here: SQL, tables, what a store is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Final

WRITE_BACK: Final = 500
"""Pages in the log at which SQLite writes them back. Half its default: a start after a crash checks each."""
GROWN: Final = 4 * 1024 * 1024
"""Bytes to which the log is grown: what those pages take, and as much again for large commits."""

_HEADER: Final = Struct(">8I")
_FRAME: Final = Struct(">6I")
_MAGIC_LITTLE: Final = 0x377F0682
_MAGIC_BIG: Final = 0x377F0683
_MASK: Final = 0xFFFFFFFF
_LARGE: Final = 1 << 44
_CHUNK: Final = bytes(256 * 1024)

Sums = tuple[int, int]


class WalDamaged(Exception):
    """The log lacks something that was on disk before."""


@dataclass(slots=True)
class Wal:
    """What the committed part of a log says: pages by number (from 1) and the size of the database in pages."""

    page_size: int = 0
    pages: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


def wal_path(path: Path) -> Path:
    """Return where SQLite keeps the log of a database."""
    return path.with_name(path.name + "-wal")


def read_wal(data: bytes) -> Wal:
    """Read the committed part of a log. Raises WalDamaged where a commit that had been on disk is unreadable."""
    if not any(data[: _HEADER.size]):
        return Wal()  # empty, or grown and not written yet
    if len(data) < _HEADER.size:
        raise WalDamaged("its header is cut off")
    magic, _, page_size, _, *salts, first, second = _HEADER.unpack_from(data)
    order = {_MAGIC_LITTLE: "<", _MAGIC_BIG: ">"}.get(magic)
    if order is None or not 512 <= page_size <= 65536 or page_size & (page_size - 1):
        raise WalDamaged("its header is unreadable")
    words = {
        24: Struct(f"{order}6I"),
        8: Struct(f"{order}2I"),
        page_size: Struct(f"{order}{page_size // 4}I"),
    }
    sums = _checksum(words[24].unpack_from(data), (0, 0))
    if sums != (first, second):
        raise WalDamaged("its header is unreadable")
    wal = Wal(page_size)
    pending: dict[int, bytes] = {}
    step = _FRAME.size + page_size
    start = _HEADER.size
    while start + step <= len(data):
        number, size, *rest = _FRAME.unpack_from(data, start)
        body = start + _FRAME.size
        if not number:
            break
        sums = _checksum(words[8].unpack_from(data, start), sums)
        sums = _checksum(words[page_size].unpack_from(data, body), sums)
        if sums != (rest[2], rest[3]):
            break
        if rest[:2] != salts:  # they name the round of the log; the checksum leaves them out
            raise WalDamaged("a commit in it is unreadable")
        pending[number] = data[body : body + page_size]
        if size:
            wal.pages |= pending
            wal.size = size
            pending = {}
        start += step
    _look_behind(data, start, step, salts)
    return wal


def _look_behind(data: bytes, start: int, step: int, salts: list[int]) -> None:
    """Raise WalDamaged if behind the readable frames a commit stands that another write followed.

    A writer that syncs each commit starts the next one only when the former is on disk, so such a commit was. A
    torn last commit, on the other hand, is what a power cut leaves, and was never reported as done.
    """
    committed = False
    for at in range(start, len(data) - _FRAME.size + 1, step):
        _, size, *rest = _FRAME.unpack_from(data, at)
        if rest[:2] != salts:
            continue
        if committed:
            raise WalDamaged("a commit in it is unreadable")
        committed = size > 0


def _checksum(words: tuple[int, ...], sums: Sums) -> Sums:
    """Continue the running checksum over an even number of 32-bit words.

    Sums are cut to 32 bits only when they have grown: twice as fast, and a start after a crash waits for it.
    """
    first, second = sums
    pairs = iter(words)
    for one, two in zip(pairs, pairs, strict=True):
        first += one + second
        second += two + first
        if first > _LARGE:
            first &= _MASK
            second &= _MASK
    return first & _MASK, second & _MASK


def grow(path: Path, size: int = GROWN) -> None:
    """Extend an existing log with zeros, on disk when this returns: later commits overwrite instead of extending.

    A commit to a file that grows has to write the file's new size too, which costs two thirds of the commits per
    second. Frames of zeros are invalid, so SQLite never takes them for data.
    """
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        at = os.fstat(handle).st_size
        while at < size:
            at += os.pwrite(handle, _CHUNK[: size - at], at)
        os.fsync(handle)
    finally:
        os.close(handle)
