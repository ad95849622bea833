"""The entries of a device map: their keys, their meaning, their stored form.

A device map is a Y.Map that only its device writes. Everything that arrives from a peer passes `parse`, which
answers None for a value that this version cannot read: such an entry counts as absent and is never rewritten.
No merge rules here (see `fold`), no document (see `document`).

| key      | stored                                        | meaning                                        |
|----------|-----------------------------------------------|------------------------------------------------|
| `r/ID`   | stamp, or [stamp, kind, gone, forgot, base]   | latest explicit act on the existence of ID     |
| `v/ID`   | [stamp, view]                                 | view, null = cleared                           |
| `p/ID`   | [stamp, password, seen, forgot]               | password, null = cleared                       |
| `t/ID`   | stamp, or [stamp, milliseconds]               | last access; the list form sets it, even back  |
| `a`      | [stamp, ID or null]                           | what is active on this device                  |
| `u`      | [stamp, username]                             | the person's name                              |
| `n`      | [stamp, name]                                 | this device's name                             |
| `s/NAME` | [stamp, 1 or 0]                               | a session exists or was dropped                |
| `x/D/K`  | as K                                          | entry K of device D, adopted when D left       |

Trailing zeros and nulls of a list are left out.
"""

from __future__ import annotations

from typing import NamedTuple

from nogg.ids import is_microcosm_id, is_session_name
from noggd.domain.hlc import MAX_STAMP

REMOVED, REGISTERED, PLACED, RESTORED = 0, 1, 2, 3
"""Kinds of an act: removal; registration, which is an access too; placed by set or import; restored."""

MAX_PASSWORD = 1024
MAX_VIEW = 255
MAX_NAME = 255
MAX_SEEN = 64

type_of_key = {"r": "act", "v": "view", "p": "password", "t": "touch"}


class Act(NamedTuple):
    """An explicit act on the existence of a reference.

    `gone` is the newest removal that its author knew, `forgot` the newest forget, `base` (removals only) the
    removal before this one: what is older belongs to an earlier life of the reference.
    """

    stamp: int
    kind: int
    gone: int = 0
    forgot: int = 0
    base: int = 0


class Field(NamedTuple):
    """A value written at `stamp`.

    `seen` (passwords) is what the author knew of this field from each device, so that a replaced value is told
    from a concurrent one. `forgot` marks a value that was restored: a forget that its author did not know
    voids it.
    """

    stamp: int
    value: str | None
    seen: dict[str, int] | None = None
    forgot: int | None = None


class Touch(NamedTuple):
    """An access: at `milliseconds`; `placed` when it was set explicitly and replaces older accesses."""

    stamp: int
    milliseconds: int
    placed: bool = False


class Flag(NamedTuple):
    """Whether something exists, as of `stamp`."""

    stamp: int
    on: bool


Entry = Act | Field | Touch | Flag
Stored = object
"""What pycrdt keeps for an entry: a number, or a list of numbers, strings, nulls and maps of numbers."""


def _stamp(value: object) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 < value <= MAX_STAMP:
        return None
    return value


def _count(value: object) -> int | None:
    return 0 if value == 0 and type(value) in (int, float) else _stamp(value)


def _text(value: object, most: int) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value) <= most)


def _act(stored: Stored) -> Act | None:
    if type(stored) is int and 0 < stored <= MAX_STAMP:  # nearly every one of thousands, at each start
        return Act(stored, REGISTERED)
    if not isinstance(stored, list):
        stamp = _stamp(stored)
        return None if stamp is None else Act(stamp, REGISTERED)
    if not 2 <= len(stored) <= 5:
        return None
    stamp, numbers = _stamp(stored[0]), [_count(number) for number in stored[1:]]
    if stamp is None or None in numbers:
        return None
    kind, gone, forgot, base = [number or 0 for number in numbers] + [0] * (5 - len(stored))
    if kind > RESTORED or max(gone, base) > stamp or (kind == REMOVED and gone == 0):
        return None
    return Act(stamp, kind, gone, forgot, base)


