"""The person's document: their name, the names of their devices, which sessions exist.

Who is a member is not here (see `membership`): a document can be written by whoever is in it.
"""

from __future__ import annotations

from collections.abc import Callable

from noggd.domain.document import Document
from noggd.domain.entries import Field, Flag, adopted_key
from noggd.domain.hlc import HybridClock
from noggd.domain.maps import DeviceMaps

PERSON = "person"
"""Name of the person's document on the wire and in the journal."""


class Person:
    """What all sessions of a person share."""

    def __init__(
        self, device: str, clock: HybridClock, document: Document, members: frozenset[str] | None = None
    ) -> None:
        self.clock = clock
        self.maps = DeviceMaps(device, clock, document, members)

    @property
    def username(self) -> str | None:
        """The person's name; the latest write wins."""
        newest = self.maps.newest("u")
        return newest[1].value if newest and isinstance(newest[1], Field) else None

    def set_username(self, now: int, username: str | None) -> None:
        """Name the person; None or "" clears. An act even when it is the same name."""
        self.maps.put("u", Field(self.clock.tick(now), username or None))

    def device_names(self) -> dict[str, str]:
        """Return the names that devices gave themselves."""
        return {
            device: entry.value
            for device, entry in self.maps.each("n")
            if isinstance(entry, Field) and entry.value
        }

    def rename_device(self, now: int, name: str) -> None:
        """Name this device."""
        self.maps.put("n", Field(self.clock.tick(now), name))

    def sessions(self) -> set[str]:
        """Return the names of the sessions that exist."""
        names = {key[2:] for _, map_ in self.maps.sources for key in map_ if key.startswith("s/")}
        return {name for name in names if self.has_session(name)}

    def has_session(self, name: str) -> bool:
        """Tell whether a session exists: it was made, and not dropped since."""
        newest = self.maps.newest("s/" + name)
        return newest is not None and isinstance(newest[1], Flag) and newest[1].on

    def note_session(self, now: int, name: str, exists: bool) -> None:
        """Note that a session was made or dropped."""
        if self.has_session(name) != exists:
            self.maps.put("s/" + name, Flag(self.clock.tick(now), exists))

    def perform(self, operation: Callable[[], object]) -> object:
        """Run an operation whole or not at all."""
        self.maps.begin()
        try:
            return operation()
        except BaseException:
            self.maps.rollback()
            raise

    def merge(self, update: bytes) -> set[str]:
        """Apply a peer's update; return the keys that changed. Raises what `Document.apply` raises."""
        return self.maps.merge(update)

    def adopt(self, device: str) -> None:
        """Keep what a device that leaves had written last: the person's name, sessions."""
        for key, entry in list(self.maps.entries.get(device, {}).items()):
            author, inner = adopted_key(key) or (device, key)
            newest = self.maps.newest(inner)
            if _is_shared(inner) and newest is not None and newest == (author, entry):
                self.maps.put(f"x/{author}/{inner}", entry)

    def prepare_to_join(self, keep_username: bool) -> None:
        """Let go of the name that this device gave the person where the group has one, and of dropped sessions."""
        if not keep_username:
            for key in [key for key in self.maps.own if key == "u" or key.endswith("/u")]:
                self.maps.put(key, None)
        listed = {key: (adopted_key(key) or ("", key))[1] for key in self.maps.own}
        dropped = [
            key for key, inner in listed.items() if inner[:2] == "s/" and not self.has_session(inner[2:])
        ]
        for key in dropped:
            self.maps.put(key, None)


def _is_shared(key: str) -> bool:
    """Tell what outlives its author (the person's name, sessions) from what is a device's own."""
    return key == "u" or key.startswith("s/")
