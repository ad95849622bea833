"""The journal: records in the order in which they were written, and snapshots that stand for the oldest of them.

SQLite in WAL mode with a sync per commit: what :meth:`Journal.append` returned for survives a power cut. The
journal knows nothing of what records and snapshots mean. Not here: threads (:mod:`noggd.storage.writer`), and who
may open a state folder (the lock in :mod:`noggd.platform.files`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple
from urllib.parse import quote

from nogg.errors import StorageFailed
from noggd.platform.files import write_private
from noggd.storage import judge as judging
from noggd.storage.judge import judge
from noggd.storage.schema import CLOSED, UNGROWN, VERSION, StoreBroken, StoreTooNew, checksum, create, migrate
from noggd.storage.wal import GROWN, WRITE_BACK, grow, wal_path

__all__ = ["STORE", "Journal", "Loaded", "StoreBroken", "StoreTooNew"]

STORE: Final = "session.db"
"""The journal's file in the state folder."""
PROOFS: Final = "proofs"
"""The note of `Journal.prove`: how often it had nothing else to write."""

_SETTINGS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",  # the state folder has one owner; spares the shared index of the log
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: its plain fsync does not reach the disk
    "PRAGMA secure_delete = ON",
    f"PRAGMA wal_autocheckpoint = {WRITE_BACK}",
    "PRAGMA temp_store = MEMORY",  # secrets must not land in temporary files
    "PRAGMA trusted_schema = OFF",
)
_LASTING: Final = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
}


class Loaded(NamedTuple):
    """Everything in a journal: the newest snapshot of each document, and the records behind them in order."""

    snapshots: dict[str, bytes]
    records: list[bytes]
    meta: dict[str, str]


