"""Where a device can be reached: texts of the form HOST:PORT, with IPv6 in brackets.

Addresses come from people, from peers and from the network, so they are checked here before anything dials
them. Not here: name resolution, and which addresses this machine has (`noggd.platform.network`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

DEFAULT_PORT: Final = 7734
MAX_ADDRESS: Final = 255
"""Characters of an address."""
MAX_ADDRESSES: Final = 8
"""Addresses that are kept, told or tried for one device."""

_NAME: Final = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)
_ZONE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class Address(NamedTuple):
    """A host (name, IPv4, or IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether it only leads to this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower().rstrip(".") == "localhost"

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every address of this machine, so that nobody can dial it."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False


def parse_address(text: str, default_port: int | None = DEFAULT_PORT) -> Address:
    """Read HOST:PORT or [IPV6]:PORT; without a port `default_port` holds. Raises ValueError with a reason."""
    text = text.strip()
    if len(text) > MAX_ADDRESS:
        raise ValueError("the address is too long")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address is written [ADDRESS]:PORT")
        port_text = rest[1:] if rest else None
    elif text.count(":") > 1:
        host, port_text = text, None  # an IPv6 address without brackets has no port
    else:
        host, colon, port_text_or_empty = text.partition(":")
        port_text = port_text_or_empty if colon else None
    return Address(_host(host), _port(port_text, default_port))


def _host(host: str) -> str:
    if ":" in host:
        plain, percent, zone = host.partition("%")
        try:
            ipaddress.IPv6Address(plain)
        except ValueError:
            raise ValueError("not an IPv6 address") from None
        if percent and not _ZONE.fullmatch(zone):
            raise ValueError("not the zone of an IPv6 address")
        return host
    if not _NAME.fullmatch(host):
        raise ValueError("an address is HOST:PORT")
    return host


def _port(text: str | None, default: int | None) -> int:
    if text is None:
        if default is None:
            raise ValueError("the address needs a port: HOST:PORT")
        return default
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return int(text)


def valid_addresses(values: object) -> tuple[str, ...]:
    """Return the addresses among `values` that somebody else's message gave, in canonical form, at most 8."""
    found: dict[str, None] = {}
    for value in values if isinstance(values, list) else ():
        if not isinstance(value, str) or len(found) == MAX_ADDRESSES:
            continue
        try:
            found[str(parse_address(value, default_port=None))] = None
        except ValueError:
            continue
    return tuple(found)


def merge_addresses(*groups: Iterable[str]) -> tuple[str, ...]:
    """Join lists of addresses, the first ones preferred, without doubles, at most 8."""
    return tuple(dict.fromkeys(address for group in groups for address in group))[:MAX_ADDRESSES]
