"""What is told about the devices: the rows of `device.list` and `sync.status`, and what to do after an eviction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from noggd.core import Core
from noggd.domain.update import decode_state_vector
from noggd.services.peers.dialling import REFUSED
from noggd.services.peers.link import MAX_AHEAD
from noggd.services.peers.links import Links
from noggd.storage.trust import Trust

PAIR_ANEW: Final = "it was evicted, or set up anew: nogg device leave, and pair it again"
START_IT: Final = "start the daemon there; where it runs, see that nothing between the two blocks its port"
SET_OURS: Final = "set the clock of this device (timedatectl set-ntp true)"
SET_THEIRS: Final = "set the clock of that device (timedatectl set-ntp true)"

Json = dict[str, Any]


class Report:
    """Reads the answers together from trust, links and core."""

    def __init__(
        self, core: Core, trust: Trust, links: Links, faults: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self._faults = {} if faults is None else faults
        self._core = core
        self._trust = trust
        self._links = links

    def devices(self, addresses: list[str]) -> list[Json]:
        """Return the rows of `device.list`: this device first, then the others by name, evicted ones last."""
        trust = self._trust
        active = self._core.everywhere("default")
        own = self._device(trust.device, active)
        own["self"] = True
        own["state"] = "evicted" if trust.removed else "online"
        own["address"] = addresses[0] if addresses else None
        members = [self._device(d, active) for d in trust.group.members if d != trust.device]
        evicted = [self._device(d, active) for d in trust.group.evicted if d != trust.device]
        for row in evicted:
            row["state"] = "evicted"
        return [own, *sorted(members, key=_by_name), *sorted(evicted, key=_by_name)]

    def _device(self, device: str, active: Mapping[str, str | None]) -> Json:
        peer = self._trust.peers.get(device)
        return {
            "id": device,
            "name": self._name(device),
            "self": False,
            "state": "offline" if self._links.of(device) is None else "online",
            "address": self._address(device),
            "last_seen": self._core.now() if self._links.of(device) else peer.last_seen if peer else None,
            "active": active.get(device),
        }

    def _name(self, device: str) -> str:
        return self._core.device_names.get(device) or self._trust.name_of(device)

    def _address(self, device: str) -> str | None:
        link, peer = self._links.of(device), self._trust.peers.get(device)
        if link is not None and link.dialled:
            return link.address
        return peer.addresses[0] if peer is not None and peer.addresses else None

    def peers(self) -> list[Json]:
        """Return the rows of `sync.status`, one for each other member.

        `held_back` and `clock_ahead_ms` say how this device's clock stands to the peer's. `fault` says what is
        wrong with a device or the way to it, `fix` what to do about that.
        """
        rows = []
        for device in self._trust.group.members:
            if device == self._trust.device:
                continue
            link = self._links.of(device)
            row: Json = {
                "device": device,
                "name": self._name(device),
                "state": "offline" if link is None else "online",
                "address": self._address(device),
                "rtt_ms": None if link is None else link.rtt_ms,
                "last_sync": self._links.known.last_sync(device, link),
                "behind": self._behind(device),
            }
            if link is not None:
                row["held_back"] = link.held_back
                row["clock_ahead_ms"] = link.ahead
            found = self._links.conduct.fault(device) or (
                self._unreached(device) if link is None else _clocks(link.ahead)
            )
            if found is not None:
                row["fault"], row["fix"] = found[0], found[1].replace("NAME", self._name(device) or device)
            rows.append(row)
        return sorted(rows, key=_by_name)

    def _unreached(self, device: str) -> tuple[str, str] | None:
        """Return why a device was not reached when it was last tried, and what to do about it."""
        faults = self._faults.get(device)
        if not faults:
            return None
        told = "; ".join(f"{address}: {fault}" for address, fault in faults.items())
        return told, PAIR_ANEW if REFUSED in faults.values() else START_IT

    def _behind(self, device: str) -> int | None:
        """Count the changes that a device is not known to have stored; None if nothing is known of it."""
        behind, known = 0, False
        for document in self._core.documents():
            has = self._links.known.stored_by(device, document, self._links.of(device))
            known = known or bool(has)
            here = decode_state_vector(self._core.vector(document))
            behind += sum(max(0, clock - has.get(client, 0)) for client, clock in here.items())
        return behind if known else None

    def passwords(self) -> list[Json]:
        """Return the references that have a password: what an evicted device knows."""
        return [
            {"session": name, "microcosmID": reference.microcosm_id}
            for name, view in sorted(self._core.views.items())
            for reference in view.ordered()
            if reference.password is not None
        ]


def _clocks(ahead: int) -> tuple[str, str] | None:
    """Return what is wrong with the clocks of a linked device and of this one, and what to do about it."""
    if ahead > MAX_AHEAD:
        return f"the clock here is {_span(ahead)} ahead of its own: changes made here are held back", SET_OURS
    if ahead < -MAX_AHEAD:
        return f"its clock is {_span(-ahead)} ahead: changes made there are held back", SET_THEIRS
    return None


def _span(milliseconds: int) -> str:
    """Return a duration in the largest unit of which there are at least two."""
    for unit, length in (("days", 86_400_000), ("h", 3_600_000)):
        if milliseconds >= 2 * length:
            return f"{round(milliseconds / length)} {unit}"
    return f"{round(milliseconds / 60_000)} min"


def _by_name(row: Json) -> tuple[str, str]:
    return row["name"], row.get("id") or row["device"]
