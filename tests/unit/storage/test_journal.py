"""The journal gives back what it took, keeps nothing that was replaced, and never starts over what is broken."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import StorageFailed
from noggd.storage.journal import Journal, StoreBroken, StoreTooNew
from noggd.storage.schema import APPLICATION, VERSION
from noggd.storage.wal import GROWN, wal_path
from tests.version_0 import make_tables


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with closing(Journal(path)) as opened:
        yield opened


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def fill(journal: Journal) -> None:
    for _ in range(1000):
        journal.append(os.urandom(5000))


class TestRecords:
    def test_a_new_journal_is_empty(self, journal: Journal) -> None:
        assert journal.load() == ({}, [], {})
        assert journal.last_seq == 0

    def test_records_come_back_in_order_with_growing_numbers(self, journal: Journal) -> None:
        assert [journal.append(b"one"), journal.append(b""), journal.append(b"\x00\xff")] == [1, 2, 3]
        assert journal.load().records == [b"one", b"", b"\x00\xff"]

    def test_they_are_there_after_closing_and_opening(self, path: Path) -> None:
        for number in range(1, 6):
            with closing(Journal(path)) as journal:
                assert journal.append(b"%d" % number) == number
        with closing(Journal(path)) as journal:
            assert journal.load().records == [b"1", b"2", b"3", b"4", b"5"]

    def test_large_records_are_kept_whole(self, path: Path) -> None:
        large = os.urandom(9 * 1024 * 1024)
        with closing(Journal(path)) as journal:
            journal.append(large)
        with closing(Journal(path)) as journal:
            assert journal.load().records == [large]

    def test_numbers_never_fall_even_when_all_records_were_compacted(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            for _ in range(3):
                journal.append(b"x")
            journal.compact({}, 3)
            assert journal.append(b"y") == 4
            journal.compact({}, 4)
        with closing(Journal(path)) as journal:
            assert journal.last_seq == 4
            assert journal.append(b"z") == 5

    def test_several_threads_may_use_it(self, journal: Journal) -> None:
        def write() -> None:
            for _ in range(20):
                journal.append(b"x")

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.last_seq == len(journal.load().records) == 80


class TestCompaction:
    def test_snapshots_replace_the_snapshots_and_records_up_to_a_number(self, journal: Journal) -> None:
        for number in range(1, 6):
            journal.append(b"%d" % number)
        journal.compact({"person": b"p1", "session/a": b"a1"}, 3, {"epoch": "e1"})
        assert journal.load() == ({"person": b"p1", "session/a": b"a1"}, [b"4", b"5"], {"epoch": "e1"})
        journal.compact({"person": b"p2"}, 5)
        assert journal.load() == ({"person": b"p2"}, [], {"epoch": "e1"})

    def test_a_number_beyond_the_last_counts_as_the_last(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            journal.append(b"x")
            journal.compact({}, 100)
            assert journal.append(b"y") == 2
        with closing(Journal(path)) as journal:
            assert journal.load().records == [b"y"]

    def test_nothing_that_was_replaced_is_left_in_the_files(self, journal: Journal, path: Path) -> None:
        secret, kept = b"correct horse battery staple", b"kept after all"
        for size in (1, 40, 5000):
            journal.append(secret * size)
        journal.set_meta({"note": secret.decode()})
        journal.compact({"one": secret * 3, "two": secret * 2000}, journal.last_seq)
        journal.append(secret)
        assert any(secret in data for data in contents(path.parent).values())
        journal.compact({"one": kept}, journal.last_seq, {"note": "none"})
        assert not any(secret in data for data in contents(path.parent).values())
        assert any(kept in data for data in contents(path.parent).values())

    def test_nothing_that_was_replaced_is_left_beside_what_is_kept(
        self, journal: Journal, path: Path
    ) -> None:
        """Rows share pages: what goes must be wiped where it stood, not only be forgotten."""
        secret = b"correct horse battery staple"
        journal.compact({f"document {number}": secret[:-1] + b"%d" % number for number in range(30)}, 0)
        for number in range(60):
            journal.append(secret if number % 2 else b"kept %d" % number)
        journal.append(b"the last")
        journal.compact({f"document {number}": b"small" for number in range(0, 30, 2)}, 30)
        journal.compact({f"document {number}": b"small" for number in range(0, 30, 2)}, 60)
        assert journal.load().records == [b"the last"]
        assert not any(secret[:-1] in data for data in contents(path.parent).values())

    def test_room_is_given_back(self, journal: Journal, path: Path) -> None:
        journal.compact({"one": os.urandom(3_000_000)}, 0)
        assert journal.size() > 3_000_000 + GROWN
        journal.compact({"one": b"small"}, 0)
        assert path.stat().st_size < 100_000
        assert journal.size() == path.stat().st_size + GROWN

    def test_the_log_is_as_large_as_before(self, journal: Journal, path: Path) -> None:
        assert wal_path(path).stat().st_size == GROWN
        journal.append(b"x")
        journal.compact({}, 1)
        assert wal_path(path).stat().st_size == GROWN
        for _ in range(50):
            journal.append(os.urandom(3000))
        assert wal_path(path).stat().st_size == GROWN


class TestNotes:
    def test_they_are_kept(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            assert journal.get_meta("epoch") is None
            journal.set_meta({"epoch": "one", "client": "7"})
            journal.set_meta({"epoch": "two"})
        with closing(Journal(path)) as journal:
            assert journal.get_meta("epoch") == "two"
            assert journal.load().meta == {"epoch": "two", "client": "7"}


class TestFiles:
    @pytest.mark.parametrize("mask", [0, 0o777])
    def test_they_are_private_whatever_the_umask(self, path: Path, mask: int) -> None:
        before = os.umask(mask)
        try:
            journal = Journal(path)
            journal.append(b"x")
        finally:
            os.umask(before)
        with closing(journal):
            assert {file.name for file in path.parent.iterdir()} == {"journal.db", "journal.db-wal"}
            assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}

    def test_a_closed_journal_is_one_file_and_closing_twice_is_harmless(self, path: Path) -> None:
        journal = Journal(path)
        journal.append(b"x")
        journal.close()
        journal.close()
        assert [file.name for file in path.parent.iterdir()] == ["journal.db"]

    def test_the_settings_that_durability_and_secrets_rest_on(self, journal: Journal) -> None:
        def setting(name: str) -> Any:
            return journal._connection.execute(f"PRAGMA {name}").fetchone()[0]

        assert setting("journal_mode") == "wal"
        assert setting("synchronous") == 2
        assert setting("secure_delete") == 1
        assert setting("temp_store") == 2
        assert setting("auto_vacuum") == 2
        assert setting("wal_autocheckpoint") * setting("page_size") < GROWN


class TestBrokenStores:
    """Each is told as broken, and stays byte for byte what it was."""

    def broken(self, path: Path, match: str) -> StoreBroken:
        before = contents(path.parent)
        with pytest.raises(StoreBroken, match=match) as caught:
            Journal(path)
        assert contents(path.parent) == before
        assert caught.value.hint
        return caught.value

    def crashed(self, path: Path) -> None:
        """Leave a store as a killed process does: its log beside it."""
        journal = Journal(path)
        for number in range(10):
            journal.append(b"%d" % number * 100)
        files = contents(path.parent)
        journal.close()
        for name, data in files.items():
            (path.parent / name).write_bytes(data)

    def test_what_a_crash_leaves_is_not_broken(self, path: Path) -> None:
        self.crashed(path)
        with closing(Journal(path)) as journal:
            assert journal.load().records == [b"%d" % number * 100 for number in range(10)]

    def test_an_empty_file(self, path: Path) -> None:
        path.touch()
        self.broken(path, "it is empty")

    def test_something_else(self, path: Path) -> None:
        path.write_bytes(b"not a database" * 1000)
        self.broken(path, "it is no database")

    def test_a_database_of_somebody_else(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, record BLOB)")
            other.commit()
        self.broken(path, "no store of ours")

    def test_a_folder_in_its_place(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StoreBroken, match="directory"):
            Journal(path)

    def test_a_symlink_in_its_place(self, path: Path) -> None:
        Journal(path.with_name("real.db")).close()
        path.symlink_to("real.db")
        self.broken(path, "symbolic link")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_that_may_not_be_read(self, path: Path) -> None:
        Journal(path).close()
        path.chmod(0)
        with pytest.raises(StoreBroken, match="denied"):
            Journal(path)

    def test_a_database_without_our_tables(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA application_id = {APPLICATION}")
            other.execute(f"PRAGMA user_version = {VERSION}")
            other.execute("CREATE TABLE x (y)")
            other.commit()
        self.broken(path, "no such table")

    def test_one_changed_bit_in_a_record_that_the_database_itself_does_not_notice(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            journal.append(b"correct horse")
        path.write_bytes(path.read_bytes().replace(b"correct horse", b"correct horsf"))
        self.broken(path, "record 1 is damaged")

    def test_a_changed_snapshot_and_a_changed_note(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            journal.compact({"person": b"what is known"}, 0, {"epoch": "first"})
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"what is known", b"what is knowN"))
        self.broken(path, "a snapshot is damaged")
        path.write_bytes(whole.replace(b"first", b"fierce"[:5]))
        self.broken(path, "notes are damaged")

    def test_a_damaged_index_though_every_row_can_be_read(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            journal.compact({"person": b"p"}, 0)
            (page,) = journal._connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'snapshot'"
            ).fetchone()
        data = bytearray(path.read_bytes())
        data[(page - 1) * 4096 + 3 : (page - 1) * 4096 + 5] = bytes(2)  # no entries
        path.write_bytes(data)
        self.broken(path, "index|tree|cell|entries|page")

    def test_a_missing_record(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            for _ in range(3):
                journal.append(b"x")
        with closing(sqlite3.connect(path)) as other:
            other.execute("DELETE FROM log WHERE seq = 2")
            other.commit()
        self.broken(path, "record 2 is damaged")

    def test_a_log_that_is_missing(self, path: Path) -> None:
        self.crashed(path)
        wal_path(path).unlink()
        self.broken(path, "wal: it is missing")

    @pytest.mark.parametrize("size", [0, 10, 32, 5000, GROWN - 1])
    def test_a_log_that_was_cut_off(self, path: Path, size: int) -> None:
        self.crashed(path)
        os.truncate(wal_path(path), size)
        self.broken(path, "wal: (it|its header) is cut off")

    def test_a_log_whose_header_is_damaged(self, path: Path) -> None:
        self.crashed(path)
        data = bytearray(wal_path(path).read_bytes())
        data[20] ^= 1
        wal_path(path).write_bytes(data)
        self.broken(path, "header is unreadable")

    def test_a_log_with_a_damaged_commit_that_others_follow(self, path: Path) -> None:
        self.crashed(path)
        data = bytearray(wal_path(path).read_bytes())
        data[32 + 24 + 4000] ^= 1
        wal_path(path).write_bytes(data)
        self.broken(path, "a commit in it is unreadable")

    def test_a_log_whose_database_is_gone(self, path: Path) -> None:
        self.crashed(path)
        path.unlink()
        self.broken(path, "it is missing")
        assert not path.exists()

    def test_a_newer_version(self, path: Path) -> None:
        Journal(path).close()
        with closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA user_version = {VERSION + 1}")
        before = contents(path.parent)
        with pytest.raises(StoreTooNew, match="newer noggd"):
            Journal(path)
        assert contents(path.parent) == before

    def test_damage_that_shows_only_later_is_told_on_reading(self, path: Path) -> None:
        with closing(Journal(path)) as journal:
            journal.append(b"x")
            journal._connection.execute("UPDATE log SET sum = sum + 1")
            with pytest.raises(StoreBroken, match="record 1 is damaged"):
                journal.load()


class TestFailures:
    def test_a_store_that_another_program_holds_is_not_broken(self, path: Path) -> None:
        Journal(path).close()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StorageFailed) as caught:
                Journal(path)
            assert caught.value.data["retryable"] is True

    def test_a_failed_append_keeps_nothing_and_the_next_one_works(self, journal: Journal) -> None:
        journal.append(b"first")
        journal._connection.execute(
            "PRAGMA max_page_count = 1"
        )  # as full as it is: the nearest to a full disk
        with pytest.raises(StorageFailed) as caught:
            fill(journal)
        assert caught.value.data["retryable"] is True
        assert caught.value.hint
        before = journal.load().records
        assert len(before) == journal.last_seq
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        assert journal.append(b"again") == len(before) + 1
        assert journal.load().records == [*before, b"again"]

    def test_after_a_failure_the_log_is_begun_anew(self, journal: Journal, path: Path) -> None:
        """What a failed write left in the log must not meet what is written later."""
        journal.append(b"first")
        before = wal_path(path).read_bytes()[16:24]
        journal._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StorageFailed):
            fill(journal)
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        journal.append(b"again")
        assert wal_path(path).read_bytes()[16:24] != before
        assert wal_path(path).stat().st_size == GROWN

    def test_a_failed_compaction_changes_nothing_and_the_next_one_works(self, journal: Journal) -> None:
        journal.append(b"first")
        journal._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StorageFailed):
            journal.compact({"one": os.urandom(100_000)}, 1)
        assert journal.load() == ({}, [b"first"], {})
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        journal.compact({"one": b"x"}, 1)
        assert journal.load() == ({"one": b"x"}, [], {})

    def test_a_write_that_can_never_work_is_not_retryable(self, journal: Journal) -> None:
        journal._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StorageFailed) as caught:
            journal.append(b"x")
        assert caught.value.data["retryable"] is False

    def test_no_store_can_be_made_in_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StorageFailed):
            Journal(tmp_path / "missing" / "journal.db")


class TestMigration:
    """Version 0 had no checksums. It stands for every older version that will ever be."""

    def version_0(self, path: Path, *, crashed: bool = False) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as old:
            make_tables(old)
            old.execute("INSERT INTO snapshot VALUES ('person', x'0102')")
            old.execute("INSERT INTO meta VALUES ('epoch', 'é')")
            old.execute("INSERT INTO log VALUES (7, 'seven'), (8, x'08')")
            old.execute("UPDATE log SET record = CAST(record AS BLOB)")
            files = contents(path.parent)
        if crashed:
            assert files["journal.db-wal"]
            for name in ("journal.db", "journal.db-wal"):
                (path.parent / name).write_bytes(files[name])

    @pytest.mark.parametrize("crashed", [False, True])
    def test_everything_is_there_afterwards(self, path: Path, crashed: bool) -> None:
        self.version_0(path, crashed=crashed)
        with closing(Journal(path)) as journal:
            assert journal.load() == ({"person": b"\x01\x02"}, [b"seven", b"\x08"], {"epoch": "é"})
            assert journal.append(b"nine") == 9
        with closing(Journal(path)) as journal:
            assert journal.load().records == [b"seven", b"\x08", b"nine"]
        assert [file.name for file in path.parent.iterdir()] == ["journal.db"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_the_old_file_is_kept_until_the_new_one_is_in_place(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.version_0(path)
        before = path.read_bytes()

        def fail(_connection: sqlite3.Connection, _version: int) -> bytes:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("noggd.storage.journal.migrate", fail)
            with pytest.raises((StoreBroken, StorageFailed)):
                Journal(path)
        assert path.read_bytes() == before

        real = Path.unlink

        def keep_old(file: Path, missing_ok: bool = False) -> None:
            if not file.name.endswith(".before-migration"):
                real(file, missing_ok=missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", keep_old)
            Journal(path).close()
        assert path.with_name("journal.db.before-migration").read_bytes() == before
        with closing(Journal(path)) as journal:
            assert journal.last_seq == 8
        assert not path.with_name("journal.db.before-migration").exists()

    def test_no_empty_store_is_made_beside_the_copy_of_an_old_one(self, path: Path) -> None:
        path.with_name("journal.db.before-migration").write_bytes(b"the only copy")
        with pytest.raises(StoreBroken, match="copy from before a migration"):
            Journal(path)
        assert not path.exists()

    def test_a_broken_old_store_is_not_migrated(self, path: Path) -> None:
        self.version_0(path)
        whole = path.read_bytes()
        path.write_bytes(whole[:-4096])
        with pytest.raises(StoreBroken):
            Journal(path)
        assert path.read_bytes() == whole[:-4096]


def test_a_proof_reaches_the_disk_and_changes_nothing(path: Path) -> None:
    journal = Journal(path)
    journal.append(b"one")
    journal.prove()  # the record was proof enough
    before = Path(f"{path}-wal").read_bytes()
    journal.prove()
    assert Path(f"{path}-wal").read_bytes() != before
    journal.append(b"two")
    before = Path(f"{path}-wal").read_bytes()
    journal.prove()
    assert Path(f"{path}-wal").read_bytes() == before, "a record since the last time is proof enough"
    loaded = journal.load()
    journal.close()
    assert loaded.records == [b"one", b"two"]
