"""Stores that were cut, damaged, killed or starved: every acked record is there, or the store is told as broken."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from nogg.errors import StorageFailed
from noggd.storage.journal import Journal, Loaded, StoreBroken
from noggd.storage.judge import in_memory, judge, meta, records, snapshots
from noggd.storage.wal import GROWN, wal_path

pytestmark = pytest.mark.fault

STEP = int(os.environ.get("NOGG_CUT_STEP", "61"))
"""Bytes between the lengths to which a store is cut; NOGG_CUT_STEP=1 tries each, in some minutes."""


def judged(path: Path) -> Loaded:
    """What the files hold, read as at a start but without opening them for writing."""
    judge(path)
    with in_memory(path) as memory:
        return Loaded(dict(snapshots(memory, path)), list(records(memory, path)), dict(meta(memory, path)))


def opened(path: Path) -> Loaded:
    with closing(Journal(path)) as journal:
        return journal.load()


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store as a killed process leaves it: records in the file, and more in its log."""
    folder = tmp_path_factory.mktemp("crashed")
    path = folder / "live" / "journal.db"
    path.parent.mkdir()
    with closing(Journal(path)) as journal:
        dice = random.Random(1)
        for _ in range(40):
            journal.append(dice.randbytes(dice.randint(1, 900)))
        journal.compact({"person": dice.randbytes(9000), "session/default": b"x"}, 25, {"epoch": "e"})
        for _ in range(20):
            journal.append(dice.randbytes(dice.randint(1, 900)))
        shutil.copytree(path.parent, folder / "left")
    return folder / "left" / "journal.db"


@pytest.fixture(scope="module")
def whole(crashed: Path) -> Loaded:
    return judged(crashed)


@pytest.fixture
def copy(crashed: Path, tmp_path: Path) -> Path:
    for file in (crashed, wal_path(crashed)):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / crashed.name


def used(log: bytes) -> int:
    """Bytes of a log up to its last frame."""
    return len(log.rstrip(b"\x00"))


def test_what_is_judged_is_what_is_opened(copy: Path, whole: Loaded) -> None:
    assert len(whole.records) == 35
    assert whole == opened(copy)


def test_the_database_cut_at_any_point(copy: Path, whole: Loaded) -> None:
    data = copy.read_bytes()
    survived = 0
    sizes = {*range(0, len(data), STEP), *range(0, len(data), 512), len(data) - 1}
    for size in sorted(sizes, reverse=True):
        os.truncate(copy, size)
        try:
            assert judged(copy) == whole, size
            survived += 1
        except StoreBroken:
            continue
    assert survived < len(data) / 500


def test_the_log_cut_at_any_point(copy: Path) -> None:
    """The log was grown, and the store knows it: no cut can pass for a crash."""
    log = wal_path(copy)
    data = log.read_bytes()
    dice = random.Random(2)
    points = {*range(0, used(data), 997), *(dice.randrange(GROWN) for _ in range(50)), len(data) - 1}
    for size in sorted(points, reverse=True):
        os.truncate(log, size)
        with pytest.raises(StoreBroken):
            judge(copy)


def test_the_log_of_a_store_that_could_not_grow_it_cut_at_any_point(tmp_path: Path) -> None:
    """Without the mark a cut passes for a crash before the last commits; no others may be gone."""
    path = tmp_path / "journal.db"
    with closing(Journal(path)) as journal:
        for number in range(20):
            journal.append(b"%d" % number * 50)
        journal._connection.execute("UPDATE store SET wal = 0")
        base, log = path.read_bytes(), wal_path(path).read_bytes()
    log = log[: used(log)]
    expected = [b"%d" % number * 50 for number in range(20)]
    path.write_bytes(base)
    seen = set()
    for size in range(len(log), 0, -499):
        wal_path(path).write_bytes(log[:size])
        with suppress(StoreBroken):
            found = judged(path).records
            assert found == expected[: len(found)]
            seen.add(len(found))
    assert 20 in seen


def test_a_byte_changed_anywhere_in_the_database(copy: Path, whole: Loaded) -> None:
    data = copy.read_bytes()
    dice = random.Random(3)
    noticed = 0
    for at in [*range(100), *(dice.randrange(len(data)) for _ in range(250))]:
        changed = bytearray(data)
        changed[at] ^= 1 << dice.randrange(8)
        copy.write_bytes(changed)
        try:
            assert judged(copy) == whole, at
        except StoreBroken:
            noticed += 1
    assert noticed > 30


def test_a_page_of_the_database_lost_or_swapped(copy: Path, whole: Loaded) -> None:
    data = copy.read_bytes()
    pages = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    for at in range(len(pages)):
        for page in (bytes(4096), b"\xff" * 4096, pages[(at + 1) % len(pages)]):
            copy.write_bytes(b"".join([*pages[:at], page, *pages[at + 1 :]]))
            with suppress(StoreBroken):
                assert judged(copy) == whole, at


def test_a_byte_changed_anywhere_in_the_log(copy: Path, whole: Loaded) -> None:
    """Only the last commit may be taken for one that a power cut tore."""
    log = wal_path(copy)
    data = log.read_bytes()
    end = used(data)
    dice = random.Random(4)
    noticed = 0
    for at in [*range(32), *range(32, end, 4120), *(dice.randrange(end) for _ in range(150))]:
        changed = bytearray(data)
        changed[at] ^= 1 << dice.randrange(8)
        log.write_bytes(changed)
        try:
            found = judged(copy)
        except StoreBroken:
            noticed += 1
            continue
        assert found in (whole, whole._replace(records=whole.records[:-1])), at
    assert noticed > 100


