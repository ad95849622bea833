"""What is done with what zeroconf tells; the network itself is in `tests/network`."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from zeroconf import NotRunningException

from noggd.services.discovery.radio import MAX_SIGHTINGS, Radio, _is_news
from tests.unit.services.devices import until


class Change:
    def __init__(self, name: str) -> None:
        self.name = name


class Info:
    """Stands for zeroconf's lookup; names with "slow" in them are never answered."""

    properties: ClassVar = {b"v": b"1", b"n": b"17"}
    port = 7734
    answers_after = 0
    asked: ClassVar[dict[str, int]] = {}

    def __init__(self, _service: str, name: str) -> None:
        self.name = name

    async def async_request(self, _zeroconf: object, _timeout: int) -> bool:
        if "slow" in self.name:
            await asyncio.Event().wait()
        self.asked[self.name] = self.asked.get(self.name, 0) + 1
        return self.asked[self.name] > Info.answers_after

    def parsed_scoped_addresses(self, _version: object) -> list[str]:
        return ["192.0.2.9"] if self.asked[self.name] > Info.answers_after else []


class Zeroconf:
    zeroconf = None

    async def async_close(self) -> None:
        pass


@pytest.fixture
def radio(monkeypatch: pytest.MonkeyPatch) -> Radio:
    monkeypatch.setattr("zeroconf.asyncio.AsyncServiceInfo", Info)
    monkeypatch.setattr(Info, "asked", {})
    made = Radio(lambda: None)
    stand_in: Any = Zeroconf()
    made._zeroconf = stand_in
    return made


def notice(radio: Radio, name: str, change: str = "Added") -> None:
    radio._noticed(object(), "type", name, Change(change))


async def test_who_comes_and_goes_is_known(radio: Radio) -> None:
    changes: list[int] = []
    radio._heard = lambda: changes.append(len(radio.sightings))
    notice(radio, "a")
    await until(lambda: "a" in radio.sightings)
    assert radio.sightings["a"] == (("192.0.2.9:7734",), None, 17)
    notice(radio, "a", "Updated")
    await until(lambda: not radio._asking)
    notice(radio, "a", "Removed")
    notice(radio, "a", "Removed")
    assert changes == [1, 0]
    await radio.close()


async def test_the_own_announcement_is_not_heard(radio: Radio) -> None:
    radio._own = "own"
    notice(radio, "own")
    assert not radio._asking


async def test_a_lost_answer_is_asked_for_again(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Info, "answers_after", 2)
    notice(radio, "a")
    await until(lambda: "a" in radio.sightings)
    monkeypatch.setattr(Info, "answers_after", 99)
    notice(radio, "b")
    await until(lambda: not radio._asking)
    assert "b" not in radio.sightings
    await radio.close()


async def test_a_flood_costs_bounded_memory_and_ends_with_us(radio: Radio) -> None:
    for number in range(10 * MAX_SIGHTINGS):
        notice(radio, f"slow {number}")
    assert len(radio._asking) == MAX_SIGHTINGS
    await radio.close()
    assert not radio._asking


def test_that_a_network_has_gone_is_no_news() -> None:
    logger = logging.getLogger("zeroconf")

    def record(error: BaseException | None) -> logging.LogRecord:
        exc_info = (type(error), error, None) if error else None
        return logger.makeRecord("zeroconf", logging.WARNING, "f", 1, "m", (), exc_info)

    assert not _is_news(record(OSError(101, "Network is unreachable")))
    assert _is_news(record(ValueError("something else")))
    assert _is_news(record(None))
    assert _is_news in logger.filters


def test_a_daemon_loads_nothing_of_multicast_until_it_begins() -> None:
    code = "import sys, noggd.app; assert not {'zeroconf', 'ifaddr'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_what_the_library_raises_is_said_as_a_machine_without_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_options: object) -> None:
        raise NotRunningException

    monkeypatch.setattr("zeroconf.asyncio.AsyncZeroconf", fail)
    with pytest.raises(OSError, match="NotRunning"):
        await Radio(lambda: None).open(None, ["127.0.0.1"])