class Journal:
    """The store at `path`; made if there is none, migrated if it is of an older version.

    Raises StoreBroken (and leaves the files as they are) if the store cannot be read whole, StorageFailed if it
    could be read but not opened for writing. Any thread may use it: calls wait for each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        if not os.path.lexists(path):
            _create(path)
        self.last_seq = _make_current(path)
        """The number of the newest record; grows by one with each, and never falls."""
        self._proven = self.last_seq
        self._connection = _connect(path)
        _old(path).unlink(missing_ok=True)  # the store is current, so its migration was committed
        self._ready = False
        with suppress(
            StorageFailed
        ):  # no room: reading must work all the same, and the next append tries again
            self._prepare()

    def load(self) -> Loaded:
        """Read everything. Raises StoreBroken if it cannot be read any more."""
        with self._lock, self._reading() as connection:
            return Loaded(
                dict(judging.snapshots(connection, self.path)),
                list(judging.records(connection, self.path)),
                dict(judging.meta(connection, self.path)),
            )

    def examine(self) -> None:
        """Read everything that is on disk and check it. Raises StoreBroken."""
        with self._lock, self._reading() as connection:
            connection.execute("PRAGMA shrink_memory")  # what is in memory says nothing about the disk
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise judging.broken(self.path, str(found))
            for rows in (judging.records, judging.snapshots, judging.meta):
                for _ in rows(connection, self.path):
                    pass

    def append(self, record: bytes) -> int:
        """Put a record on disk and return its number. Raises StorageFailed; then nothing of it was kept."""
        with self._lock:
            if not self._ready:
                self._prepare()
            seq = self.last_seq + 1
            try:
                self._connection.execute(
                    "INSERT INTO log VALUES (?, ?, ?)", (seq, record, checksum(str(seq), record))
                )
            except sqlite3.Error as error:
                raise self._failed(error) from error
            self.last_seq = seq
            return seq

    def compact(
        self, snapshots: Mapping[str, bytes], upto_seq: int, meta: Mapping[str, str] | None = None
    ) -> None:
        """Let `snapshots`, which are all there are from now on, stand for the records up to `upto_seq`.

        Notes in `meta` are set in the same commit, others stay. When this returns, nothing that was replaced is
        left in the bytes of the store's files. Raises StorageFailed; then either nothing was changed or only the
        old bytes are still there, and calling it again mends that.
        """
        upto = min(upto_seq, self.last_seq)
        with self._lock, self._writing() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM snapshot")
            rows = [(name, state, checksum(name, state)) for name, state in snapshots.items()]
            connection.executemany("INSERT INTO snapshot VALUES (?, ?, ?)", rows)
            connection.execute("DELETE FROM log WHERE seq <= ?", (upto,))
            connection.execute("UPDATE store SET wal = ?, compacted = max(compacted, ?)", (UNGROWN, upto))
            _put_meta(connection, meta or {})
            connection.execute("COMMIT")
            connection.executescript("PRAGMA incremental_vacuum")  # execute() would free a single page
            self._renew()

    def get_meta(self, key: str) -> str | None:
        """Return a note about the store."""
        with self._lock, self._reading() as connection:
            return dict(judging.meta(connection, self.path)).get(key)

    def set_meta(self, notes: Mapping[str, str]) -> None:
        """Put notes about the store on disk, all or none. Raises StorageFailed."""
        with self._lock, self._writing() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _put_meta(connection, notes)
            connection.execute("COMMIT")

    def prove(self) -> None:
        """Write a note to the disk, unless a record was written since the last time; return once it is there.

        Raises StorageFailed.
        """
        with self._lock, self._writing() as connection:
            if self.last_seq == self._proven:
                proofs = int(dict(judging.meta(connection, self.path)).get(PROOFS, "0"))
                _put_meta(connection, {PROOFS: str(proofs + 1)})  # the same value again would not be written
            self._proven = self.last_seq

    def size(self) -> int:
        """Return the bytes that the store's files take."""
        files = (self.path, wal_path(self.path))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Write everything back into one file and let go of it. Harmless when called twice."""
        with self._lock:
            try:
                self._mark_closed()
            except sqlite3.ProgrammingError:
                return  # closed before
            except sqlite3.Error:
                pass  # no room even in the log: then SQLite cannot write it back either, and keeps it
            self._connection.close()

    def _mark_closed(self) -> None:
        try:
            _say_closed(self._connection)
        except sqlite3.OperationalError:
            self._connection.execute(
                "PRAGMA wal_checkpoint(RESTART)"
            ).fetchall()  # the log itself has room then
            _say_closed(self._connection)

    def _prepare(self) -> None:
        """Make the log fit for appends: after opening, and after a failure."""
        with self._writing() as connection:
            connection.execute("UPDATE store SET wal = ?", (UNGROWN,))
            self._renew()

    def _renew(self) -> None:
        """Empty the log, so that no old bytes are left in it, and grow it; the store must say that it is not grown.

        That it is grown is written down last, and into the database itself: from then on a shorter log is a loss.
        """
        self._checkpoint("TRUNCATE")
        self._ready = True
        try:
            grow(wal_path(self.path))
        except OSError:
            return  # slower commits are better than none
        self._connection.execute("UPDATE store SET wal = ?", (GROWN,))
        self._checkpoint("PASSIVE")

    def _checkpoint(self, mode: str) -> None:
        busy, _, _ = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        if busy:
            raise sqlite3.OperationalError("the store is in use by another program")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise self._failed(error) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise judging.broken(self.path, str(error)) from error

    def _failed(self, error: sqlite3.Error) -> StorageFailed:
        """Undo what was begun, and say what failed. The next append starts with a fresh log."""
        self._ready = False
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # then SQLite rolled back by itself
                self._connection.execute("ROLLBACK")
        return _storage_failed(error)


def _storage_failed(error: sqlite3.Error) -> StorageFailed:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    hint = "make room on the disk of the state folder" if code == sqlite3.SQLITE_FULL else None
    return StorageFailed(
        f"the change could not be stored: {error}", retryable=code not in _LASTING, hint=hint
    )


def _say_closed(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE store SET wal = ?", (CLOSED,))


def _put_meta(connection: sqlite3.Connection, notes: Mapping[str, str]) -> None:
    rows = [(key, value, checksum(key, value.encode())) for key, value in notes.items()]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", rows)


def _create(path: Path) -> None:
    """Put an empty store in place, unless the log of a lost one stands there."""
    if os.path.lexists(wal_path(path)):
        raise judging.broken(path, "it is missing, but its write-ahead log is there")
    if os.path.lexists(_old(path)):
        raise judging.broken(path, "it is missing, but its copy from before a migration is there")
    try:
        write_private(path, create())
    except OSError as error:
        raise StorageFailed(f"no store could be made at {path}: {error.strerror}", retryable=True) from error


def _make_current(path: Path) -> int:
    """Judge the store, migrate it if it is of an older version, and return the number of its last record."""
    verdict = judge(path)
    if verdict.version < VERSION:
        _migrate(path, verdict.version)
        verdict = judge(path)
    return verdict.last_seq


def _migrate(path: Path, version: int) -> None:
    """Replace the store by a migrated copy; the old file stays under another name until the new one is open."""
    if os.path.lexists(wal_path(path)):
        _fold_log(path, version)
    with judging.in_memory(path) as memory:
        data = migrate(memory, version)
    try:
        write_private(_old(path), path.read_bytes())
        write_private(path, data)
    except OSError as error:
        raise StorageFailed(f"the store could not be migrated: {error.strerror}", retryable=True) from error


def _fold_log(path: Path, version: int) -> None:
    """Write the log of an old store back into it: it must never meet the new one. Raises StorageFailed."""
    connection = _connect(path)
    try:
        if version > 0:
            _say_closed(connection)
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise _storage_failed(error) from error
    finally:
        connection.close()
    if busy or wal_path(path).exists():
        raise StorageFailed("the store could not be migrated: it is in use", retryable=True)


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".before-migration")


def _connect(path: Path) -> sqlite3.Connection:
    """Open a judged store for writing. Raises StorageFailed."""
    with ExitStack() as undo:
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=rw",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=2.0,
            )
            undo.callback(connection.close)
            for setting in _SETTINGS:
                connection.execute(setting).fetchall()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # takes the lock
        except sqlite3.Error as error:
            raise _storage_failed(error) from error
        undo.pop_all()
    return connection
