"""The reader of SQLite's log sees what SQLite sees, and tells a torn end from a loss."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from noggd.storage.wal import WalDamaged, grow, read_wal, wal_path

PAGE = 4096
FRAME = PAGE + 24


@pytest.fixture
def log(tmp_path: Path) -> Iterator[bytes]:
    """The log of five commits of several pages each."""
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (a BLOB)")
        for number in range(4):
            database.execute("INSERT INTO t VALUES (?)", (bytes([number]) * 9000,))
        yield wal_path(path).read_bytes()


def frames(log: bytes) -> list[int]:
    """The size of the database after each frame; 0 where the frame ends no commit."""
    return [int.from_bytes(log[at + 4 : at + 8], "big") for at in range(32, len(log), FRAME)]


def commits(log: bytes) -> list[int]:
    """The index of each frame that ends a commit."""
    return [index for index, size in enumerate(frames(log)) if size]


def cut(log: bytes, count: int) -> bytes:
    return log[: 32 + count * FRAME]


def flip(log: bytes, at: int) -> bytes:
    changed = bytearray(log)
    changed[at] ^= 1
    return bytes(changed)


def test_a_whole_log_holds_every_page_in_its_last_version(log: bytes) -> None:
    wal = read_wal(log)
    assert wal.page_size == PAGE
    assert wal.size == frames(log)[-1]
    for index in range(len(frames(log))):
        at = 32 + index * FRAME
        number, body = int.from_bytes(log[at : at + 4], "big"), log[at + 24 : at + FRAME]
        later = [log[32 + i * FRAME :][:4] for i in range(index + 1, len(frames(log)))]
        if number.to_bytes(4, "big") not in later:
            assert wal.pages[number] == body


def test_sqlite_sees_the_same_at_every_cut(log: bytes, tmp_path: Path) -> None:
    path = tmp_path / "y.db"
    empty = (tmp_path / "x.db").read_bytes()
    assert len(empty) == PAGE
    for count in range(len(frames(log)) + 1):
        path.write_bytes(empty)
        wal_path(path).write_bytes(cut(log, count))
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            (pages,) = database.execute("PRAGMA page_count").fetchone()
        assert (read_wal(cut(log, count)).size or 1) == pages


@pytest.mark.parametrize("empty", [b"", bytes(32), bytes(100_000)])
def test_an_empty_or_grown_log_holds_nothing(empty: bytes) -> None:
    assert read_wal(empty) == read_wal(b"")
    assert read_wal(empty).size == 0


def test_zeros_behind_the_last_frame_change_nothing(log: bytes) -> None:
    assert read_wal(log + bytes(100_000)) == read_wal(log)


def test_frames_of_an_older_round_behind_the_last_frame_change_nothing(log: bytes) -> None:
    older = bytearray(log[32:])
    for at in range(0, len(older), FRAME):
        older[at + 8 : at + 16] = b"olderone"
    assert read_wal(log + bytes(older)) == read_wal(log)


def test_a_torn_last_commit_is_left_out(log: bytes) -> None:
    """A power cut may lose any part of a commit that was never reported as done."""
    last, before = commits(log)[-1], commits(log)[-2]
    expected = read_wal(cut(log, before + 1))
    for index in range(before + 1, last + 1):
        assert read_wal(flip(log, 32 + index * FRAME + 24)) == expected
        assert read_wal(cut(log, index)) == expected


def test_damage_in_any_commit_before_the_last_is_told(log: bytes) -> None:
    for index in range(commits(log)[-2] + 1):
        for offset in (0, 4, 8, 12, 16, 20, 24, FRAME - 1):
            with pytest.raises(WalDamaged, match="a commit in it is unreadable"):
                read_wal(flip(log, 32 + index * FRAME + offset))


def test_damage_in_the_header_is_told(log: bytes) -> None:
    for at in range(32):
        with pytest.raises(WalDamaged, match="header is unreadable"):
            read_wal(flip(log, at))
    for size in range(1, 32):
        with pytest.raises(WalDamaged, match="header is cut off"):
            read_wal(log[:size])


def test_a_log_in_big_endian_words_is_read(log: bytes) -> None:
    """Written by hand from the documented layout: no machine here writes one."""
    words = [0x377F0683, 3007000, 512, 0, 7, 9]
    header = b"".join(word.to_bytes(4, "big") for word in words)
    sums = _sums(header, (0, 0))
    body = os.urandom(512)
    start = (1).to_bytes(4, "big") + (1).to_bytes(4, "big")
    frame_sums = _sums(start + body, sums)
    frame = start + header[16:24] + _bytes(frame_sums) + body
    wal = read_wal(header + _bytes(sums) + frame)
    assert (wal.page_size, wal.size, wal.pages) == (512, 1, {1: body})


def _sums(data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    for at in range(0, len(data), 8):
        first = (first + int.from_bytes(data[at : at + 4], "big") + second) % 2**32
        second = (second + int.from_bytes(data[at + 4 : at + 8], "big") + first) % 2**32
    return first, second


def _bytes(sums: tuple[int, int]) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in sums)


def test_growing_adds_zeros_and_leaves_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abc")
    grow(path, 1_000_000)
    assert path.read_bytes() == b"abc".ljust(1_000_000, b"\x00")
    grow(path, 10)
    assert path.stat().st_size == 1_000_000
    with pytest.raises(FileNotFoundError):
        grow(tmp_path / "missing")
