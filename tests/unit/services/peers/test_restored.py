"""A device that was restored from a backup, or copied, is noticed and does not diverge."""

import shutil
from pathlib import Path

import pytest

from tests.unit.services.devices import Device, devices, paired, until


def copy(device: Device, to: Path) -> None:
    shutil.copytree(device.directory, to)


def fault(device: Device) -> str:
    (row,) = device.peers.status()["peers"]
    return str(row.get("fault"))


def restore(device: Device, copied: Path) -> None:
    shutil.rmtree(device.directory)
    shutil.copytree(copied, device.directory)


def visible(device: Device) -> list[tuple[str, str | None, str | None]]:
    return [(r.microcosm_id, r.password, r.view) for r in device.core.view("default").ordered()]


@pytest.mark.parametrize("written_since", [0, 1, 12], ids=["nothing", "less", "more than was lost"])
async def test_a_restored_device_is_noticed_and_loses_nothing(tmp_path: Path, written_since: int) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.register("before.backup", password="one")
        await a.peers.wait("default", a.core.view("default").revision, "all", 10)
        await until(lambda: a.has() == {"before.backup"})
        await b.stop()
        copy(b, tmp_path / "backup")
        await b.start()
        for number in range(4):
            await b.register(f"forgotten.{number}", password="two")
        await until(lambda: len(a.has()) == 5)
        epoch = b.core.epoch
        await b.stop()
        restore(b, tmp_path / "backup")
        await b.start() if not written_since else await start_away(b)
        for number in range(written_since):
            await b.register(f"since.{number}", view="new")
        if written_since:
            await b.restart()
        await until(lambda: a.linked(b) and visible(a) == visible(b) and len(a.has()) == 5 + written_since)
        assert b.core.epoch != epoch
        await b.register("after.all")
        await a.register("after.too")
        await until(lambda: visible(a) == visible(b) and len(a.has()) == 7 + written_since)
        await b.restart()
        await until(lambda: a.linked(b))
        assert visible(a) == visible(b)


async def start_away(device: Device) -> None:
    """Start a device that reaches nobody."""
    from unittest.mock import patch

    with (
        patch("noggd.services.peers.dialling.NEW_MEMBER", 3600),
        patch("noggd.services.peers.dialling.POLITE", 3600),
    ):
        await device.start()
    device.peers._dialler._closed = True
    device.peers._dialler.update()
    device.peers.listener.door.shut()


async def test_of_two_copies_the_second_is_refused(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        copy(b, tmp_path / "clone")
        (tmp_path / "clone" / "lock").unlink(missing_ok=True)
        clone = Device("clone", tmp_path / "clone", "127.0.0.1:0")
        try:
            await clone.start()
            clone.peers.dial()
            await until(lambda: clone.peers._links._all or clone.linked(a))
            await b.register("of.the.first")
            await until(lambda: a.has() == {"of.the.first"})
            await until(lambda: not clone.linked(a))
            await until(lambda: "the same key" in fault(clone))
            assert "the same key" not in fault(b)
            assert clone.has() == set()
            assert a.linked(b)
        finally:
            await clone.stop()