def _field(stored: Stored, most: int) -> Field | None:
    if not isinstance(stored, list) or not 2 <= len(stored) <= 4:
        return None
    stamp, value = _stamp(stored[0]), stored[1]
    if stamp is None or not _text(value, most):
        return None
    seen = _seen(stored[2]) if len(stored) > 2 else None
    forgot = _count(stored[3]) if len(stored) > 3 else None
    if (len(stored) > 2 and stored[2] is not None and seen is None) or (len(stored) > 3 and forgot is None):
        return None
    return Field(stamp, value, seen, forgot)


def _seen(stored: Stored) -> dict[str, int] | None:
    if not isinstance(stored, dict) or len(stored) > MAX_SEEN:
        return None
    seen: dict[str, int] = {}
    for device, value in stored.items():
        stamp = _stamp(value)
        if stamp is None:
            return None
        seen[device] = stamp
    return seen


def _touch(stored: Stored) -> Touch | None:
    if isinstance(stored, list):
        if len(stored) != 2:
            return None
        stamp, at = _stamp(stored[0]), _count(stored[1])
        return None if stamp is None or at is None else Touch(stamp, at, placed=True)
    stamp = _stamp(stored)
    return None if stamp is None else Touch(stamp, stamp >> 10)


def _flag(stored: Stored) -> Flag | None:
    if not isinstance(stored, list) or len(stored) != 2 or stored[1] not in (0, 1):
        return None
    stamp = _stamp(stored[0])
    return None if stamp is None else Flag(stamp, stored[1] == 1)


def parse(key: str, stored: Stored) -> Entry | None:
    """Return the entry that is stored under `key`, or None where this version cannot read it."""
    kind, name = key[:2], key[2:]
    if kind in ("r/", "v/", "p/", "t/"):
        if not is_microcosm_id(name):
            return None
        if kind == "r/":
            return _act(stored)
        if kind == "t/":
            return _touch(stored)
        return _field(stored, MAX_VIEW if kind == "v/" else MAX_PASSWORD)
    if key == "a":
        field = _field(stored, MAX_NAME)
        return field if field is None or field.value is None or is_microcosm_id(field.value) else None
    if key in ("u", "n"):
        return _field(stored, MAX_NAME)
    if kind == "s/" and is_session_name(name):
        return _flag(stored)
    if kind == "x/":
        inner = adopted_key(key)
        return None if inner is None or inner[1].startswith("x/") else parse(inner[1], stored)
    return None


def encode(entry: Entry) -> Stored:
    """Return the stored form of an entry; `parse` of it gives the entry back."""
    if isinstance(entry, Act):
        if entry.kind == REGISTERED and not (entry.gone or entry.forgot or entry.base):
            return entry.stamp
        numbers: list[object] = list(entry)
        while len(numbers) > 2 and numbers[-1] == 0:
            numbers.pop()
        return numbers
    if isinstance(entry, Touch):
        return [entry.stamp, entry.milliseconds] if entry.placed else entry.stamp
    if isinstance(entry, Flag):
        return [entry.stamp, int(entry.on)]
    values: list[object] = [entry.stamp, entry.value, entry.seen or None, entry.forgot]
    while len(values) > 2 and values[-1] is None:
        values.pop()
    return values


def adopted_key(key: str) -> tuple[str, str] | None:
    """Split `x/DEVICE/KEY` into the device and its key; None for any other key."""
    parts = key.split("/", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "x" and parts[1] else None


def reference_of(key: str) -> str | None:
    """Return the microcosm id that an entry of a reference is about, adopted or not; None for other keys."""
    if key[1:2] == "/":
        if key[0] in type_of_key:
            return key[2:]
        inner = adopted_key(key)
        return None if inner is None else reference_of(inner[1])
    return None
