import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nogg.methods import METHODS
from nogg.paths import Paths
from noggd.core import open_core
from noggd.platform import checks
from noggd.platform.clock import now_ms
from noggd.platform.config import Settings
from noggd.platform.files import InstanceLock
from noggd.services.health import Facts, Health
from noggd.storage.journal import Journal


class Seat:
    """A daemon's facts, some of which a test may bend."""

    def __init__(self, health: Health, peers: list[dict[str, Any]], stopped: list[bool], state: Path) -> None:
        self.health = health
        self.peers = peers
        self.stopped = stopped
        self.state = state

    async def check(self, name: str) -> dict[str, Any]:
        (found,) = [check for check in await self.health.doctor() if check["name"] == name]
        assert (found["fix"] is None) == found["ok"], "what is to be mended says how, and nothing else does"
        return found


@pytest.fixture
async def seat(tmp_path: Path) -> AsyncIterator[Seat]:
    peers: list[dict[str, Any]] = []
    stopped: list[bool] = []
    os.chmod(tmp_path, 0o700)  # noqa: PTH101 - nothing else runs here, it may block
    journal = Journal(tmp_path / "store.db")
    with InstanceLock(tmp_path) as lock:
        async with open_core(journal, "DEVICE", None, now_ms) as core:
            facts = Facts(
                core=core,
                journal=journal,
                lock=lock,
                places=Paths(tmp_path / "s", tmp_path, tmp_path / "config.toml", tmp_path / "log"),
                settings=Settings,
                socket=tmp_path / "s",
                peers=lambda: peers,
                connections=lambda: 3,
                subscriptions=lambda: 2,
                stop=lambda: stopped.append(True),
            )
            yield Seat(Health(facts), peers, stopped, tmp_path)
    journal.close()


async def test_the_status_is_what_was_declared(seat: Seat) -> None:
    seat.peers += [
        {"device": "A", "name": "a", "state": "online"},
        {"device": "B", "name": "", "state": "offline"},
    ]
    status = seat.health.status()
    METHODS["daemon.status"].check_result(status)
    assert status["pid"] == os.getpid()
    counts = status["counts"]
    assert (counts["peers"], counts["peers_online"], counts["connections"], counts["subscriptions"]) == (
        2,
        1,
        3,
        2,
    )
    assert status["sizes"]["store"] > 0
    assert status["sizes"]["resident"] > 1 << 20
    assert status["health"] == {"ok": True, "problems": []}
    assert status["places"]["state"] == str(seat.state)
    assert {"setting": "discovery", "value": True, "origin": "default"} in status["settings"]


async def test_a_disk_that_is_nearly_full_is_a_problem(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    assert seat.health.status()["health"]["ok"] is False
    assert "5 MiB are free" in seat.health.line()
    assert (await seat.check("disk space"))["ok"] is False


async def test_a_state_folder_that_others_can_read_is_named(seat: Seat) -> None:
    assert (await seat.check("state folder"))["ok"] is True
    seat.state.chmod(0o755)
    found = await seat.check("state folder")
    assert found["ok"] is False
    assert "0755" in found["message"]


async def test_a_socket_that_is_gone_is_named(seat: Seat) -> None:
    assert (await seat.check("socket"))["ok"] is False


@pytest.mark.parametrize(("seconds", "ok"), [(1e-6, False), (1e-3, True), (2.0, False)])
async def test_a_disk_that_lies_or_drags_is_named(
    seat: Seat, monkeypatch: pytest.MonkeyPatch, seconds: float, ok: bool
) -> None:
    monkeypatch.setattr(checks, "sync_time", lambda _: seconds)
    assert (await seat.check("disk sync"))["ok"] is ok


async def test_a_store_is_read_through(seat: Seat) -> None:
    assert (await seat.check("store"))["ok"] is True
    store = seat.state / "store.db"
    with store.open("r+b") as file:  # in place, under the daemon's hands
        for page in range(1, store.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(bytes(4096))
    assert (await seat.check("store"))["ok"] is False


async def test_a_lock_that_was_removed_is_named(seat: Seat) -> None:
    assert (await seat.check("lock"))["ok"] is True
    (seat.state / "lock").unlink()
    assert (await seat.check("lock"))["ok"] is False
    (seat.state / "lock").touch()
    assert (await seat.check("lock"))["ok"] is False, "another file under its name is no lock of ours"


async def test_a_file_that_others_can_read_is_named(seat: Seat) -> None:
    (seat.state / "device.pem").touch(mode=0o600)
    assert (await seat.check("state files"))["ok"] is True
    (seat.state / "device.pem").chmod(0o640)
    assert "device.pem" in (await seat.check("state files"))["message"]


ONLINE = {"device": "B", "name": "phone", "state": "online", "address": "10.0.0.7:7734"}


@pytest.mark.parametrize(
    ("row", "ok", "words"),
    [
        ({}, True, "connected at 10.0.0.7:7734"),
        (
            {"state": "offline", "fault": "10.0.0.7:7734: refused"},
            False,
            "not connected: 10.0.0.7:7734: refused",
        ),
        ({"state": "offline", "address": None}, False, "no address of it is known"),
        ({"held_back": True, "clock_ahead_ms": 700_000}, False, "700 s ahead of that of phone: changes"),
        ({"clock_ahead_ms": -700_000}, False, "the clock of phone is 700 s ahead"),
        ({"clock_ahead_ms": -2_000}, True, "connected"),
    ],
)
async def test_each_device_has_its_reason(seat: Seat, row: dict[str, Any], ok: bool, words: str) -> None:
    seat.peers.append(ONLINE | row)
    found = await seat.check("device phone")
    assert found["ok"] is ok
    assert words in found["message"]


async def test_a_device_alone_is_well(seat: Seat) -> None:
    assert (await seat.check("devices"))["ok"] is True


async def test_metrics_are_numbers_with_a_meaning(seat: Seat) -> None:
    for name, (kind, meaning, value) in seat.health.metrics().items():
        assert name.startswith("nogg_")
        assert kind in ("counter", "gauge")
        assert meaning.endswith("."), name
        assert value >= 0


async def test_stopping_is_passed_on(seat: Seat) -> None:
    seat.health.stop()
    assert seat.stopped == [True]
