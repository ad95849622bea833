"""When a device announces itself and listens, and who is told of what it hears; without any network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from noggd.services.discovery import service
from noggd.services.discovery.announcement import DAY_MS, Announcement, Sighting, tag
from noggd.services.discovery.service import Discovery, Surroundings
from tests.unit.services.devices import until

MEMBER = "MEMBER"
WHERE = "192.0.2.1:7734"


class Group:
    id = "group"


class FakeTrust:
    """As much of trust as discovery reads."""

    device = "OWN"
    group = Group()

    def __init__(self, *others: str) -> None:
        self.others: dict[str, object] = dict.fromkeys(others)


class FakeRadio:
    """Multicast that is not: what is announced is kept, what is heard is put in by the test."""

    opened: list[FakeRadio]
    broken = False

    def __init__(self, heard: Callable[[], None]) -> None:
        self.sightings: dict[str, Sighting] = {}
        self.heard = heard
        self.announcement: Announcement | None = None
        self.interfaces: Sequence[str] = ()
        self.on = False

    async def open(self, announcement: Announcement | None, interfaces: Sequence[str]) -> None:
        if FakeRadio.broken:
            raise OSError("no such device")
        self.announcement, self.interfaces, self.on = announcement, interfaces, True
        FakeRadio.opened.append(self)

    async def close(self) -> None:
        self.on = False


class House:
    """Discovery and its surroundings."""

    def __init__(self, *others: str) -> None:
        FakeRadio.opened, FakeRadio.broken = [], False
        self.trust = FakeTrust(*others)
        self.addresses = [WHERE]
        self.number: int | None = None
        self.now = 20_000 * DAY_MS
        self.found: list[tuple[str, Sequence[str]]] = []
        trust: Any = self.trust
        radio: Any = FakeRadio
        self.discovery = Discovery(trust, lambda: self.now, radio)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        def found(device: str, addresses: Sequence[str]) -> None:
            self.found.append((device, addresses))

        around = Surroundings(lambda: self.addresses, lambda: self.number, found)
        async with self.discovery.running(around):
            await settled()
            yield self

    @property
    def radio(self) -> FakeRadio | None:
        on = [radio for radio in FakeRadio.opened if radio.on]
        assert len(on) <= 1, "two announcements at once"
        return on[0] if on else None

    def hear(self, name: str, sighting: Sighting) -> None:
        assert self.radio is not None
        self.radio.sightings[name] = sighting
        self.radio.heard()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def announced(house: House) -> Announcement:
    assert house.radio is not None
    assert house.radio.announcement is not None
    return house.radio.announcement


async def test_who_is_alone_is_silent() -> None:
    async with House().running() as house:
        assert house.radio is None


async def test_a_window_is_announced_while_it_is_open_and_names_nobody() -> None:
    async with House().running() as house:
        house.number = 17
        house.discovery.renew()
        await settled()
        assert announced(house) == Announcement(7734, ("192.0.2.1",), None, 17)
        house.number = None
        house.discovery.renew()
        await settled()
        assert house.radio is None


async def test_members_announce_their_tag_and_hear_of_each_other() -> None:
    async with House(MEMBER).running() as house:
        assert announced(house).tag == tag("group", "OWN", 20_000)
        house.hear("stranger", Sighting(("192.0.2.8:7734",), "0" * 32, None))
        house.hear("member", Sighting(("192.0.2.9:7734",), tag("group", MEMBER, 20_000), None))
        assert house.found == [(MEMBER, ("192.0.2.9:7734",))]


async def test_who_was_heard_before_it_became_a_member_is_found_then() -> None:
    async with House("ANOTHER").running() as house:
        house.hear("member", Sighting(("192.0.2.9:7734",), tag("group", MEMBER, 20_000), None))
        assert house.found == []
        house.trust.others[MEMBER] = None
        house.discovery.renew()
        assert house.found == [(MEMBER, ("192.0.2.9:7734",))]


async def test_nothing_is_said_anew_unless_it_has_changed() -> None:
    async with House(MEMBER).running() as house:
        before = house.radio
        house.discovery.renew()
        await settled()
        assert house.radio is before
        house.addresses = ["192.0.2.2:7734", "[2001:db8::2]:7734"]
        house.discovery.renew()
        await settled()
        assert announced(house).hosts == ("192.0.2.2", "2001:db8::2")
        assert house.radio is not None
        assert house.radio.interfaces == ("127.0.0.1", "192.0.2.2", "2001:db8::2")
        house.now += DAY_MS
        house.discovery.renew()
        await settled()
        assert announced(house).tag == tag("group", "OWN", 20_001)
    assert house.radio is None, "silent at the end"


async def test_the_next_day_begins_by_itself() -> None:
    house = House(MEMBER)
    house.now += DAY_MS - 20  # a few milliseconds before midnight
    async with house.running():
        first = announced(house).tag
        house.now += 20
        await until(lambda: house.radio is not None and announced(house).tag != first)


async def test_a_machine_that_cannot_multicast_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "RETRY", 0.01)
    house = House(MEMBER)
    FakeRadio.broken = True
    async with house.running():
        assert house.radio is None
        assert "cannot look for devices on the local network: no such device" in caplog.text
        FakeRadio.broken = False
        await until(lambda: house.radio is not None)


async def test_a_window_is_located(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOCATE_MORE", 0.0)
    async with House().running() as house:
        locating = asyncio.create_task(house.discovery.locate(17))
        await settled()
        assert house.radio is not None
        assert house.radio.announcement is None, "it listens and says nothing of itself"
        house.hear("other", Sighting(("192.0.2.8:7734",), None, 18))
        house.hear("window", Sighting(("192.0.2.9:7734", "[2001:db8::9]:7734"), None, 17))
        assert await locating == [["192.0.2.9:7734", "[2001:db8::9]:7734"]]
        await settled()
        assert house.radio is None, "silent afterwards"


async def test_two_that_claim_one_number_are_both_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOCATE_MORE", 0.05)
    async with House().running() as house:
        locating = asyncio.create_task(house.discovery.locate(17))
        await settled()
        house.hear("window", Sighting(("192.0.2.9:7734",), None, 17))
        await settled()
        house.hear("liar", Sighting(("192.0.2.66:7734",), None, 17))
        house.hear("the window under its former name", Sighting(("192.0.2.9:7734",), None, 17))
        assert await locating == [["192.0.2.9:7734"], ["192.0.2.66:7734"]]


async def test_a_window_that_is_not_there_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOCATE", 0.01)
    async with House().running() as house:
        assert await house.discovery.locate(17) == []
        await settled()
        assert house.radio is None