def test_a_damaged_store_is_opened_as_it_was_judged(copy: Path, whole: Loaded) -> None:
    """The judge reads the log by itself; SQLite must agree, or what was judged whole could open with less."""
    log = wal_path(copy)
    base, data = copy.read_bytes(), log.read_bytes()
    last = used(data) - 1
    for at in range(last - 4000, last, 331):
        changed = bytearray(data)
        changed[at] ^= 1
        copy.write_bytes(base)
        log.write_bytes(changed)
        assert judged(copy) == opened(copy)


_CHILD = """
import sys
from pathlib import Path
from threading import Event
from noggd.storage.journal import Journal
from noggd.storage.writer import JournalWriter
journal = Journal(Path(sys.argv[1]))
writer = JournalWriter(journal)
number = journal.last_seq
print("open", number, flush=True)
while True:
    number += 1
    stored = Event()
    writer.submit(b"%d " % number * (number % 97), lambda error: error or stored.set())
    if number % 60 == 0:
        work = lambda upto=number: journal.compact({"upto": b"%d" % upto}, upto)
        writer.run(work, lambda result, error: None)
    if not stored.wait(10):
        sys.exit("not stored")
    print(number, flush=True)
"""


def record(number: int) -> bytes:
    return b"%d " % number * (number % 97)


def test_kill_9_at_any_moment_loses_nothing_that_was_acked(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    dice = random.Random(5)
    acked = compacted = 0
    for _ in range(20):
        child = subprocess.Popen([sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline().startswith("open")
        time.sleep(dice.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        lines = child.stdout.read().split("\n")[:-1]
        child.stdout.close()
        child.wait()
        acked = max([acked, *map(int, lines)])
        loaded = judged(path)
        compacted = int(loaded.snapshots.get("upto", b"0"))
        assert loaded.records == [
            record(number) for number in range(compacted + 1, compacted + len(loaded.records) + 1)
        ]
        assert compacted + len(loaded.records) in (acked, acked + 1), "at most one was on its way"
        acked = compacted + len(loaded.records)
        assert loaded == opened(path) if dice.random() < 0.5 else True
    assert acked > 100
    assert compacted > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "noggd-test", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def take_all_room(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def append_until_full(journal: Journal) -> list[bytes]:
    kept: list[bytes] = []
    while len(kept) < 100_000:
        data = b"%d" % len(kept) * 3000
        try:
            journal.append(data)
        except StorageFailed:
            return kept
        kept.append(data)
    pytest.fail("the disk never became full")


@pytest.mark.root
class TestFullDisk:
    def test_it_refuses_keeps_what_it_acked_and_recovers(self, small_disk: Path) -> None:
        path = small_disk / "journal.db"
        journal = Journal(path)
        filler = take_all_room(small_disk)
        kept = append_until_full(journal)
        assert kept, "the log was grown beforehand, so some fit"
        for _ in range(3):
            with pytest.raises(StorageFailed):
                journal.append(b"x" * 50_000)
        assert journal.load().records == kept
        filler.unlink()
        assert journal.append(b"again") == len(kept) + 1
        journal.compact({"all": b"small"}, journal.last_seq - 1)
        assert wal_path(path).stat().st_size == GROWN
        journal.close()
        assert opened(path) == ({"all": b"small"}, [b"again"], {})

    def test_a_killed_process_on_a_full_disk_loses_nothing(self, small_disk: Path, tmp_path: Path) -> None:
        path = small_disk / "journal.db"
        with closing(Journal(path)) as journal:
            take_all_room(small_disk)
            kept = append_until_full(journal)
            left = tmp_path / "left"
            left.mkdir()
            for file in (path, wal_path(path)):
                shutil.copy(file, left / file.name)
        assert opened(left / path.name).records == kept

    def test_it_opens_and_reads_on_a_full_disk(self, small_disk: Path) -> None:
        path = small_disk / "journal.db"
        with closing(Journal(path)) as journal:
            journal.append(b"kept")
        filler = take_all_room(small_disk)
        journal = Journal(path)
        assert journal.load().records == [b"kept"]
        with pytest.raises(StorageFailed):
            journal.append(b"x")
        filler.unlink()
        assert journal.append(b"y") == 2
        journal.close()
        assert opened(path).records == [b"kept", b"y"]

    def test_it_may_be_closed_on_a_full_disk(self, small_disk: Path) -> None:
        path = small_disk / "journal.db"
        journal = Journal(path)
        take_all_room(small_disk)
        kept = append_until_full(journal)
        journal.close()
        assert opened(path).records == kept

    def test_a_compaction_without_room_fails_and_works_later(self, small_disk: Path) -> None:
        path = small_disk / "journal.db"
        with closing(Journal(path)) as journal:
            journal.append(b"one")
            filler = take_all_room(small_disk)
            with pytest.raises(StorageFailed):
                journal.compact({"large": os.urandom(8_000_000)}, 1)
            assert journal.load() == ({}, [b"one"], {})
            filler.unlink()
            journal.compact({"small": b"s"}, 1)
        assert opened(path) == ({"small": b"s"}, [], {})
