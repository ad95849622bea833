"""A device that goes on under another id keeps what it wrote under the former one."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import StorageFailed
from noggd.core.asking import ask
from tests.unit.core.test_writer import HERE, NOW, Seat, seat_in


async def filled(seat: Seat) -> None:
    await seat.register("m.1", view="map", password="old")
    await seat.start(lambda session: session.update(NOW, "m.1", {"password": "new"}))
    await seat.register("m.2")
    await seat.start(lambda session: session.remove(NOW, "m.2"))
    await seat.start(lambda session: session.set_active(NOW, "m.1"))
    await ask(lambda r: seat.core.change_person(lambda p: p.set_username(NOW, "anna"), r, HERE))
    await ask(lambda r: seat.core.change_person(lambda p: p.rename_device(NOW, "laptop"), r, HERE))


def become(seat: Seat) -> Awaitable[Any]:
    return ask(lambda reply: seat.core.become("dB", frozenset({"dB"}), reply))


def visible(seat: Seat) -> Any:
    view = seat.core.view("default")
    return (
        [(r.microcosm_id, r.last_accessed, r.password, r.view) for r in view.ordered()],
        view.active,
        seat.core.username,
        seat.core.sessions,
    )


async def test_everything_visible_stays(tmp_path: Path) -> None:
    async with seat_in(tmp_path) as seat:
        await filled(seat)
        before = visible(seat)
        await become(seat)
        assert seat.core.device == "dB"
        assert visible(seat) == before
        assert seat.core.device_names["dB"] == "laptop"
        assert seat.core.everywhere("default") == {"dB": "m.1"}
        restored = await seat.start(lambda session: session.restore(NOW, "m.2"))
        assert restored.microcosm_id == "m.2"
        await seat.register("m.3")
        after = visible(seat)
    (tmp_path / "dA.db").rename(tmp_path / "dB.db")
    async with seat_in(tmp_path, "dB") as again:
        assert visible(again) == after


async def test_what_the_disk_refuses_leaves_the_former_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with seat_in(tmp_path) as seat:
        await filled(seat)
        before = visible(seat)

        def full(*_: object) -> Callable[..., None]:
            raise StorageFailed(retryable=True)

        with monkeypatch.context() as broken:
            broken.setattr(seat.journal, "append", full)
            with pytest.raises(StorageFailed):
                await become(seat)
        assert seat.core.device == "dA"
        assert visible(seat) == before
        await seat.register("m.3")
        assert seat.core.view("default").references.keys() == {"m.1", "m.3"}
        await become(seat)
        assert seat.core.device == "dB"
        assert seat.core.view("default").references.keys() == {"m.1", "m.3"}


async def test_becoming_another_one_twice_keeps_everything(tmp_path: Path) -> None:
    async with seat_in(tmp_path) as seat:
        await filled(seat)
        before = visible(seat)
        for device in ("dB", "dC"):
            await ask(lambda reply, d=device: seat.core.become(d, frozenset({d}), reply))  # type: ignore[misc] # bound
            assert visible(seat) == before
