"""A Yjs update (version 1) taken apart and put together again, and histories and mutations to test with.

Written apart from the product's reader on purpose: two readers that agree say more than one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from pycrdt import Doc, Map

ROOT = "devices"
GC, DELETED, TYPE, ANY, SKIP = 0, 1, 7, 8, 10


def number(value: int) -> bytes:
    """Encode an unsigned integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return number(len(raw)) + raw


@dataclass
class Struct:
    """One struct; `parent` is a root's name or the id of a map."""

    kind: int
    length: int = 1
    origin: tuple[int, int] | None = None
    right: tuple[int, int] | None = None
    parent: str | tuple[int, int] | None = None
    key: str | None = None
    content: bytes = b""
    flags: int = 0

    def encode(self) -> bytes:
        info = self.kind | self.flags
        if self.kind in {GC, SKIP}:
            return bytes([info]) + number(self.length)
        info |= (
            (0x80 if self.origin else 0) | (0x40 if self.right else 0) | (0x20 if self.key is not None else 0)
        )
        out = bytes([info])
        for at in (self.origin, self.right):
            if at:
                out += number(at[0]) + number(at[1])
        if not self.origin and not self.right:
            if isinstance(self.parent, str):
                out += b"\x01" + string(self.parent)
            elif self.parent:
                out += b"\x00" + number(self.parent[0]) + number(self.parent[1])
            if self.key is not None:
                out += string(self.key)
        if self.kind == DELETED:
            return out + number(self.length)
        if self.kind == TYPE:
            return out + self.content
        if self.kind == ANY:
            return out + number(self.length) + self.content
        return out + self.content


@dataclass
class Section:
    """The structs of one client from `clock` on."""

    client: int
    clock: int
    structs: list[Struct]


@dataclass
class Update:
    """A whole update."""

    sections: list[Section] = field(default_factory=list)
    deletes: list[tuple[int, list[tuple[int, int]]]] = field(default_factory=list)

    def encode(self) -> bytes:
        out = number(len(self.sections))
        for section in self.sections:
            out += number(len(section.structs)) + number(section.client) + number(section.clock)
            out += b"".join(struct.encode() for struct in section.structs)
        out += number(len(self.deletes))
        for client, ranges in self.deletes:
            out += number(client) + number(len(ranges))
            out += b"".join(number(start) + number(length) for start, length in ranges)
        return out


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.pos]
            self.pos += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def string(self) -> str:
        size = self.number()
        self.pos += size
        return self.data[self.pos - size : self.pos].decode()

    def id(self) -> tuple[int, int]:
        return self.number(), self.number()

    def value(self) -> None:
        tag = self.data[self.pos]
        self.pos += 1
        if tag == 125:
            while self.data[self.pos] >= 0x80:
                self.pos += 1
            self.pos += 1
        elif tag in {124, 123, 122}:
            self.pos += 4 if tag == 124 else 8
        elif tag in {119, 116}:
            size = self.number()
            self.pos += size
        elif tag in {118, 117}:
            for _ in range(self.number()):
                if tag == 118:
                    self.string()
                self.value()

    def struct(self) -> Struct:
        info = self.data[self.pos]
        self.pos += 1
        kind = info & 0x1F
        if kind in {GC, SKIP}:
            return Struct(kind, self.number())
        struct = Struct(kind)
        struct.origin = self.id() if info & 0x80 else None
        struct.right = self.id() if info & 0x40 else None
        if not info & 0xC0:
            struct.parent = self.string() if self.number() else self.id()
            struct.key = self.string() if info & 0x20 else None
        else:
            struct.flags = info & 0x20
        if kind in {DELETED, ANY}:
            struct.length = self.number()
        start = self.pos
        if kind == ANY:
            for _ in range(struct.length):
                self.value()
        elif kind == TYPE:
            self.pos += 1
        struct.content = self.data[start : self.pos]
        return struct


def decode(data: bytes) -> Update:
    """Take a well-formed update of our kind of document apart."""
    reader = _Reader(data)
    update = Update()
    for _ in range(reader.number()):
        count, client, clock = reader.number(), reader.number(), reader.number()
        update.sections.append(Section(client, clock, [reader.struct() for _ in range(count)]))
    for _ in range(reader.number()):
        client = reader.number()
        update.deletes.append((client, [reader.id() for _ in range(reader.number())]))
    return update


CLIENTS = (101, 2**31 + 3, 2**52 + 7)


class Replica:
    """An honest device: its own map under a root, written at random, replaced now and then."""

    def __init__(self, client: int, name: str) -> None:
        self.doc: Doc[Any] = Doc(client_id=client)
        self.name = name
        self.updates: list[bytes] = []
        self.doc.get(ROOT, type=Map)
        self._subscription = self.doc.observe(lambda event: self.updates.append(event.update))

    @property
    def root(self) -> Map[Any]:
        root: Map[Any] = self.doc.get(ROOT, type=Map)
        return root

    def write(self, random: random.Random) -> list[bytes]:
        """Do one transaction; return what it emitted."""
        before = len(self.updates)
        with self.doc.transaction():
            if self.name not in self.root or random.random() < 0.08:
                self.root[self.name] = Map({f"t/{n}": float(n) for n in range(random.randrange(3))})
            own = self.root[self.name]
            for _ in range(random.randint(1, 3)):
                key = f"{random.choice('rvpt')}/{random.randrange(4)}"
                if random.random() < 0.15 and key in own:
                    del own[key]
                else:
                    own[key] = random.choice([1.5, [7.0, "é", None], [1.0, {"a": 2.0}], True])
            if random.random() < 0.1:
                other = self.root[random.choice(sorted(self.root.keys()))]
                for key in sorted(other.keys())[:1]:
                    del other[key]
        return self.updates[before:]

    def receive(self, update: bytes) -> None:
        """Apply an update of an honest peer; it is no update of ours."""
        before = len(self.updates)
        self.doc.apply_update(update)
        del self.updates[before:]


