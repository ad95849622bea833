"""What is told to the local network, and what members and strangers can read in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noggd.services.discovery.announcement import (
    DAY_MS,
    Announcement,
    announce,
    interfaces,
    read,
    recognise,
    tag,
)

GROUP, OTHER_GROUP = "a" * 52, "b" * 52
DEVICES = ["DEVICE-A", "DEVICE-B", "DEVICE-C"]
TODAY = 20_000


def test_the_tag_of_a_day_is_as_documented() -> None:
    assert DAY_MS == 24 * 60 * 60 * 1000
    assert tag("group", "DEVICE", 20_000) == VECTOR


VECTOR = "1cc23ec9f63cfe8bdb3be0c12cb5e650"


def test_members_recognise_each_other_also_across_midnight() -> None:
    for device in DEVICES:
        for day in (TODAY - 1, TODAY, TODAY + 1):
            assert recognise(tag(GROUP, device, day), GROUP, DEVICES, TODAY) == device


def test_nobody_else_is_recognised() -> None:
    assert recognise(None, GROUP, DEVICES, TODAY) is None
    assert recognise("0" * 32, GROUP, DEVICES, TODAY) is None
    assert recognise(tag(OTHER_GROUP, "DEVICE-A", TODAY), GROUP, DEVICES, TODAY) is None
    assert recognise(tag(GROUP, "DEVICE-D", TODAY), GROUP, DEVICES, TODAY) is None
    for day in (TODAY - 2, TODAY + 2):
        assert recognise(tag(GROUP, "DEVICE-A", day), GROUP, DEVICES, TODAY) is None, "replayed later"


def test_no_two_days_devices_or_groups_look_alike() -> None:
    seen = {
        tag(group, device, day) for group in (GROUP, OTHER_GROUP) for device in DEVICES for day in range(50)
    }
    assert len(seen) == 2 * len(DEVICES) * 50


def test_there_may_be_nothing_to_announce() -> None:
    assert announce(["192.0.2.1:7734"], None, None) is None
    assert announce([], "0" * 32, 17) is None
    assert announce(["somewhere.example:7734"], "0" * 32, 17) is None


def test_one_announcement_has_one_port_and_numbers_for_addresses() -> None:
    addresses = ["192.0.2.1:7734", "[2001:db8::1]:7734", "somewhere.example:7734", "192.0.2.1:9999"]
    assert announce(addresses, None, 17) == Announcement(7734, ("192.0.2.1", "2001:db8::1"), None, 17)
    assert announce(["localhost:7734"], None, 17) == Announcement(7734, ("127.0.0.1",), None, 17)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([], ("127.0.0.1",)),
        (["127.0.0.1:7734", "[::1]:7734", "localhost:7734"], ("127.0.0.1",)),
        (["192.0.2.1:7734", "[2001:db8::1]:7734"], ("127.0.0.1", "192.0.2.1", "2001:db8::1")),
    ],
)
def test_who_listens_on_loopback_alone_says_nothing_on_any_network(
    addresses: list[str], expected: tuple[str, ...]
) -> None:
    assert interfaces(addresses) == expected


@pytest.mark.parametrize(("seen_tag", "number"), [("0f" * 16, None), (None, 999), ("0f" * 16, 1)])
def test_what_is_announced_can_be_read(seen_tag: str | None, number: int | None) -> None:
    announced = announce(["192.0.2.1:7734", "[fe80::1]:7734"], seen_tag, number)
    assert announced is not None
    properties: dict[bytes, bytes | None] = {k.encode(): v.encode() for k, v in announced.properties.items()}
    sighting = read(announced.hosts, announced.port, properties)
    assert sighting is not None
    assert sighting == (("192.0.2.1:7734", "[fe80::1]:7734"), seen_tag, number)


@pytest.mark.parametrize(
    ("hosts", "port", "properties"),
    [
        (["192.0.2.1"], 7734, {}),
        (["192.0.2.1"], 7734, {b"v": b"2"}),
        (["192.0.2.1"], 7734, {b"v": None}),
        (["192.0.2.1"], None, {b"v": b"1"}),
        (["192.0.2.1"], 0, {b"v": b"1"}),
        ([], 7734, {b"v": b"1"}),
        (["0.0.0.0", "::", "224.0.0.251", "ff02::fb", "name"], 7734, {b"v": b"1"}),
    ],
)
def test_what_leads_nowhere_is_left(
    hosts: list[str], port: int | None, properties: dict[bytes, bytes]
) -> None:
    assert read(hosts, port, dict(properties)) is None


def test_a_long_list_of_addresses_is_cut() -> None:
    sighting = read([f"192.0.2.{n}" for n in range(1, 100)], 7734, {b"v": b"1"})
    assert sighting is not None
    assert len(sighting.addresses) == 8


@given(st.dictionaries(st.sampled_from([b"t", b"n", b"x"]), st.none() | st.binary(max_size=40)))
def test_strange_properties_are_left(properties: dict[bytes, bytes | None]) -> None:
    sighting = read(["192.0.2.1"], 7734, {**properties, b"v": b"1"})
    assert sighting is not None
    assert sighting.tag is None or (len(sighting.tag) == 32 and int(sighting.tag, 16) >= 0)
    assert sighting.number is None or 0 < sighting.number <= 999
