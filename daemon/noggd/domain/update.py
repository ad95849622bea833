"""The wire form of Yjs updates (version 1) and state vectors, read strictly, knowing no document.

Only what our documents can contain is readable: root maps that hold maps that hold plain values. Whatever
depends on another struct is noted as an *event*, for the guard to judge in order of integration.
Not here: whether an update fits what we have, and what the values mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from noggd.domain.lib0 import (
    MAX_SAFE_INTEGER,
    UNREADABLE,
    Malformed,
    encode_varint,
    utf8,
    value,
    varint,
    varint_tail,
)

MAX_KEY: Final = 400
"""Bytes in a map key: a two-letter prefix and an id of 255 characters, with room for later versions."""
MAX_CLIENTS: Final = 4096
"""Clients in one update or state vector. A device has one; a new one only after a restore from backup."""
MAX_CROWD: Final = 10_000
"""Structs of an update that may stand where another one of it stands: yrs takes quadratic time for them. Devices
see what is there and write behind it, so they make none, and a few where two wrote at once."""
CROWD_BYTES: Final = 32 * 1024
"""Size from which on an update is searched for such: a smaller one holds too few to matter."""
MAX_CLOCK: Final = (1 << 31) - 1
"""The largest clock; yrs counts in 32 bits."""

_ORIGIN: Final = 0x80
_RIGHT_ORIGIN: Final = 0x40
_KEYED: Final = 0x20
_GC: Final = 0
_DELETED: Final = 1
_TYPE: Final = 7
_ANY: Final = 8
_KINDS: Final = 0x1F
_MAP_TYPE: Final = 1

MAP: Final = 0
"""Event: a map set in a root, the first under its key."""
TOMB: Final = 1
"""Event: the remains of such a map."""
MAP_AFTER: Final = 2
"""Event: a map in place of the struct that it depends on."""
TOMB_AFTER: Final = 3
"""Event: a deleted struct that had been set in place of another."""
VALUE_AFTER: Final = 4
"""Event: a value in place of another."""
INSIDE: Final = 5
"""Event: a value, or the remains of one, inside the map that it depends on; told once for a run of them."""

Event = tuple[int, int, int, int, int]
"""Kind, clock, length, and the (client, clock) of what must be in place before; clock -1 = nothing."""


class Section:
    """The structs of one client: clocks from `first` to before `end`, and the events among them in order.

    The rest belongs to the walk over the events: the clock (`done`) and the index (`position`) that it has
    reached, and whether it `waits` for another section.
    """

    __slots__ = ("client", "done", "end", "events", "first", "position", "waits")

    def __init__(self, client: int, first: int) -> None:
        self.client = client
        self.first = first
        self.end = first
        self.events: list[Event] = []
        self.done = first
        self.position = 0
        self.waits = False


class _Crowd:
    """Counts structs that stand where others stand: behind the same struct, or first under the same key."""

    __slots__ = ("_places", "_size")

    def __init__(self) -> None:
        self._places: set[tuple[object, object]] = set()
        self._size = 0

    def enter(self, place: tuple[object, object]) -> None:
        if place in self._places:
            self._size += 1
            if self._size > MAX_CROWD:
                raise Malformed("too many structs in one place")
        else:
            self._places.add(place)


def read_structs(
    data: bytes, roots: frozenset[bytes] | None, *, foreign: bool = False
) -> tuple[dict[int, Section], int]:
    """Read the structs of an update; return them by client, and the position of the delete set.

    `roots` are the names that root maps may have; None = any. `foreign`: refuse what only costs us time.
    """
    count, pos = varint(data, 0)
    if count > MAX_CLIENTS:
        raise Malformed("too many clients")
    sections: dict[int, Section] = {}
    crowd = _Crowd() if foreign and len(data) > CROWD_BYTES else None
    for _ in range(count):
        structs, pos = varint(data, pos)
        client, pos = varint(data, pos)
        first, pos = varint(data, pos)
        if not 0 < structs <= len(data) - pos:
            raise Malformed("impossible number of structs")
        if client in sections:
            raise Malformed("client listed twice")
        section = Section(client, first)
        sections[client] = section
        pos = _read_section(data, pos, structs, section, roots, crowd)
    return sections, pos


def _read_section(
    data: bytes,
    pos: int,
    structs: int,
    section: Section,
    roots: frozenset[bytes] | None,
    crowd: _Crowd | None,
) -> int:
    """Read the structs of one client; return the position behind them.

    One long loop on purpose: a first sync of 10,000 references runs it 30,000 times.
    """
    client = section.client
    clock = section.first
    note = section.events.append
    parent = b""  # the last parent as it was written: a run of structs in one map repeats it
    for _ in range(structs):
        info = data[pos]
        pos += 1
        if info & _RIGHT_ORIGIN:
            raise Malformed("struct in a list")
        kind = info & _KINDS
        length = 1
        event = -1
        on, at = client, -1
        if info & _ORIGIN:
            on = data[pos]
            pos += 1
            if on >= 0x80:
                on, pos = varint_tail(data, pos, on)
            at = data[pos]
            pos += 1
            if at >= 0x80:
                at, pos = varint_tail(data, pos, at)
            place: tuple[object, object] = (on, at)
            if kind == _ANY:
                event = VALUE_AFTER
            elif kind == _DELETED:
                event = TOMB_AFTER
            elif kind == _TYPE:
                event = MAP_AFTER
            else:
                raise Malformed("unknown kind of struct")
        elif kind == _GC:
            if info:
                raise Malformed("flags on a collected struct")
        else:
            if not info & _KEYED:
                raise Malformed("struct outside a map")
            if parent and data.startswith(parent, pos):
                pos += len(parent)
                if kind == _TYPE:
                    raise Malformed("map inside a nested map")
            elif data[pos] == 1:
                pos = _root(data, pos + 1, roots)
                if kind == _ANY:
                    raise Malformed("plain value in a root")
                event = TOMB if kind == _DELETED else MAP
            elif data[pos] == 0:
                start = pos
                on, pos = varint(data, pos + 1)
                at, pos = varint(data, pos)
                parent = data[start:pos]
                if kind == _TYPE:
                    raise Malformed("map inside a nested map")
                event = INSIDE
            else:
                raise Malformed("unknown kind of parent")
            size = data[pos]
            pos += 1
            if size >= 0x80:
                size, pos = varint_tail(data, pos, size)
            if size > MAX_KEY:
                raise Malformed("key too long")
            key = data[pos : pos + size]
            pos += size
            if not key.isascii():
                utf8(key)
            place = (key, None if event in (MAP, TOMB) else parent)
        if kind == _ANY:
            if data[pos] != 1:
                raise Malformed("run of values")
            pos = value(data, pos + 1)
        elif kind <= _DELETED:  # the two that stand for a run of clocks
            length, pos = varint(data, pos)
            if not length:
                raise Malformed("empty struct")
        elif kind == _TYPE:
            if data[pos] != _MAP_TYPE:
                raise Malformed("nested type other than map")
            pos += 1
        else:
            raise Malformed("unknown kind of struct")
        if crowd is not None and kind != _GC:
            crowd.enter(place)
        if event >= 0:
            if on == client and at >= clock:
                raise Malformed("struct depends on a later one")
            note((event, clock, length, on, at))
        clock += length
        if clock > MAX_CLOCK:
            raise Malformed("clock too large")
    section.end = clock
    return pos


def _root(data: bytes, pos: int, roots: frozenset[bytes] | None) -> int:
    """Check the name of a root; return the position behind it."""
    size, pos = varint(data, pos)
    end = pos + size
    name = data[pos:end]
    if len(name) != size or (roots is not None and name not in roots):
        raise Malformed("unknown root")
    return end


def read_deletes(data: bytes, pos: int) -> Iterator[tuple[int, int, int]]:
    """Read the delete set that ends an update; yield (client, first clock, end) of each range."""
    count, pos = varint(data, pos)
    if count > MAX_CLIENTS:
        raise Malformed("too many clients")
    for _ in range(count):
        client, pos = varint(data, pos)
        ranges, pos = varint(data, pos)
        if ranges > len(data) - pos:
            raise Malformed("impossible number of deletes")
        for _ in range(ranges):
            start = data[pos]
            pos += 1
            if start >= 0x80:
                start, pos = varint_tail(data, pos, start)
            length = data[pos]
            pos += 1
            if length >= 0x80:
                length, pos = varint_tail(data, pos, length)
            if not length or start + length > MAX_CLOCK:
                raise Malformed("impossible delete")
            yield client, start, start + length
    if pos != len(data):
        raise Malformed("bytes behind the end")


def delete_set(update: bytes) -> bytes:
    """Return the delete set of an update in one canonical form, so that replicas can compare digests of it.

    Clients ascend; ranges are sorted and merged. Cheap on an update without structs: give it the difference
    of a document to its own state vector. Raises :class:`~nogg.errors.ProtocolError`.
    """
    try:
        _, pos = read_structs(update, None)
        deletes = sorted(read_deletes(update, pos))
    except UNREADABLE as error:
        raise as_malformed(error) from None
    merged: dict[int, list[tuple[int, int]]] = {}
    for client, start, end in deletes:
        ranges = merged.setdefault(client, [])
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((start, end))
    out = [encode_varint(len(merged))]
    for client, ranges in merged.items():
        out += [encode_varint(client), encode_varint(len(ranges))]
        for start, end in ranges:
            out += [encode_varint(start), encode_varint(end - start)]
    return b"".join(out)


def decode_state_vector(data: bytes) -> dict[int, int]:
    """Read a state vector into client -> clock; raise :class:`~nogg.errors.ProtocolError` on anything odd."""
    try:
        count, pos = varint(data, 0)
        if count > MAX_CLIENTS:
            raise Malformed("too many clients")
        vector: dict[int, int] = {}
        for _ in range(count):
            client, pos = varint(data, pos)
            clock, pos = varint(data, pos)
            if client in vector or clock > MAX_CLOCK:
                raise Malformed("impossible state vector")
            vector[client] = clock
        if pos != len(data):
            raise Malformed("bytes behind the end")
    except UNREADABLE as error:
        raise as_malformed(error) from None
    return {client: clock for client, clock in vector.items() if clock}


def encode_state_vector(vector: dict[int, int]) -> bytes:
    """Write a state vector in one canonical form: clients descend (as Yjs writes them), none with clock 0."""
    entries = sorted(((client, clock) for client, clock in vector.items() if clock), reverse=True)
    if any(not 0 <= client <= MAX_SAFE_INTEGER for client, _ in entries):
        raise ValueError("client id out of range")
    return encode_varint(len(entries)) + b"".join(
        encode_varint(client) + encode_varint(clock) for client, clock in entries
    )


def as_malformed(error: Exception) -> Malformed:
    """Turn what a reader raised into the one error that callers see."""
    return error if isinstance(error, Malformed) else Malformed("ends too early")
