"""Short forms of the cuts of the power (`python -m tests.fault.cuts` tries all moments), and that they would tell.

Each test that takes a sync away shows that the sync is needed, and that its absence would be noticed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.cuts import Recording, cut, recorded
from tests.fault.lives import LIVES
from tests.fault.powercut import SECTOR, Call, Disk, can_record, read_calls

pytestmark = pytest.mark.fault

HERE = Path("/state")
SHARES = {"writing": 0.02, "trusting": 0.12, "migrating": 0.4, "reinstalling": 0.3}
"""Of the moments of a life that are tried here."""

Record = Callable[[str], Recording]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    if not can_record():
        pytest.skip("recording needs strace, and the right to trace")
    made: dict[str, Recording] = {}

    def once(life: str) -> Recording:
        if life not in made:
            made[life] = recorded(life, tmp_path_factory.mktemp(life) / "state", 1)
        return made[life]

    return once


@pytest.mark.parametrize("life", LIVES)
def test_a_cut_at_any_moment_loses_nothing_that_was_answered(record: Record, life: str) -> None:
    outcome = cut(record(life), 1, several=1, share=SHARES[life])
    assert outcome.wrong == []
    assert outcome.tried > 20


@pytest.mark.parametrize(
    ("life", "forgets"),
    [
        ("writing", "file state/session.db-wal"),
        ("writing", "file state/session.db$"),
        ("trusting", r"file state/\.trust\.json"),
        ("trusting", r"file state/\.device-new"),
        ("trusting", "names state"),
        ("migrating", r"file state/\.session\.db\."),
        ("migrating", "names state"),
        ("reinstalling", "names state"),
    ],
)
def test_without_a_sync_something_is_lost(record: Record, life: str, forgets: str) -> None:
    outcome = cut(record(life), 1, several=1, most=1, forgets=forgets)
    assert outcome.wrong, f"{outcome.tried} states and no loss without the sync of {forgets}"


# The model itself


def disk(*calls: Call) -> Disk:
    made = Disk(HERE, {"old": b"o" * 600})
    for call in calls:
        made.do(call)
    return made


def left(of: Disk) -> list[dict[str, bytes]]:
    return list(of.crashes(random.Random(1), 200))


def write(name: str, data: bytes, at: int = 0, began: int = 0) -> Call:
    return Call("write", HERE / name, data, at, began=began)


def sync(name: str = "", began: int = 99) -> Call:
    return Call("sync", HERE / name, began=began)


def test_what_was_synced_is_there() -> None:
    made = disk(write("old", b"n" * 600), sync("old"))
    assert all(each == {"old": b"n" * 600} for each in left(made))


def test_of_the_rest_any_sector_may_be_there() -> None:
    found = {each["old"] for each in left(disk(write("old", b"n" * 600)))}
    whole, rest = SECTOR, 600 - SECTOR
    assert found == {first * whole + second * rest for first in (b"o", b"n") for second in (b"o", b"n")}


def test_a_file_may_grow_without_its_data() -> None:
    found = {each["old"] for each in left(disk(write("old", b"n" * 10, 600)))}
    assert found == {b"o" * 600, b"o" * 600 + bytes(10), b"o" * 600 + b"n" * 10}


def test_what_was_cut_off_does_not_stand_beside_what_came_after() -> None:
    made = disk(Call("cut", HERE / "old", at=0), write("old", b"new"))
    assert {each["old"] for each in left(made)} <= {b"o" * 600, b"", b"new", bytes(3)}


def test_a_new_name_counts_once_its_folder_is_synced() -> None:
    calls = [
        Call("make", HERE / "new"),
        write("new", b"n"),
        sync("new"),
        Call("move", HERE / "new", to=HERE / "old"),
    ]
    assert {each["old"] for each in left(disk(*calls))} == {b"o" * 600, b"n"}
    assert all(each == {"old": b"n"} for each in left(disk(*calls, sync())))


def test_a_write_that_ended_after_a_sync_began_is_not_covered_by_it() -> None:
    made = disk(write("old", b"1"), write("old", b"2", 1), sync("old", began=1))
    assert {each["old"][:2] for each in left(made)} == {b"1o", b"12"}


def test_the_log_of_calls_is_read() -> None:
    name = "".join(f"\\x{byte:02x}" for byte in b"/state/a")
    folder = "".join(f"\\x{byte:02x}" for byte in b"/state")
    lines = [
        f'7 openat(AT_FDCWD<\\x2f>, "{name}", O_RDWR|O_CREAT, 0600) = 5<{name}>',
        f'7 write(5<{name}>, "\\x41\\x42", 2) = 2',
        f'7 write(5<{name}>, "\\x43", 1 <unfinished ...>',
        f"8 fsync(5<{name}>) = 0",
        "7 <... write resumed>) = 1",
        f'7 pwrite64(5<{name}>, "\\x44", 1, 9) = -1 ENOSPC (No space left on device)',
        f'7 write(1<{folder}>, "\\x7b\\x7d", 2) = 2',
        "7 +++ exited with 0 +++",
    ]
    found = list(read_calls(lines, HERE))
    assert [(call.kind, call.data, call.at, call.began) for call in found] == [
        ("make", b"", -1, 0),
        ("write", b"AB", 0, 1),
        ("sync", b"", 0, 2),
        ("write", b"C", 2, 2),
        ("say", b"{}", 0, 4),
    ]
