"""The strict check of a foreign Yjs update before yrs sees it.

yrs trusts its input: 54 KB overflow its stack, 77 bytes poison a document for ever, and an update that runs
ahead of a gap loses data silently. The guard admits only what can be applied at once, whole, on what we have,
and only what documents of our shape contain. It keeps clocks and the ids of nested maps, and no document.
Not here: reading the bytes (:mod:`noggd.domain.update`), and what the values mean.

yrs stops half-way through an update with a struct inside something that is no map, and a member could nest
maps until a recursion overflows. Hence the rule of tops, held by induction: a *top* (a map in a root, or its
remains) stands directly in a root or in place of another top; values stand inside tops only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

from nogg.errors import ProtocolError
from noggd.domain.lib0 import UNREADABLE
from noggd.domain.update import (
    INSIDE,
    MAP,
    MAP_AFTER,
    MAX_CLOCK,
    TOMB,
    VALUE_AFTER,
    Event,
    Section,
    as_malformed,
    decode_state_vector,
    delete_set,
    encode_state_vector,
    read_deletes,
    read_structs,
)

__all__ = [
    "MAX_UPDATE",
    "Checked",
    "Guard",
    "Incomplete",
    "OwnClient",
    "Rejected",
    "decode_state_vector",
    "delete_set",
    "encode_state_vector",
]

MAX_UPDATE: Final = 16 * 1024 * 1024
"""Bytes in one update."""

MAX_WRITERS: Final = 1024
"""Clients of one document that peers may bring in: far fewer than a state vector may name, which grows for ever."""


class Rejected(ProtocolError):
    """Hostile or malformed: must never reach yrs."""


class OwnClient(Rejected):
    """Names clocks of our own client id that we never wrote: forged, or we were restored from an old copy."""


class Incomplete(Exception):
    """Well formed, but runs ahead of what we have: ask the sender for a state-vector sync."""


class Checked:
    """A lawful update, as what accepting it adds to the guard."""

    __slots__ = ("clocks", "maps", "share", "tombs")

    def __init__(self) -> None:
        self.share = 0.0
        """How much of the update is new: its share of the clocks."""
        self.clocks: dict[int, int] = {}
        """The new clock of each client whose structs we lack; empty when there are at most deletes."""
        self.maps: set[tuple[int, int]] = set()
        """Ids of new top maps."""
        self.tombs: dict[int, list[tuple[int, int]]] = {}
        """Ranges of clocks, by client, that are remains of top maps."""


class Guard:
    """What one document has, as far as it takes to judge the next update."""

    def __init__(self, own_client: int, roots: frozenset[str]) -> None:
        """Start with an empty document that `own_client` writes and whose root maps are named `roots`."""
        self.own_client = own_client
        self.vector: dict[int, int] = {}
        self._roots = frozenset(root.encode() for root in roots)
        self._maps: set[tuple[int, int]] = set()
        self._tombs: dict[int, list[tuple[int, int]]] = {}

    def check(self, update: bytes) -> Checked:
        """Judge a peer's update without changing the guard; raise :class:`Rejected` or :class:`Incomplete`.

        What passes can be applied at once and whole to the document of which `vector` is the state vector.
        """
        return self._check(update, self.own_client)

    def accept(self, checked: Checked) -> None:
        """Remember an update that was just applied. Nothing may have been accepted since it was checked."""
        self.vector.update(checked.clocks)
        self._maps |= checked.maps
        for client, ranges in checked.tombs.items():
            self._tombs.setdefault(client, []).extend(ranges)

    def own_write(self, update: bytes) -> None:
        """Take in what a transaction of our own emitted.

        Our writes obey the same rules. :class:`Rejected` here is a bug of ours, found before a peer sees it.
        """
        self.accept(self._check(update, None))

    def own_values(self, count: int) -> None:
        """Take in that we wrote so many plain values into a map of our own: nothing there needs a check."""
        if count:
            self.vector[self.own_client] = self.vector.get(self.own_client, 0) + count

    def newest_map(self, client: int) -> int | None:
        """Return the clock at which a client last made a map of its own; None if it has none here."""
        return max((clock for owner, clock in self._maps if owner == client), default=None)

    def own_map(self, count: int) -> None:
        """Take in that we replaced our map by one with so many plain values: a tomb is left of the old one."""
        own, clock = self.own_client, self.vector.get(self.own_client, 0)
        old = {each for each in self._maps if each[0] == own}
        self._maps = (self._maps - old) | {(own, clock)}
        tombs = self._tombs.setdefault(own, [])
        tombs += [(at, at + 1) for _, at in old]
        tombs.sort()
        self.vector[own] = clock + 1 + count

    def judged(self) -> list[Any]:
        """Return what the guard knows as plain JSON values, for `restore`."""
        return [sorted(self.vector.items()), sorted(self._maps), sorted(self._tombs.items())]

    def restore(self, judged: list[Any]) -> None:
        """Start over from what was kept of a guard: cheaper than judging again what was judged before.

        Raises ProtocolError where that is not what `judged` gave.
        """
        try:
            vector, maps, tombs = judged
            self.vector = {int(client): int(clock) for client, clock in vector}
            self._maps = {(int(client), int(clock)) for client, clock in maps}
            self._tombs = {
                int(client): [(int(start), int(end)) for start, end in ranges] for client, ranges in tombs
            }
        except (ValueError, TypeError) as error:
            raise ProtocolError("what is kept of a document cannot be read") from error

    def load(self, state: bytes) -> None:
        """Start over from the whole state of our own document; our own client id may stand in it."""
        self.vector = {}
        self._maps = set()
        self._tombs = {}
        self.accept(self._check(state, None))

    def _check(self, update: bytes, own: int | None) -> Checked:
        if own is not None and len(update) > MAX_UPDATE:  # what is ours must be read, whatever its size
            raise Rejected("update too large")
        try:
            sections, pos = read_structs(update, self._roots, foreign=own is not None)
            ends = _ends(read_deletes(update, pos), own is not None)
        except UNREADABLE as error:
            raise Rejected(str(as_malformed(error))) from None
        checked = Checked()
        vector = self.vector
        new = every = 0
        for client, section in sections.items():
            have = vector.get(client, 0)
            every += section.end - section.first
            if section.end > have:
                new += section.end - max(have, section.first)
                checked.clocks[client] = section.end
                if client == own:
                    raise OwnClient("writes under our own client id")
            if section.first > have:
                raise Incomplete("structs are missing")
        if new:
            checked.share = new / every
        if own is not None and len(vector.keys() | checked.clocks.keys()) > MAX_WRITERS:
            raise Rejected("more clients than a group has")
        self._walk(sections, checked, own)
        for client, end in ends.items():
            if end > vector.get(client, 0) and end > checked.clocks.get(client, 0):
                raise _beyond(client, own)
        return checked

    def _walk(self, sections: dict[int, Section], checked: Checked, own: int | None) -> None:
        """Judge the events in the order of integration, each when all that it depends on is in place."""
        for first in sections.values():
            stack = [(first, first.end)]
            while stack:
                section, until = stack[-1]
                missing = self._advance(section, until, sections, checked)
                if missing is None:
                    section.waits = False
                    stack.pop()
                    continue
                client, clock = missing
                other = sections.get(client)
                if other is None or clock >= other.end:
                    raise _beyond(client, own)
                if other.waits:
                    raise Rejected("structs wait for each other")
                section.waits = True
                stack.append((other, clock + 1))

    def _advance(
        self, section: Section, until: int, sections: dict[int, Section], checked: Checked
    ) -> tuple[int, int] | None:
        """Judge the events of a client before clock `until`; return the (client, clock) to wait for."""
        events = section.events
        vector = self.vector
        position = section.position
        while position < len(events):
            event = events[position]
            clock, on, at = event[1], event[3], event[4]
            if clock >= until:
                section.done = clock
                section.position = position
                return None
            if on != section.client and at >= vector.get(on, 0):
                other = sections.get(on)
                if other is None or at >= other.done:
                    section.done = clock
                    section.position = position
                    return on, at
            self._judge(event, section.client, checked)
            position += 1
        section.position = position
        section.done = section.end
        return None

    def _judge(self, event: Event, client: int, checked: Checked) -> None:
        """Apply the rule of tops to one event; remember it when it is a new top itself."""
        kind, clock, length, on, at = event
        if kind == VALUE_AFTER:
            if (on, at) in self._maps or self._is_top(on, at, checked):
                raise Rejected("plain value in a root")
            return
        if kind == INSIDE:
            if (on, at) not in self._maps and not self._is_top(on, at, checked):
                raise Rejected("struct inside something that is no map")
            return
        end = clock + length
        have = self.vector.get(client, 0)
        if end <= have:
            return
        if kind == MAP:
            checked.maps.add((client, clock))
        elif kind == TOMB:
            checked.tombs.setdefault(client, []).append((max(clock, have), end))
        elif (on, at) in self._maps or self._is_top(on, at, checked):
            if kind == MAP_AFTER:
                checked.maps.add((client, clock))
            else:
                checked.tombs.setdefault(client, []).append((max(clock, have), end))
        elif kind == MAP_AFTER:
            raise Rejected("map inside a nested map")

    def _is_top(self, client: int, clock: int, checked: Checked) -> bool:
        """Tell whether a struct is a top of this update, or a known tomb."""
        if (client, clock) in checked.maps:
            return True
        for tombs in (self._tombs, checked.tombs):
            ranges = tombs.get(client)
            if ranges:
                index = bisect_right(ranges, (clock, MAX_CLOCK)) - 1
                if index >= 0 and clock < ranges[index][1]:
                    return True
        return False


def _ends(deletes: Iterable[tuple[int, int, int]], foreign: bool) -> dict[int, int]:
    """Return the clock behind all that is deleted, by client. Nobody else may name it twice, to keep us busy."""
    ends: dict[int, int] = {}
    covered: dict[int, int] = {}
    for client, start, end in deletes:
        length = covered[client] = covered.get(client, 0) + end - start
        if end > ends.get(client, 0):
            ends[client] = end
        if foreign and length > ends[client]:
            raise Rejected("deleted twice")
    return ends


def _beyond(client: int, own: int | None) -> Exception:
    """Name what is wrong with an update that refers to something that neither it nor we have."""
    if client == own:
        return OwnClient("refers to structs of ours that we never wrote")
    return Incomplete("refers to structs that are missing")
