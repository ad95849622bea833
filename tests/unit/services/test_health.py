import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nogg.methods import METHODS
from noggd.core import open_core
from noggd.platform.clock import now_ms
from noggd.services import health as health_module
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
    async with open_core(journal, "DEVICE", None, now_ms) as core:
        facts = Facts(
            core=core,
            journal=journal,
            state=tmp_path,
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
    monkeypatch.setattr(health_module, "sync_time", lambda _: seconds)
    assert (await seat.check("disk sync"))["ok"] is ok


async def test_a_real_disk_takes_time(tmp_path: Path) -> None:
    assert 0 < health_module.sync_time(tmp_path) < 60


async def test_devices_that_are_away_are_named(seat: Seat) -> None:
    assert (await seat.check("devices"))["ok"] is True
    seat.peers.append({"device": "B", "name": "phone", "state": "offline"})
    found = await seat.check("devices")
    assert (found["ok"], found["message"]) == (False, "not connected: phone")


async def test_metrics_are_numbers_with_a_meaning(seat: Seat) -> None:
    for name, (kind, meaning, value) in seat.health.metrics().items():
        assert name.startswith("nogg_")
        assert kind in ("counter", "gauge")
        assert meaning.endswith(".")
        assert value >= 0


async def test_stopping_is_passed_on(seat: Seat) -> None:
    seat.health.stop()
    assert seat.stopped == [True]
