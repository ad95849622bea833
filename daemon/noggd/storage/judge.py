"""Whether the files of a store are whole, judged on a copy in memory: the files are read and nothing else.

Opening a broken database with SQLite can change it (recovery, write-back on close); a store that cannot be read
must stay exactly as it is, for the person to rescue. Not here: opening a store for use.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from noggd.storage.schema import APPLICATION, CLOSED, VERSION, StoreBroken, StoreTooNew, checksum
from noggd.storage.wal import Wal, WalDamaged, read_wal, wal_path

_MAGIC: Final = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A store that is whole: its version, and the number of its last record."""

    version: int
    last_seq: int


def judge(path: Path) -> Verdict:
    """Read the files of the store at `path`; raise StoreBroken or StoreTooNew if they cannot be used."""
    log = wal_path(path)
    with in_memory(path) as memory:
        return _judge(path, memory, log.stat().st_size if log.exists() else -1)


@contextmanager
def in_memory(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy in memory of what the files at `path` hold, the committed part of the log included."""
    data = _read(path)
    log = _read(wal_path(path)) if os.path.lexists(wal_path(path)) else b""
    try:
        wal = read_wal(log)
    except WalDamaged as damage:
        raise broken(wal_path(path), str(damage)) from None
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        try:
            memory.deserialize(_image(data, wal, path))
            yield memory
        except sqlite3.DatabaseError as error:
            raise broken(path, str(error)) from None


def broken(path: Path, why: str) -> StoreBroken:
    """Return the error for a file of the store, with what to do about it."""
    return StoreBroken(
        f"the store cannot be read: {path}: {why}",
        hint="nothing was changed. Restore the state folder from a backup, or move the file away to start empty; "
        "paired devices then bring their data back",
    )


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            return file.read()
    except OSError as error:
        raise broken(path, error.strerror or str(error)) from None


def _image(data: bytes, wal: Wal, path: Path) -> bytes:
    """Lay the pages of the log over the file."""
    if not data.startswith(_MAGIC) or len(data) < 100:
        raise broken(path, "it is no database" if data else "it is empty")
    image = bytearray(data)
    if wal.size:
        size = wal.size * wal.page_size
        image = image[:size].ljust(size, b"\x00")
        for number, page in wal.pages.items():
            image[(number - 1) * wal.page_size : number * wal.page_size] = page
        del image[size:]
    image[18:20] = b"\x01\x01"  # a copy in memory has no log
    return bytes(image)


def _judge(path: Path, memory: sqlite3.Connection, log_size: int) -> Verdict:
    (application,) = memory.execute("PRAGMA application_id").fetchone()
    (version,) = memory.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise broken(path, "it is a database, but no store of ours")
    if version > VERSION:
        raise StoreTooNew(
            f"a newer noggd wrote {path} (version {version}; this one reads up to {VERSION})",
            hint="update noggd",
        )
    memory.execute("PRAGMA cell_size_check = ON")
    found = memory.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise broken(path, found)
    if version < VERSION:
        return Verdict(version, 0)
    wal, last = _store(memory, path)
    if wal != CLOSED and log_size < wal:
        raise broken(wal_path(path), "it is missing" if log_size < 0 else "it is cut off")
    last += sum(1 for _ in records(memory, path))
    for rows in (snapshots(memory, path), meta(memory, path)):
        for _ in rows:
            pass
    return Verdict(version, last)


def _store(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    """Return what the store says about its log (CLOSED, or its least size), and the last compacted record."""
    match connection.execute("SELECT wal, compacted FROM store").fetchall():
        case [(int(wal), int(compacted))]:
            return wal, compacted
        case _:
            raise broken(path, "its own notes are damaged")


def records(connection: sqlite3.Connection, path: Path) -> Iterator[bytes]:
    """Yield the records in order; raise StoreBroken at one that is damaged or missing."""
    _, last = _store(connection, path)
    for seq, record, known in connection.execute("SELECT seq, record, sum FROM log ORDER BY seq"):
        last += 1
        if seq != last or not isinstance(record, bytes) or checksum(str(seq), record) != known:
            raise broken(path, f"record {last} is damaged")
        yield record


def snapshots(connection: sqlite3.Connection, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the snapshots; raise StoreBroken at a damaged one."""
    for row in connection.execute("SELECT document, state, sum FROM snapshot"):
        match row:
            case (str(document), bytes(state), int(known)) if checksum(document, state) == known:
                yield document, state
            case _:
                raise broken(path, "a snapshot is damaged")


def meta(connection: sqlite3.Connection, path: Path) -> Iterator[tuple[str, str]]:
    """Yield what is known about the store; raise StoreBroken where it is damaged."""
    for row in connection.execute("SELECT key, value, sum FROM meta"):
        match row:
            case (str(key), str(value), int(known)) if checksum(key, value.encode()) == known:
                yield key, value
            case _:
                raise broken(path, "its own notes are damaged")
