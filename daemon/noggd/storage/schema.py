"""What a store is: its tables, its version, how it is made, and how one of an older version becomes a newer one.

Stores are made and migrated in memory and put in place whole, so that no half-made file can exist. Not here: files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Final
from zlib import crc32

from nogg.errors import NoggError

VERSION: Final = 1
"""The version that this program writes (PRAGMA user_version)."""
APPLICATION: Final = 0x6E6F6767
"""Says that a database is a store of ours (PRAGMA application_id, "nogg")."""
CLOSED: Final = -1
"""Value of `store.wal`: closed in good order, so the write-ahead log may be missing."""
UNGROWN: Final = 0
"""Value of `store.wal`: the log is there, of any size. A positive value says how many bytes it has at least."""

_TABLES: Final = (
    "CREATE TABLE log (seq INTEGER PRIMARY KEY, record BLOB NOT NULL, sum INTEGER NOT NULL)",
    "CREATE TABLE snapshot (document TEXT PRIMARY KEY, state BLOB NOT NULL, sum INTEGER NOT NULL)",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL)",
    "CREATE TABLE store (wal INTEGER NOT NULL, compacted INTEGER NOT NULL)",
)


class StoreBroken(NoggError):
    """The store cannot be read whole. Its files stay as they are; nothing may be started in their place."""

    type = "store_broken"
    default_message = "the store cannot be read"


class StoreTooNew(StoreBroken):
    """A newer program wrote the store."""

    type = "store_too_new"


def checksum(name: str, data: bytes) -> int:
    """Return the checksum of a row; SQLite has none, and its own check sees only damage to the structure."""
    return crc32(data, crc32(name.encode()))


def create() -> bytes:
    """Return the bytes of an empty store."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute("PRAGMA auto_vacuum = INCREMENTAL")  # gives room back after a compaction
        memory.execute(f"PRAGMA application_id = {APPLICATION}")
        for table in _TABLES:
            memory.execute(table)
        memory.execute("INSERT INTO store VALUES (?, 0)", (CLOSED,))
        memory.execute(f"PRAGMA user_version = {VERSION}")
        return as_file(memory)


def migrate(memory: sqlite3.Connection, version: int) -> bytes:
    """Bring a store in memory from `version` to ours; return the bytes of the new one."""
    memory.execute("BEGIN")
    for step in _MIGRATIONS[version:]:
        step(memory)
    memory.execute(f"PRAGMA user_version = {VERSION}")
    memory.execute("COMMIT")
    return as_file(memory)


def as_file(memory: sqlite3.Connection) -> bytes:
    """Return a database in memory as a file in WAL mode (bytes 18 and 19 of the header say so)."""
    data = bytearray(memory.serialize())
    data[18:20] = b"\x02\x02"
    return bytes(data)


def _add_checksums(memory: sqlite3.Connection) -> None:
    """Version 0 had the same rows without checksums, and did not watch its write-ahead log."""
    for table, name, data in (
        ("log", "seq", "record"),
        ("snapshot", "document", "state"),
        ("meta", "key", "value"),
    ):
        memory.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        memory.execute(next(statement for statement in _TABLES if f"TABLE {table} " in statement))
        rows = memory.execute(f"SELECT {name}, {data} FROM old_{table}").fetchall()  # noqa: S608 (names from above)
        for key, value in rows:
            raw = value if isinstance(value, bytes) else str(value).encode()
            memory.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (key, value, checksum(str(key), raw)))  # noqa: S608
        memory.execute(f"DROP TABLE old_{table}")
    memory.execute(_TABLES[3])
    (first,) = memory.execute("SELECT min(seq) FROM log").fetchone()
    memory.execute("INSERT INTO store VALUES (?, ?)", (CLOSED, (first or 1) - 1))


_MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_add_checksums,)
"""The step at index n leads from version n to n + 1."""