def history(seed: int, steps: int = 12) -> list[Replica]:
    """Return three replicas with writes and exchanges behind them."""
    dice = random.Random(seed)
    replicas = [Replica(client, f"device-{n}") for n, client in enumerate(CLIENTS)]
    for _ in range(steps):
        one, two = dice.sample(replicas, 2)
        if dice.random() < 0.6:
            one.write(dice)
        else:
            two.receive(one.doc.get_update(two.doc.get_state()))
    return replicas


def in_one_order(data: bytes) -> bytes:
    """Sort what yrs writes in the random order of its hash maps, so that a seed means one thing."""
    update = decode(data)
    update.sections.sort(key=lambda section: section.client)
    update.deletes.sort()
    return update.encode()


_TAGS = bytes([127, 126, 125, 124, 123, 122, 121, 120, 119, 118, 117, 116, 0, 1, 255])


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Change an honest update in one to three places: mostly in its structure, sometimes in its bytes."""
    update = decode(in_one_order(data))
    for _ in range(dice.choice((1, 1, 2, 3))):
        dice.choice((_mutate_struct, _mutate_struct, _mutate_struct, _mutate_section, _mutate_deletes))(
            update, dice
        )
    out = update.encode()
    if dice.random() < 0.15 and out:
        out = _mutate_bytes(out, dice)
    return out


def _any_id(update: Update, dice: random.Random) -> tuple[int, int]:
    clients = [*CLIENTS, *(section.client for section in update.sections), 5]
    clock = dice.choice((dice.randrange(12), dice.randrange(60), 2**31 - 1, 2**32))
    return dice.choice(clients), clock if dice.random() < 0.05 else clock % 40


def _mutate_struct(update: Update, dice: random.Random) -> None:
    if not update.sections:
        return
    section = dice.choice(update.sections)
    if not section.structs:
        return
    at = dice.randrange(len(section.structs))
    struct = section.structs[at]
    choice = dice.randrange(13)
    if choice == 0:
        struct.origin = _any_id(update, dice)
    elif choice == 1:
        struct.origin, struct.parent, struct.key = (
            None,
            dice.choice((ROOT, "other", _any_id(update, dice))),
            "x",
        )
    elif choice == 2:
        struct.parent = _any_id(update, dice)
    elif choice == 3:
        struct.right = _any_id(update, dice)
    elif choice == 4:
        struct.kind, struct.length = (
            dice.choice((GC, DELETED, SKIP)),
            dice.choice((0, 1, 2, 3, 2**31 - 1, 2**32)),
        )
    elif choice == 5:
        struct.kind, struct.length, struct.content = (
            TYPE,
            1,
            dice.choice((b"\x01", b"\x01", b"\x00", b"\x02")),
        )
    elif choice == 6:
        struct.kind, struct.length = ANY, 1
        struct.content = dice.choice(
            (b"\x7e", b"\x75\x01" * dice.choice((3, 7, 40)) + b"\x7e", b"\x7a" + bytes(8))
        )
    elif choice == 7:
        struct.length = dice.choice((0, 1, 2, 5))
    elif choice == 8:
        del section.structs[at]
    elif choice == 9:
        section.structs.insert(at, struct)
    elif choice == 10:
        section.structs.insert(dice.randrange(len(section.structs) + 1), section.structs.pop(at))
    elif choice == 11 and struct.content:
        content = bytearray(struct.content)
        content[dice.randrange(len(content))] = dice.choice(_TAGS)
        struct.content = bytes(content)
    else:
        struct.key = dice.choice((None, "", "r/0", "device-1", "k" * 500))


def _mutate_section(update: Update, dice: random.Random) -> None:
    if not update.sections:
        return
    section = dice.choice(update.sections)
    choice = dice.randrange(7)
    if choice == 0:
        section.clock = max(0, section.clock + dice.choice((-3, -1, 1, 5)))
    elif choice == 1:
        section.client = dice.choice((*CLIENTS, 5, 0, 2**53, 2**60))
    elif choice == 2:
        update.sections.append(
            Section(dice.choice((*CLIENTS, 5, 6)), dice.randrange(3), list(section.structs))
        )
    elif choice == 3:
        section.structs = []
    elif choice == 4:
        section.structs = section.structs[: dice.randrange(len(section.structs) + 1)]
    elif choice == 5:
        dice.shuffle(update.sections)
    else:
        update.sections.remove(section)


def _mutate_deletes(update: Update, dice: random.Random) -> None:
    client, clock = _any_id(update, dice)
    update.deletes.append((client, [(clock, dice.choice((0, 1, 1, 2, 7, 2**31, 2**32 - 1)))]))
    if dice.random() < 0.3:
        update.deletes.pop(dice.randrange(len(update.deletes)))


def _mutate_bytes(data: bytes, dice: random.Random) -> bytes:
    out = bytearray(data)
    choice = dice.randrange(4)
    at = dice.randrange(len(out))
    if choice == 0:
        out[at] ^= 1 << dice.randrange(8)
    elif choice == 1:
        del out[at:]
    elif choice == 2:
        out[at:at] = dice.randbytes(dice.randint(1, 4))
    else:
        out[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(out)
