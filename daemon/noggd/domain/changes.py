"""What changed: the values that travel from the single writer to listeners. No behaviour here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from noggd.domain.reference import Reference


class Unset(Enum):
    """The type of ABSENT, so that a missing value is told from null."""

    ABSENT = "absent"


ABSENT = Unset.ABSENT
"""Not given, or not changed."""


class Origin(NamedTuple):
    """Who made a change: a device id, and on this device the client's name where it told one."""

    device: str
    client: str | None = None


class Change(NamedTuple):
    """A visible change of one session: exactly one revision.

    `set` holds references as they are now, `removed` ids that are gone, `active` the new value or ABSENT.
    `explicit` names those of `set` that changed by more than a touch. `conflicts` names references with a
    conflict that was not there before.
    """

    session: str
    from_revision: int
    revision: int
    active: str | Unset | None
    set: dict[str, Reference]
    removed: tuple[str, ...]
    origin: Origin
    explicit: frozenset[str] = frozenset()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IdentityChange:
    """The person's identity changed."""

    identity_id: str
    username: str | None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DevicesChange:
    """Something about the person's devices changed: a member, a name, what is active there."""

    devices: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class EpochChange:
    """The store began a new life: it was restored from a backup, and revisions of the old life mean nothing now."""

    epoch: str
