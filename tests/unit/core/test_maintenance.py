"""What the writer does by and by must also happen when the process ends in between."""

import asyncio
import shutil
from pathlib import Path

import pytest

from noggd.core import maintenance
from tests.unit.core.test_writer import NOW, Seat, seat_in

SECRET = "open sesame 4711"


def holds_it(folder: Path) -> bool:
    return any(SECRET.encode() in path.read_bytes() for path in folder.iterdir() if path.is_file())


async def forget(seat: Seat) -> None:
    await seat.register("m.1", password=SECRET)
    await seat.start(lambda session: session.forget(NOW, "m.1"))


async def until_gone(folder: Path) -> None:
    async with asyncio.timeout(20):
        while holds_it(folder):  # noqa: ASYNC110 (the journal's thread tells nobody)
            await asyncio.sleep(0)


async def test_a_secret_that_went_before_a_crash_leaves_the_disk_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, live = tmp_path / "left", tmp_path / "live"
    live.mkdir()
    async with seat_in(live) as seat:
        await forget(seat)
        shutil.copytree(live, left)  # what a crash leaves
    assert holds_it(left)
    monkeypatch.setattr(maintenance, "SECRET_DELAY", 0.01)
    async with seat_in(left):
        await until_gone(left)


async def test_a_stop_leaves_no_secret_on_the_disk_that_went(tmp_path: Path) -> None:
    async with seat_in(tmp_path) as seat:
        await forget(seat)
        assert holds_it(tmp_path)
    assert not holds_it(tmp_path)
    async with seat_in(tmp_path) as seat:
        assert seat.core.view("default").revision == 2, "and nothing else was lost"


async def test_without_a_secret_a_stop_or_a_start_compacts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "SECRET_DELAY", 0.0)
    async with seat_in(tmp_path) as seat:
        await seat.register("m.1", password=SECRET)
    async with seat_in(tmp_path) as seat:
        await seat.register("m.2")
        assert len(seat.journal.load().records) == 2


async def test_a_stop_leaves_the_next_start_few_records_and_everything_that_was_said(tmp_path: Path) -> None:
    names = [f"m.{number}" for number in range(1000)]
    async with seat_in(tmp_path) as seat:
        for name in names:
            await seat.register(name, view="a view that takes a few bytes " * 4)
        assert len(seat.journal.load().records) == len(names)
        before = seat.core.view("default")
    async with seat_in(tmp_path) as seat:
        assert len(seat.journal.load().records) <= 1
        after = seat.core.view("default")
        assert after.revision == before.revision
        assert [each.json() for each in after.ordered()] == [each.json() for each in before.ordered()]
        await seat.register("m.1000")
        await seat.register("m.1001")
    async with seat_in(tmp_path) as seat:
        assert seat.core.view("default").revision == before.revision + 2
