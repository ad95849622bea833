"""Which addresses this machine has, and when they change. Nothing here opens a connection."""

from __future__ import annotations

import ipaddress


def local_addresses() -> list[str]:
    """Return the addresses under which other machines may reach this one, IPv4 first, loopback left out.

    Link-local IPv6 addresses are left out too: they need a zone that only the other side knows.
    """
    usable = [a for a in _addresses() if a.version == 4 or not a.is_link_local]
    return [str(a) for a in sorted(usable, key=lambda a: (a.version, a.is_link_local, int(a)))]


def link_local_addresses() -> list[str]:
    """Return the link-local IPv6 addresses, for those who hear of them on the same network and so know the zone."""
    return sorted(str(a) for a in _addresses() if a.version == 6 and a.is_link_local)


def _addresses() -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    import ifaddr  # takes 10 ms, and a daemon bound to one address never needs it

    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            address = ipaddress.ip_address(entry.ip if isinstance(entry.ip, str) else entry.ip[0])
            if not (address.is_loopback or address.is_unspecified or address.is_multicast):
                found.add(address)
    return found
