"""The checks of `daemon.doctor` that look at parts of the running daemon: lock, store, socket, links.

Those that look at the machine are in `noggd.platform.checks`. Nothing here repairs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from noggd.platform.checks import Check, check
from noggd.platform.files import InstanceLock
from noggd.storage.journal import Journal, StoreBroken

CLOCKS_APART = 600
"""Seconds that two clocks may be apart (contract, section 4)."""


def lock(held: InstanceLock) -> Check:
    """Check that our lock still keeps a second daemon away."""
    there = held.in_place
    return check(
        "lock",
        there,
        f"this process holds {held.path}"
        if there
        else f"{held.path} was removed: a second daemon could start",
        "restart the daemon (nogg daemon restart), and see what removes the file",
    )


def store(journal: Journal) -> Check:
    """Read the store through."""
    try:
        journal.examine()
    except StoreBroken as error:
        return check("store", False, str(error), error.hint or "restore it from a backup")
    return check("store", True, f"{journal.path} is whole, {journal.size() >> 10} KiB", "")


def socket(path: Path | None) -> Check:
    """Check that apps find us; None: systemd holds the socket."""
    if path is None:
        return check("socket", True, "the socket was passed by systemd", "")
    there = path.is_socket()
    return check(
        "socket",
        there,
        f"apps connect at {path}" if there else f"{path} is gone: apps cannot find the daemon",
        "restart the daemon (nogg daemon restart), and see what removes the file",
    )


def peers(rows: Iterable[Mapping[str, Any]]) -> Iterator[Check]:
    """Check the link to each paired device, by the rows of `sync.status`."""
    count = 0
    for count, peer in enumerate(rows, start=1):  # noqa: B007 - it counts
        yield _peer_check(peer)
    if not count:
        yield check("devices", True, "no other device is paired", "")


def _peer_check(peer: Mapping[str, Any]) -> Check:
    who = peer["name"] or peer["device"]
    name = f"device {who}"
    if peer["state"] != "online":
        fault = peer.get("fault") or (
            "no address of it is known" if not peer.get("address") else "not reached"
        )
        fix = "start the daemon there; where it runs, see that nothing between the two blocks its port"
        return check(name, False, f"{who} is not connected: {fault}", peer.get("fix") or fix)
    ahead = round((peer.get("clock_ahead_ms") or 0) / 1000)
    if peer.get("held_back"):
        message = f"this device's clock is {ahead} s ahead of that of {who}: changes from here are held back"
        return check(name, False, message, "set the clock of this device (timedatectl set-ntp true)")
    if -ahead > CLOCKS_APART:
        message = f"the clock of {who} is {-ahead} s ahead of this device's: its changes may be held back"
        return check(name, False, message, "set the clock of that device, or of this one")
    if peer.get("fault"):
        return check(name, False, f"{who}: {peer['fault']}", peer.get("fix") or "")
    return check(name, True, f"{who} is connected at {peer.get('address') or 'an unknown address'}", "")
