"""Devices that find each other without being told an address, and one that keeps silent."""

from __future__ import annotations

import pytest

from nogg.errors import PairingFailed
from tests.daemons import until
from tests.network.conftest import Host, Lab

pytestmark = pytest.mark.root
DNS_SD = (5353).to_bytes(2, "big")
UDP_PORT_TO = slice(36, 38)
"""Where an IPv4 frame says to which port it goes."""


def linked(*hosts: Host) -> bool:
    return all(
        [peer["state"] for peer in host.call("sync.status")["peers"]] == ["online"] * (len(hosts) - 1)
        for host in hosts
    )


def ids(host: Host) -> set[str]:
    return {each["microcosmID"] for each in host.call("session.get")["microcosms"]}


@pytest.mark.parametrize(
    "place", ["10.77.0.{}/24", "fd77::{}/64", "fe80::{}/64"], ids=["IPv4", "IPv6", "link-local"]
)
def test_a_code_finds_its_window_and_devices_find_each_other_after_they_moved(lab: Lab, place: str) -> None:
    a, b = lab.host("a", place.format(1)), lab.host("b", place.format(2))
    a.launch()
    b.start()
    a.wait_until_ready()
    code = a.call("pair.invite")["code"]
    joined = b.call("pair.join", code=code)
    assert joined["device"]["id"] == a.call("hello")["device"]["id"]
    until(lambda: linked(a, b), "linked")

    a.move(place.format(101))  # both, so that no address that they remember is of any use
    b.move(place.format(102))
    b.call("reference.register", microcosmID="moved")
    until(lambda: ids(a) == {"moved"}, "it at the other one's new address")
    until(lambda: linked(a, b), "linked")
    where = b.call("sync.status")["peers"][0]["address"]
    assert place.format(101).split("/")[0] in where


def multicasts(lab: Lab) -> int:
    return sum(frame[12:14] == b"\x08\x00" for _, frame in lab.switch.multicasts)


def test_without_discovery_nothing_is_said_to_all(lab: Lab) -> None:
    """IPv4 only, for over IPv6 the kernel itself multicasts; the other device shows that the count can grow."""
    quiet = lab.host("quiet", "10.77.0.1/24", flags=("--no-discovery", "--listen", "0.0.0.0:7734"))
    other = lab.host("other", "10.77.0.2/24", flags=("--no-discovery", "--listen", "0.0.0.0:7734"))
    quiet.start()
    other.start()
    code = quiet.call("pair.invite")["code"]
    with pytest.raises(PairingFailed, match="not found"):
        other.call("pair.join", code=code)
    other.call("pair.join", code=code, address="10.77.0.1:7734")
    until(lambda: linked(quiet, other), "linked")
    assert multicasts(lab) == 0
    assert "zeroconf" not in quiet.words()
    quiet.stop()
    assert multicasts(lab) == 0

    other.stop()
    other.flags = ("--listen", "0.0.0.0:7734")
    other.start()
    until(lambda: multicasts(lab) > 0, "an announcement of the other one")
    assert any(frame[UDP_PORT_TO] == DNS_SD for _, frame in lab.switch.multicasts)


def test_an_announcement_names_nobody(lab: Lab) -> None:
    a, b = lab.host("a", "10.77.0.1/24"), lab.host("b", "10.77.0.2/24")
    a.start()
    b.start()
    b.call("pair.join", code=a.call("pair.invite")["code"])
    until(lambda: linked(a, b), "linked")
    until(lambda: any(b"t=" in frame for _, frame in lab.switch.multicasts), "the members' announcements")
    told = b"".join(frame for _, frame in lab.switch.multicasts).lower()
    for host in (a, b):
        hello, identity = host.call("hello"), host.call("identity.get")
        device = hello["device"]["id"].lower()
        for secret in (*device.split("-"), hello["device"]["name"].lower(), identity["identityID"].lower()):
            if len(secret) > 4:
                assert secret.encode() not in told
