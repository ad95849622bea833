"""The state of one session: device maps folded into references, with revisions.

The commands that change it are in `session` and `recovery`; this module keeps what is visible in step with the
entries and finds out what an operation changed. Pure: time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from nogg.errors import Conflict, LimitExceeded
from noggd.domain import upkeep
from noggd.domain.changes import ABSENT, Change, Origin, Unset
from noggd.domain.counting import counts
from noggd.domain.document import MAX_OWN, Document
from noggd.domain.entries import Act, Entry, Field, adopted_key, reference_of
from noggd.domain.fold import Folded, Row, Written, fold
from noggd.domain.hlc import HybridClock, milliseconds
from noggd.domain.maps import DeviceMaps
from noggd.domain.reference import Reference
from noggd.domain.revisions import Revisions

Outcome = Callable[[], object] | object
"""What an operation returns: a value, or a function that gives it once revisions are settled."""


_PLACES = {"r/": 0, "v/": 1, "p/": 2, "t/": 3}
"""Where an entry stands in a row, by the beginning of its key."""


class SessionState:
    """One session on this device.

    `references` is what is visible, by id; `removed` the ids that can be restored, with the stamp of their
    removal; `rivals` the concurrent passwords of references in conflict.
    """

    def __init__(
        self,
        name: str,
        device: str,
        clock: HybridClock,
        document: Document | None,
        members: frozenset[str] | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.maps = DeviceMaps(device, clock, document, members, self.may_lose)
        self.references: dict[str, Reference] = {}
        self.removed: dict[str, int] = {}
        self.rivals: dict[str, tuple[Written, ...]] = {}
        self.revisions = Revisions()
        self._dirty: dict[str, None] = {}
        self._active_before: str | None = None

    # Reading

    @property
    def revision(self) -> int:
        """Revision of the session on this device."""
        return self.revisions.now

    @property
    def active(self) -> str | None:
        """What is active on this device."""
        entry = self.maps.own.get("a")
        return entry.value if isinstance(entry, Field) else None

    def everywhere(self) -> list[tuple[str, str | None, int]]:
        """Return (device, active id, Unix milliseconds) for every device that ever set its active microcosm."""
        return [
            (device, entry.value, milliseconds(entry.stamp))
            for device, entry in self.maps.each("a")
            if isinstance(entry, Field)
        ]

    def fold(self, microcosm_id: str) -> Folded:
        """Fold what is known of one reference right now, operations in progress included."""
        return fold(self.rows(microcosm_id))

    def rows(self, microcosm_id: str) -> list[Row]:
        """Return what each device whose word counts wrote about a reference."""
        rows = []
        act_key, view_key = "r/" + microcosm_id, "v/" + microcosm_id
        password_key, touch_key = "p/" + microcosm_id, "t/" + microcosm_id
        for device, entries in self.maps.sources:
            act, touch = entries.get(act_key), entries.get(touch_key)
            view, password = entries.get(view_key), entries.get(password_key)
            if act or view or password or touch:
                rows.append(Row(device, act, view, password, touch))  # type: ignore[arg-type] # the key tells it
        return rows

    def restorable(self, now: int) -> list[Reference]:
        """Return removed references that can still be restored, as they were; `revision` is 0."""
        return [
            self._reference(name, self.fold(name))
            for name, gone in self.removed.items()
            if milliseconds(gone) > now - upkeep.RESTORABLE_FOR
        ]

    def _reference(self, name: str, folded: Folded) -> Reference:
        view = folded.view.field.value if folded.view else None
        password = folded.password.field.value if folded.password else None
        return Reference(name, folded.last_accessed, password, view)

    # Operations

    def perform(self, operation: Callable[[], Outcome], origin: Origin) -> tuple[object, Change | None]:
        """Run an operation whole or not at all; return its result and the visible change it made.

        Raises what the operation raises, with everything taken back.
        """
        self.maps.begin()
        self._active_before = self.active
        try:
            outcome = operation()
            self._check_room()
        except BaseException:
            self.maps.rollback()
            self._dirty.clear()
            raise
        change = self.settle(origin)
        return (outcome() if callable(outcome) else outcome), change

    def _check_room(self) -> None:
        """Raise LimitExceeded for new entries where the document is full; it can still be cleared out."""
        document = self.maps.document
        if document is not None and document.exceeds(MAX_OWN) and self.maps.has_grown:
            raise LimitExceeded(limit="bytes of a session", max=MAX_OWN)

    def put(self, key: str, entry: Entry | None) -> None:
        """Write an own entry (see `DeviceMaps.put`) and remember which reference it is about."""
        self.maps.put(key, entry)
        name = reference_of(key)
        if name is not None:
            self._dirty[name] = None

    def put_later(self, key: str, entry: Entry) -> None:
        """As `put`, for what may reach the document later."""
        self.maps.put_later(key, entry)
        name = reference_of(key)
        if name is not None:
            self._dirty[name] = None

    def check_revision(self, if_revision: int | None) -> None:
        """Raise Conflict unless no explicit change of the session came after `if_revision`."""
        if if_revision is not None and not self.revisions.explicit <= if_revision <= self.revision:
            raise Conflict(revision=self.revision, current=None)

    def check_reference(self, microcosm_id: str, if_revision: int | None) -> None:
        """Raise Conflict unless the reference is at `if_revision` (0: must not exist)."""
        if if_revision is None:
            return
        current = self.references.get(microcosm_id)
        if if_revision != (current.revision if current else 0):
            raise Conflict(
                revision=current.revision if current else 0, current=current.value() if current else None
            )

    # Keeping what is visible in step

    def refresh(self, origin: Origin, names: Iterable[str] | None = None) -> Change | None:
        """Fold these references anew (default: all) and return the visible change, if any."""
        self._active_before = self.active
        self._dirty.update(dict.fromkeys(self._names() if names is None else names))
        return self.settle(origin)

    def settle(self, origin: Origin) -> Change | None:
        """Fold what an operation touched, give it a revision if anything visible changed, return the change."""
        changed: dict[str, Reference] = {}
        explicit: set[str] = set()
        removed: list[str] = []
        conflicts: list[str] = []
        dirty, self._dirty = self._dirty, {}
        every = self.all_rows() if self._are_many(dirty) else None
        for name in dirty:
            folded = self.fold(name) if every is None else fold(every.get(name, ()))
            self._note(name, folded, conflicts)
            old = self.references.get(name)
            if not folded.alive:
                if old is not None:
                    removed.append(name)
                continue
            new = self._reference(name, folded)
            if old is None or not old.same_fields(new):
                explicit.add(name)
            elif old.last_accessed == new.last_accessed:
                continue
            changed[name] = new
        active: str | Unset | None = self.active if self.active != self._active_before else ABSENT
        if not changed and not removed and active is ABSENT and not conflicts:
            return None
        return self._publish(changed, frozenset(explicit), removed, active, conflicts, origin)

    def _are_many(self, names: Collection[str]) -> bool:
        """Say whether the rows of these references are found more quickly by looking at all."""
        if len(names) <= 25:
            return False
        return 4 * len(names) > 100 + sum(len(entries) for _, entries in self.maps.sources)

    def _note(self, name: str, folded: Folded, conflicts: list[str]) -> None:
        """Keep removals and rivals in step, and erase secrets that count for nobody any more."""
        if folded.restorable:
            self.removed[name] = folded.gone
        else:
            self.removed.pop(name, None)
        if folded.alive and folded.rivals:
            known = {each.field.value for each in self.rivals.get(name, ())}
            if any(each.field.value not in known for each in folded.rivals):
                conflicts.append(name)
            self.rivals[name] = folded.rivals
        else:
            self.rivals.pop(name, None)
        for device in folded.dead:
            self.maps.erase(device, "p/" + name)

    def _publish(
        self,
        changed: dict[str, Reference],
        explicit: frozenset[str],
        removed: list[str],
        active: str | Unset | None,
        conflicts: list[str],
        origin: Origin,
    ) -> Change:
        before = self.revision
        visible = bool(changed or removed or active is not ABSENT)
        change = Change(
            self.name,
            before,
            before + 1 if visible else before,
            active,
            changed,
            tuple(removed),
            origin,
            explicit,
            tuple(conflicts),
        )
        if visible:
            self.revisions.record(change)
        for name in removed:
            del self.references[name]
        for name, reference in changed.items():
            reference.revision, reference.changed = self.revisions.of(name)
            self.references[name] = reference
        return change

    def load(self) -> None:
        """Fold everything that was just loaded, under the revisions that it had when it was journalled."""
        for name, rows in self.all_rows().items():
            folded = fold(rows)
            self._note(name, folded, [])
            if folded.alive:
                reference = self._reference(name, folded)
                reference.revision, reference.changed = self.revisions.of(name)
                self.references[name] = reference

    def all_rows(self) -> dict[str, list[Row]]:
        """Return the rows of every reference: what `rows` says of each, in one pass over the entries."""
        every: dict[str, list[Row]] = {}
        for device, entries in self.maps.sources:
            written: dict[str, list[Entry | None]] = {}
            for key, entry in entries.items():
                place = _PLACES.get(key[:2])
                if place is not None:
                    row = written.get(key[2:])
                    if row is None:
                        row = written[key[2:]] = [None, None, None, None]
                    row[place] = entry
            for name, row in written.items():
                every.setdefault(name, []).append(Row(device, *row))  # type: ignore[arg-type] # the key tells it
        return every

    def _names(self) -> set[str]:
        names = {name for _, map_ in self.maps.sources for key in map_ if (name := reference_of(key))}
        return names | self.references.keys() | self.removed.keys()

    def waiting_touches(self) -> dict[str, int]:
        """Return the stamps of accesses that no update holds yet, by reference."""
        return {key[2:]: self.maps.own[key].stamp for key in self.maps.later}

    # From peers

    def merge(self, update: bytes, origin: Origin) -> Change | None:
        """Apply a peer's update; return the visible change. Raises what `Document.apply` raises."""
        keys = self.maps.merge(update)
        for device, entries in self.maps.replaced.items():
            upkeep.keep_lost(self, device, entries)
        return self.refresh(origin, {name for key in keys if (name := reference_of(key))})

    def may_lose(self, key: str) -> bool:
        """Tell whether another member may delete an own entry: it counts no more, or kept a removed reference."""
        name = reference_of(key)
        if not self.still_counts(key):
            return True
        return name is not None and not isinstance(self.maps.own[key], Act) and not self.fold(name).alive

    def still_counts(self, key: str) -> bool:
        """Tell whether an own entry is of use to anyone: visible, restorable, in conflict, or a tombstone."""
        entry = self.maps.own.get(key)
        device, plain = adopted_key(key) or (self.maps.device, key)
        name = reference_of(plain)
        if entry is None or name is None:
            return entry is not None
        rows = self.rows(name)
        return counts(rows, fold(rows), device, plain, entry)

    def compact(self, now: int, drop: tuple[str, ...] = (), stored_by_all: int = 0) -> list[bytes]:
        """Rewrite the own map with what still counts; see `upkeep.compact`."""
        return upkeep.compact(self, now, drop, stored_by_all)

    def rescue(self, client: int, state: bytes, origin: Origin) -> Change | None:
        """Start over from a peer's document (see `DeviceMaps.rescue`); return the visible change."""
        self.maps.rescue(client, state)
        return self.refresh(origin)

    def adopt(self, device: str) -> None:
        """Copy what still counts of a device that leaves into the own map; see `upkeep.adopt`."""
        upkeep.adopt(self, device)

    def prepare_to_join(self, origin: Origin) -> tuple[list[bytes], Change | None]:
        """Make the document ready to be merged into a group's; see `upkeep.prepare_to_join`."""
        return upkeep.prepare_to_join(self, origin)
