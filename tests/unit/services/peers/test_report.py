"""What `sync.status` says is wrong with a device or the way to it, and what to do about that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from noggd.services.peers import link, links
from noggd.services.peers.hello import VERSION
from noggd.services.peers.link import OTHER_VERSION
from noggd.services.peers.report import _clocks
from tests.unit.services.devices import Device, devices, paired, until

HOUR = 3_600_000


def row(device: Device) -> dict[str, Any]:
    (found,) = device.peers.status()["peers"]
    return dict(found)


async def told(device: Device, fault: str, fix: str) -> None:
    """Wait until the one row says this, and see what to do about it."""
    await until(lambda: fault in row(device).get("fault", ""))
    assert fix in row(device)["fix"]


async def test_a_device_that_is_fine_has_no_fault(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        assert not {"fault", "fix"} & row(a).keys()


async def test_an_address_that_does_not_answer(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        await told(a, f"{b.address}: connection refused", "start the daemon there")
        await b.start()
        await until(lambda: "fault" not in row(a))


async def test_a_device_that_does_not_trust_us(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        await a.peers.evict(b.trust.device)
        await a.stop()
        await b.start()
        await until(lambda: a.address in row(b).get("fault", ""))
        await a.start()
        await told(b, "it does not trust this device any more", "nogg device leave")


async def test_clocks_that_are_apart(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        b.skew = 3 * HOUR
        await told(b, "the clock here is 3 h ahead", "set the clock of this device")
        await told(a, "its clock is 3 h ahead", "set the clock of that device")
        b.skew = 0
        await until(lambda: "fault" not in row(a) and "fault" not in row(b))


async def test_a_version_that_is_too_new(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        links = b.peers._links
        links.greeting = _of_version(links.greeting, VERSION + 1)  # type: ignore[method-assign] # another release
        links.chosen()[0].abort("test")
        await until(
            lambda: any(link.hello and link.hello.protocol > VERSION for link in a.peers._links.chosen())
        )
        links.chosen()[0].end(OTHER_VERSION, "what that release would say to this one")
        await told(a, "it speaks a newer version of the protocol", "update noggd on this device")


async def test_a_version_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To whom speaks the next version, hellos of this one are old."""
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        for module in (link, links):
            monkeypatch.setattr(module, "VERSION", VERSION + 1)
        a.peers._links.chosen()[0].abort("test")
        await told(a, "it speaks an older version of the protocol", "update noggd on that device")


def _of_version(greeting: Any, version: int) -> Any:
    return lambda *arguments, **named: replace(greeting(*arguments, **named), protocol=version)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(601_000, "10 min"), (3 * HOUR, "3 h"), (-47 * HOUR, "47 h"), (365 * 24 * HOUR, "365 days")],
)
def test_how_far_clocks_are_apart_is_said_in_words(ahead: int, words: str) -> None:
    found = _clocks(ahead)
    assert found is not None
    assert f"{words} ahead" in found[0]
    assert _clocks(ahead // abs(ahead) * 60_000) is None
