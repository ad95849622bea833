"""A session's state as this client knows it: what the daemon told, and what our own calls did since.

Here: applying snapshots, differences and changes in order, noticing a gap, and reading one's own writes before
the daemon tells of them. Not here: when to subscribe again (`nogg.client.core`) and who is told (`.signals`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nogg.client.state import Identity, Reference, SessionState
from nogg.errors import ProtocolError
from nogg.ids import is_microcosm_id, seed_order


class Mirror:
    """The state of one session; empty, with `epoch` None, until the first snapshot.

    A reply to our own call comes before the notification of the same change. What it says is kept beside the told
    state until the daemon tells of it or of something newer, so reads after writes are right at once.
    """

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.revision = 0
        self.identity: Identity | None = None
        self._active: str | None = None
        self._told: dict[str, Reference] = {}
        self._written: dict[str, Reference] = {}
        self._removed: dict[str, int] = {}  # ids that we removed, and the revision of what was there
        self._order: list[str] = []
        self._reordered = False  # ids came or went since
        self._keys: dict[str, bytes] = {}
        self._state: SessionState | None = SessionState()

    @property
    def since(self) -> dict[str, object] | None:
        """The point to resume from, or None if there is nothing yet."""
        return None if self.epoch is None else {"epoch": self.epoch, "revision": self.revision}

    def resume(self, answer: object) -> None:
        """Take the answer to a subscription: a snapshot or the difference since `since`."""
        if not isinstance(answer, dict) or not isinstance(answer.get("epoch"), str):
            raise ProtocolError("the answer to a subscription needs an epoch")
        fresh = bool(answer.get("fresh", True))
        given, removed = _references(answer)
        revision = _revision(answer, "revision")
        if fresh:
            self._told, self._written, self._removed, self._active = {}, {}, {}, None
            self._reordered = True
        self.epoch, self.revision = answer["epoch"], revision
        self._apply(answer, given, removed)
        if "identity" in answer:
            self.identity = Identity.from_wire(answer["identity"])

    def change(self, params: object) -> bool:
        """Take a `session.changed`; False if one before it is missing, and then nothing was applied."""
        if not isinstance(params, dict):
            raise ProtocolError("a notification needs parameters")
        given, removed = _references(params)
        before, revision = _revision(params, "from"), _revision(params, "revision")
        if before != self.revision or revision < before:
            return False
        self.revision = revision
        self._apply(params, given, removed)
        return True

    def wrote(self, reference: Reference) -> None:
        """Note what a call of ours made of a reference."""
        self._reordered |= self._removed.pop(reference.microcosm_id, None) is not None
        self._reordered |= reference.microcosm_id not in self._told
        self._written[reference.microcosm_id] = reference
        self._settle(reference.microcosm_id)
        self._state = None

    def removed(self, microcosm_id: str) -> None:
        """Note that a call of ours removed a reference."""
        there = self._current(microcosm_id)
        if there is not None:
            self._written.pop(microcosm_id, None)
            self._removed[microcosm_id] = there.revision
            self._reordered, self._state = True, None

    def state(self) -> SessionState:
        """Return the state as of now; the same object until something changes."""
        if self._state is None:
            self._state = SessionState(self._active, MappingProxyType(self._sorted()))
        return self._state

    def _apply(self, message: Mapping[str, Any], given: dict[str, Reference], removed: list[str]) -> None:
        self._reordered |= bool(removed or self._removed) or not self._told.keys() >= given.keys()
        self._told.update(given)
        for microcosm_id in removed:
            self._told.pop(microcosm_id, None)
            self._written.pop(microcosm_id, None)
            self._removed.pop(microcosm_id, None)
        for microcosm_id in given:
            self._settle(microcosm_id)
        if "active" in message:
            active = message["active"]
            if active is not None and not is_microcosm_id(active):
                raise ProtocolError("active must be a microcosmID or null")
            self._active = active
        self._state = None

    def _settle(self, microcosm_id: str) -> None:
        """Forget a write or removal of ours once the daemon has told of it or of something newer."""
        told = self._told.get(microcosm_id)
        if told is None:
            return
        written = self._written.get(microcosm_id)
        if written and (told.revision, told.last_accessed) >= (written.revision, written.last_accessed):
            del self._written[microcosm_id]
        if told.revision > self._removed.get(microcosm_id, told.revision):
            del self._removed[microcosm_id]

    def _current(self, microcosm_id: str) -> Reference | None:
        if microcosm_id in self._removed:
            return None
        return self._written.get(microcosm_id) or self._told.get(microcosm_id)

    def _sorted(self) -> dict[str, Reference]:
        merged = {**self._told, **self._written}
        for microcosm_id in self._removed:
            merged.pop(microcosm_id, None)
        if self._reordered:
            self._reordered = False
            self._keys = {each: self._keys.get(each) or seed_order(each) for each in merged}
            known = [
                each for each in self._order if each in merged
            ]  # still sorted, which sorting makes use of
            self._order = sorted({**dict.fromkeys(known), **merged}, key=self._keys.__getitem__)
        return {microcosm_id: merged[microcosm_id] for microcosm_id in self._order}


def _references(message: Mapping[str, Any]) -> tuple[dict[str, Reference], list[str]]:
    given, removed = message.get("set", {}), message.get("removed", [])
    if not isinstance(given, dict) or not isinstance(removed, list):
        raise ProtocolError("a change needs the references that were set and the ids that were removed")
    if not all(isinstance(microcosm_id, str) for microcosm_id in removed):
        raise ProtocolError("removed must list ids")
    references = (Reference.from_wire(value) for value in given.values())
    return {reference.microcosm_id: reference for reference in references}, removed


def _revision(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProtocolError(f"{name} must be an integer")
    return value
