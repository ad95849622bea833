"""What reads are served from: the durable state of each session, never a change whose fsync is under way."""

from __future__ import annotations

from nogg.ids import seed_order
from noggd.domain.changes import ABSENT, Change
from noggd.domain.reference import Reference
from noggd.domain.revisions import KEPT_REMOVALS, Difference
from noggd.domain.session import Session


class SessionView:
    """One session as it is on disk; touches show at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.revision = 0
        self.active: str | None = None
        self.references: dict[str, Reference] = {}
        self._active_revision = 0
        self._removed: dict[str, int] = {}
        self._floor = 0
        self._ordered: list[str] | None = None

    @classmethod
    def of(cls, session: Session) -> SessionView:
        """Return the view of a session that was just loaded."""
        view = cls(session.name)
        view.revision = session.revision
        view.active = session.active
        view.references = dict(session.references)
        view._active_revision = session.revisions.active
        view._removed = dict(session.revisions.removed)
        view._floor = session.revisions.floor
        return view

    def publish(self, change: Change) -> None:
        """Take in a change that is on disk now."""
        self.revision = change.revision
        for name in change.removed:
            self.references.pop(name, None)
            self._removed.pop(name, None)
            self._removed[name] = change.revision
            self._ordered = None
        for name, reference in change.set.items():
            if name not in self.references:
                self._ordered = None
                self._removed.pop(name, None)
            self.references[name] = reference
        if change.active is not ABSENT:
            self.active = change.active
            self._active_revision = change.revision
        while len(self._removed) > KEPT_REMOVALS:
            self._floor = max(self._floor, self._removed.pop(next(iter(self._removed))))

    def touch(self, microcosm_id: str, now: int) -> bool:
        """Show an access at once; its revision comes with the commit. False where there is no such reference."""
        reference = self.references.get(microcosm_id)
        if reference is None:
            return False
        if now > reference.last_accessed:
            self.references[microcosm_id] = reference.touched(now)
        return True

    def ordered(self) -> list[Reference]:
        """Return the references in seed order."""
        if self._ordered is None:
            self._ordered = sorted(self.references, key=seed_order)
        return [self.references[name] for name in self._ordered]

    def since(self, revision: int) -> Difference | None:
        """Return what changed after a revision; None where it was never issued here or is too long ago."""
        if not self._floor <= revision <= self.revision:
            return None
        return Difference(
            [name for name, reference in self.references.items() if reference.changed > revision],
            [name for name, removed in self._removed.items() if removed > revision],
            self._active_revision > revision,
        )


EMPTY_VIEW = SessionView("")
"""What a session that does not exist looks like."""
