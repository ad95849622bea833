"""A store as version 0 of noggd made it: its tables, without checksums. What they hold is up to the tests."""

from __future__ import annotations

import sqlite3

from noggd.storage.schema import APPLICATION


def make_tables(store: sqlite3.Connection) -> None:
    """Make an empty store of version 0, in WAL mode as that version did."""
    store.execute("PRAGMA journal_mode = WAL")
    store.execute(f"PRAGMA application_id = {APPLICATION}")
    store.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, record BLOB NOT NULL)")
    store.execute("CREATE TABLE snapshot (document TEXT PRIMARY KEY, state BLOB NOT NULL)")
    store.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
