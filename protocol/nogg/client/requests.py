"""What each member of a session asks the daemon, and how it reads the answer; the same for both shells.

Here: pure functions from Python's arguments to a request of the local API. Not here: sending it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from nogg.client.signals import Entries
from nogg.client.state import Identity, Reference, entry
from nogg.errors import InvalidParams, ProtocolError

T_co = TypeVar("T_co", covariant=True)


class Keep(Enum):
    """The default of fields that `update_reference` leaves alone, because None clears them."""

    KEEP = "keep"


KEEP = Keep.KEEP


class Request(NamedTuple, Generic[T_co]):
    """A call, and how its result is read."""

    method: str
    params: dict[str, object]
    read: Callable[[object], T_co]


def register(
    microcosm_id: str, view: str | None, password: str | None, if_revision: int | None
) -> Request[Reference]:
    """Add a reference, or fill in and touch it."""
    params = _given(microcosmID=microcosm_id, view=view, password=password, if_revision=if_revision)
    return Request("reference.register", params, Reference.from_wire)


def get(microcosm_id: str, touch: bool) -> Request[Reference | Literal[False]]:
    """Read a reference as it was before this access, or False."""
    return Request("reference.get", {"microcosmID": microcosm_id, "touch": touch}, _reference_or_false)


def update(
    microcosm_id: str, view: str | Keep | None, password: str | Keep | None, if_revision: int | None
) -> Request[Reference]:
    """Change fields; None clears one, `KEEP` leaves it."""
    params: dict[str, object] = _given(microcosmID=microcosm_id, if_revision=if_revision)
    params |= {key: value for key, value in (("view", view), ("password", password)) if value is not KEEP}
    return Request("reference.update", params, Reference.from_wire)


def remove(microcosm_id: str, if_revision: int | None) -> Request[bool]:
    """Remove a reference; False if there was none."""
    params = _given(microcosmID=microcosm_id, if_revision=if_revision)
    return Request("reference.remove", params, lambda result: bool(_member(result, "removed")))


def set_active(microcosm_id: str | None) -> Request[None]:
    """Make a microcosm active on this device, or none."""
    return Request("active.set", {"microcosmID": microcosm_id}, _nothing)


def set_state(partial: Mapping[str, Any], if_revision: int | None) -> Request[None]:
    """Replace the given keys of the state; unknown keys are `InvalidParams`, as the daemon would say."""
    for key in partial:
        if key not in ("active", "microcosms"):
            raise InvalidParams(
                errors=[{"path": str(key), "message": "a session has only active and microcosms"}]
            )
    params = _given(if_revision=if_revision)
    if "active" in partial:
        params["active"] = partial["active"]
    if "microcosms" in partial:
        params["microcosms"] = _entries(partial["microcosms"])
    return Request("session.set", params, _nothing)


def reset(if_revision: int | None) -> Request[None]:
    """Remove every reference and clear what is active."""
    return Request("session.reset", _given(if_revision=if_revision), _nothing)


def identity() -> Request[Identity]:
    """Ask who the person is."""
    return Request("identity.get", {}, Identity.from_wire)


def set_identity(partial: Mapping[str, object]) -> Request[None]:
    """Change what can be changed about the person: the `username`."""
    return Request("identity.set", dict(partial), _nothing)


def _given(**params: object) -> dict[str, object]:
    return {key: value for key, value in params.items() if value is not None}


def _entries(entries: Entries) -> list[dict[str, object]]:
    if isinstance(entries, Mapping):
        return [{"microcosmID": key, **entry(value)} for key, value in entries.items()]
    return [entry(value) for value in entries]


def _reference_or_false(result: object) -> Reference | Literal[False]:
    return False if result is False else Reference.from_wire(result)


def _member(result: object, name: str) -> object:
    if not isinstance(result, dict) or name not in result:
        raise ProtocolError(f"the answer needs {name}")
    return result[name]


def _nothing(_result: object) -> None:
    return None


def own_time(params: Mapping[str, object]) -> float:
    """Return the seconds that a call says it may take itself (`timeout_s` of `sync.wait`)."""
    seconds = params.get("timeout_s", 0)
    return float(seconds) if isinstance(seconds, int | float) else 0.0
