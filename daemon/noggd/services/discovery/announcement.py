"""What a device tells the local network, and what its friends read in it. Pure: no network, no clock.

Members find each other by a tag that only members can make, another one each day, so that a stranger who sees it
cannot tell whose device it is, nor that it is the one of yesterday or of another network. Beside it stand a port,
addresses, and while a pairing window is open the public number of its code. Not here: sending and hearing it
(`.radio`).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from noggd.domain.addresses import MAX_ADDRESSES, Address, parse_address
from noggd.domain.codes import NUMBER_MAX

SERVICE: Final = "_nogg._tcp.local."
"""The DNS-SD type under which devices announce themselves."""
VERSION: Final = "1"
DAY_MS: Final = 86_400_000
"""Milliseconds of a day; days begin at midnight UTC."""
TAG_BYTES: Final = 16
LOOPBACK: Final = "127.0.0.1"

_LABEL: Final = b"nogg-discovery-1"


class Announcement(NamedTuple):
    """What is announced: addresses, all with this port; our tag if anybody may look for us; a code's number."""

    port: int
    hosts: tuple[str, ...]
    tag: str | None
    number: int | None

    @property
    def properties(self) -> dict[str, str]:
        """Return the TXT record."""
        told = {"v": VERSION, "t": self.tag, "n": None if self.number is None else str(self.number)}
        return {key: value for key, value in told.items() if value is not None}


class Sighting(NamedTuple):
    """What somebody on the network announces; nothing of it is proved."""

    addresses: tuple[str, ...]
    tag: str | None
    number: int | None


def tag(group: str, device: str, day: int) -> str:
    """Return by what a device is known to the members of its group on a day (days since 1970, UTC)."""
    message = b"\0".join([_LABEL, str(day).encode("ascii"), device.encode("ascii")])
    return hmac.digest(group.encode("ascii"), message, "sha256")[:TAG_BYTES].hex()


def recognise(seen: str | None, group: str, devices: Iterable[str], day: int) -> str | None:
    """Return which of these devices has this tag; clocks may differ by a day."""
    if seen is None:
        return None
    near = (day, day - 1, day + 1)
    return next((d for d in devices if any(hmac.compare_digest(tag(group, d, n), seen) for n in near)), None)


def announce(addresses: Iterable[str], tag: str | None, number: int | None) -> Announcement | None:
    """Return what to announce for HOST:PORT addresses; None if there is nothing to say or nowhere to be reached.

    One announcement has one port: that of the first address. Names are left out, for DNS-SD wants numbers.
    """
    parsed = [_numeric(parse_address(address, default_port=None)) for address in addresses]
    usable = [address for address in parsed if address is not None]
    if not usable or (tag is None and number is None):
        return None
    port = usable[0].port
    hosts = dict.fromkeys(address.host for address in usable if address.port == port)
    return Announcement(port, tuple(hosts), tag, number)


def interfaces(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return where to multicast: by the addresses at which we can be reached, and always within the machine.

    So who listens on the loopback interface alone says nothing on any network.
    """
    parsed = [_numeric(parse_address(address, default_port=None)) for address in addresses]
    hosts = [address.host for address in parsed if address is not None and not address.loopback]
    return tuple(dict.fromkeys([LOOPBACK, *hosts]))


def read(hosts: Iterable[str], port: int | None, properties: Mapping[bytes, bytes | None]) -> Sighting | None:
    """Read what was heard; None if nobody can be reached by it or it is another version's."""
    told = {key: (value or b"").decode("ascii", "replace") for key, value in properties.items()}
    if told.get(b"v") != VERSION or not port:
        return None
    seen_tag, number = told.get(b"t", ""), told.get(b"n", "")
    addresses = tuple(str(Address(host, port)) for host in hosts if _dialable(host))[:MAX_ADDRESSES]
    if not addresses:
        return None
    return Sighting(
        addresses,
        seen_tag if re.fullmatch(f"[0-9a-f]{{{2 * TAG_BYTES}}}", seen_tag) else None,
        int(number) if re.fullmatch(r"[1-9][0-9]{0,2}", number) and int(number) <= NUMBER_MAX else None,
    )


def _numeric(address: Address) -> Address | None:
    if address.loopback and ":" not in address.host:
        return address if address.host[0].isdigit() else Address(LOOPBACK, address.port)
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        return None
    return address


def _dialable(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast)
