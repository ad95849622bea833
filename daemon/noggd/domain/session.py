"""The commands of a session: what an app may do to its references and to what is active.

Each takes `now` (Unix milliseconds) and raises an error of `nogg.errors` before it has changed anything that
`SessionState.perform` would not take back. Removing for good, restoring, conflicts and import are in `recovery`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nogg.errors import InvalidParams, NoggError, NotFound
from noggd.domain import recovery
from noggd.domain.changes import ABSENT, Unset
from noggd.domain.entries import PLACED, REGISTERED, REMOVED, Act, Field, Touch
from noggd.domain.fold import Folded
from noggd.domain.hlc import HybridClock, milliseconds
from noggd.domain.reference import Reference
from noggd.domain.state import Outcome, SessionState


class Session(SessionState):
    """One session with its commands."""

    def register(
        self,
        now: int,
        microcosm_id: str,
        view: str | None = None,
        password: str | None = None,
        if_revision: int | None = None,
    ) -> Callable[[], Reference]:
        """Make a reference exist and count an access; None or "" keeps a field as it is (as the seed does)."""
        self.check_reference(microcosm_id, if_revision)
        stamp = self.clock.tick(now)
        folded = self.fold(microcosm_id)
        self.put("r/" + microcosm_id, Act(stamp, REGISTERED, folded.gone, folded.forgot))
        if view:
            self.put("v/" + microcosm_id, Field(stamp, view))
        if password:
            self.put_password(microcosm_id, stamp, password, folded)
        return lambda: self.references[microcosm_id]

    def put_password(
        self, microcosm_id: str, stamp: int, password: str | None, folded: Folded, forgot: int | None = None
    ) -> None:
        """Write a password together with what is known of it from every other device."""
        key, device = "p/" + microcosm_id, self.maps.device
        replaced = self.maps.own.get(key)
        own_stamp = replaced.stamp if replaced else 0
        seen = {who: known for who, known in folded.seen.items() if who != device or known > own_stamp}
        self.put(key, Field(stamp, password, seen or None, forgot))

    def update(
        self, now: int, microcosm_id: str, fields: Mapping[str, str | None], if_revision: int | None = None
    ) -> Callable[[], Reference]:
        """Write `view` and `password` as given, None clears; no access. Raises NotFound where there is none."""
        self.check_reference(microcosm_id, if_revision)
        folded = self.fold(microcosm_id)
        if not folded.alive:
            raise NotFound(
                f"no reference {microcosm_id}", hint="register it first, or look at the list for its exact id"
            )
        if fields:
            stamp = self.clock.tick(now)
            if "view" in fields:
                self.put("v/" + microcosm_id, Field(stamp, fields["view"]))
            if "password" in fields:
                self.put_password(microcosm_id, stamp, fields["password"], folded)
        return lambda: self.references[microcosm_id]

    def remove(self, now: int, microcosm_id: str, if_revision: int | None = None) -> dict[str, bool]:
        """Remove a reference; what it had is kept for `restore`. A missing one writes nothing."""
        self.check_reference(microcosm_id, if_revision)
        folded = self.fold(microcosm_id)
        if folded.alive:
            stamp = self.clock.tick(now)
            self.put("r/" + microcosm_id, Act(stamp, REMOVED, stamp, folded.forgot, folded.gone))
            # registrations that count as accesses are dropped once they are void, and restore wants the time back
            self.put("t/" + microcosm_id, Touch(stamp, folded.last_accessed, placed=True))
        return {"removed": folded.alive}

    def touch(self, now: int, microcosm_id: str) -> dict[str, bool]:
        """Count an access of an existing reference; it may reach the document later."""
        return self.touch_at(self.clock.tick(now), microcosm_id)

    def touch_at(self, stamp: int, microcosm_id: str) -> dict[str, bool]:
        """Count an access that was stamped when it happened; what was set since stays as it was set."""
        alive = microcosm_id in self.references or self.fold(microcosm_id).alive
        key = "t/" + microcosm_id
        known = self.maps.own.get(key)
        if alive and (known is None or known.stamp < stamp):
            self.put_later(key, Touch(stamp, milliseconds(stamp)))
        return {"touched": alive}

    def set_active(self, now: int, microcosm_id: str | None) -> Callable[[], dict[str, Any]]:
        """Make a microcosm active on this device (it need not be registered), or none."""
        if microcosm_id != self.active:
            self.put("a", Field(self.clock.tick(now), microcosm_id))
        return lambda: {"active": self.active, "revision": self.revision}

    def set(
        self,
        now: int,
        active: str | Unset | None = ABSENT,
        microcosms: Sequence[Mapping[str, Any]] | Unset = ABSENT,
        if_revision: int | None = None,
    ) -> Callable[[], dict[str, int]]:
        """Replace what is given: `active`, or all references. Every entry is a whole reference."""
        self.check_revision(if_revision)
        if not isinstance(microcosms, Unset):
            self._replace_all(now, microcosms)
        if not isinstance(active, Unset):
            self.set_active(now, active)
        return lambda: {"revision": self.revision}

    def _replace_all(self, now: int, microcosms: Sequence[Mapping[str, Any]]) -> None:
        listed: set[str] = set()
        for index, entry in enumerate(microcosms):
            name = entry["microcosmID"]
            if name in listed:
                raise InvalidParams(
                    errors=[{"path": f"microcosms[{index}].microcosmID", "message": "is listed twice"}]
                )
            listed.add(name)
            self._place(now, name, entry)
        for name in self.references.keys() - listed:
            self.remove(now, name)

    def _place(self, now: int, name: str, entry: Mapping[str, Any]) -> None:
        folded = self.fold(name)
        stamp = self.clock.tick(now)
        accessed = entry.get("lastAccessed")
        accessed = now if accessed is None else min(accessed, now)
        self.put("r/" + name, Act(stamp, PLACED, folded.gone, folded.forgot))
        self.put("t/" + name, Touch(stamp, accessed, placed=True))
        had_view = folded.alive and folded.view is not None and folded.view.field.value is not None
        had_password = (
            folded.alive and folded.password is not None and folded.password.field.value is not None
        )
        if entry.get("view") is not None or had_view:
            self.put("v/" + name, Field(stamp, entry.get("view")))
        if entry.get("password") is not None or had_password:
            self.put_password(name, stamp, entry.get("password"), folded)

    def reset(self, now: int, if_revision: int | None = None) -> Callable[[], dict[str, int]]:
        """Remove every reference that is visible here and clear what is active on this device."""
        self.check_revision(if_revision)
        for name in list(self.references):
            self.remove(now, name)
        self.set_active(now, None)
        return lambda: {"revision": self.revision}

    def transact(
        self, now: int, ops: Sequence[Mapping[str, Any]], if_revision: int | None = None
    ) -> Callable[[], dict[str, Any]]:
        """Carry out several operations as one change: all or none; an error says at which `data.index`."""
        self.check_revision(if_revision)
        outcomes: list[Outcome] = []
        for index, op in enumerate(ops):
            try:
                outcomes.append(self._operation(now, op))
            except NoggError as error:
                error.data["index"] = index
                raise
        return lambda: {"revision": self.revision, "results": [_plain(outcome) for outcome in outcomes]}

    def _operation(self, now: int, op: Mapping[str, Any]) -> Outcome:
        name, if_revision = op.get("microcosmID"), op.get("if_revision")
        match op["op"]:
            case "register":
                return self.register(now, str(name), op.get("view"), op.get("password"), if_revision)
            case "update":
                fields = {key: op[key] for key in ("view", "password") if key in op}
                return self.update(now, str(name), fields, if_revision)
            case "remove":
                return self.remove(now, str(name), if_revision)
            case "set_active":
                return self.set_active(now, name)
            case _:
                return self.touch(now, str(name))

    def drop(self, now: int) -> dict[str, bool]:
        """Remove every reference, for all devices, as the end of the session."""
        self.reset(now)
        return {"dropped": True}

    # Removed references, conflicts, import: the rules are in `recovery`

    def restore(self, now: int, microcosm_id: str) -> Callable[[], Reference]:
        """Bring a removed reference back as it was."""
        return recovery.restore(self, now, microcosm_id)

    def forget(self, now: int, microcosm_id: str) -> dict[str, bool]:
        """Remove a reference for good: nothing restores it, and its password leaves every device."""
        return recovery.forget(self, now, microcosm_id)

    def conflicts(self) -> list[dict[str, Any]]:
        """Return the open conflicts."""
        return recovery.conflicts(self)

    def resolve(self, now: int, microcosm_id: str, value: str | None) -> Callable[[], Reference]:
        """Settle a password conflict with this value."""
        return recovery.resolve(self, now, microcosm_id, value)

    def import_entries(
        self, now: int, entries: Iterable[Mapping[str, Any]], active: str | None = None
    ) -> dict[str, int]:
        """Merge entries of an export; see `recovery.import_entries`."""
        return recovery.import_entries(self, now, entries, active)


def _plain(outcome: Outcome) -> object:
    value = outcome() if callable(outcome) else outcome
    return value.value() if isinstance(value, Reference) else value


def ephemeral(name: str, now: int) -> Session:
    """Return a session in memory: no document, no peers, gone with its connection (the seed's unnamed one)."""
    return Session(name, "ephemeral", HybridClock(now << 10), None)
