"""What a session holds, as values that never change: references, the session's state, the person.

Here: the objects that apps get, and the only place where the wire's names (`microcosmID`) become Python's
(`microcosm_id`). Not here: how they change (`nogg.client.mirror`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from nogg.errors import ProtocolError
from nogg.ids import is_microcosm_id


@dataclass(frozen=True, slots=True)
class Reference:
    """What a person keeps about a microcosm.

    `last_accessed` is in Unix milliseconds; `revision` is the session's revision at the last visible change of
    this reference, to be given as `if_revision`. The password is left out of `repr`, so that logs stay clean.
    """

    microcosm_id: str
    last_accessed: int
    password: str | None = field(default=None, repr=False)
    view: str | None = None
    revision: int = 0

    @classmethod
    def from_wire(cls, value: object) -> Reference:
        """Read the API's object; raises `ProtocolError` if it is none."""
        fields = _object(value)
        microcosm_id, last_accessed = fields.get("microcosmID"), fields.get("lastAccessed")
        if not isinstance(microcosm_id, str) or not is_microcosm_id(microcosm_id):
            raise ProtocolError("a reference needs a valid microcosmID")
        return cls(
            microcosm_id,
            _integer(last_accessed, "lastAccessed"),
            _text_or_none(fields.get("password"), "password"),
            _text_or_none(fields.get("view"), "view"),
            _integer(fields.get("revision"), "revision"),
        )


@dataclass(frozen=True, slots=True)
class SessionState:
    """The seed's `get()`: what is active on this device, and all references by id, in the seed's order."""

    active: str | None = None
    microcosms: Mapping[str, Reference] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Identity:
    """The person; the same on all of their devices."""

    identity_id: str
    username: str | None = None
    aliases: tuple[str, ...] = ()

    @classmethod
    def from_wire(cls, value: object) -> Identity:
        """Read the API's object; raises `ProtocolError` if it is none."""
        fields = _object(value)
        identity_id, aliases = fields.get("identityID"), fields.get("aliases", [])
        if not isinstance(identity_id, str):
            raise ProtocolError("an identity needs an identityID")
        if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
            raise ProtocolError("aliases must be texts")
        return cls(identity_id, _text_or_none(fields.get("username"), "username"), tuple(aliases))


def entry(value: Reference | Mapping[str, object]) -> dict[str, object]:
    """Return a whole reference as `session.set` takes it; a mapping with the wire's names passes as it is."""
    if not isinstance(value, Reference):
        return {key: each for key, each in value.items() if key != "revision"}
    return {
        "microcosmID": value.microcosm_id,
        "lastAccessed": value.last_accessed,
        "password": value.password,
        "view": value.view,
    }


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ProtocolError("an object was expected")
    return value


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProtocolError(f"{name} must be an integer")
    return value


def _text_or_none(value: object, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ProtocolError(f"{name} must be a text or null")
    return value
