"""A session in memory for one connection: the seed's unnamed one. Never stored, never synced, gone with its app."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from nogg.errors import NoggError
from nogg.ids import seed_order
from noggd.core import Reply
from noggd.domain.changes import Change, Origin
from noggd.domain.reference import Reference
from noggd.domain.revisions import Difference
from noggd.domain.session import Session, ephemeral


class PrivateSession:
    """Reads like a `SessionView`, changes like a session of the core, but at once and without a trace."""

    def __init__(self, name: str, now: int, tell: Callable[[Change, PrivateSession], None]) -> None:
        self.name = name
        self.epoch = secrets.token_hex(8)
        self._session = ephemeral(name, now)
        self._tell = tell

    @property
    def revision(self) -> int:
        """Revision of the session."""
        return self._session.revision

    @property
    def active(self) -> str | None:
        """What is active in it."""
        return self._session.active

    @property
    def references(self) -> dict[str, Reference]:
        """What is visible, by id."""
        return self._session.references

    def ordered(self) -> list[Reference]:
        """Return the references in seed order."""
        return [self.references[name] for name in sorted(self.references, key=seed_order)]

    def since(self, revision: int) -> Difference | None:
        """Return what changed after a revision; None where it was never issued."""
        return self._session.revisions.since(revision)

    def query(self, read: Callable[[Session], object], reply: Reply) -> None:
        """Reply with what `read` makes of it."""
        reply(read(self._session))

    def change(self, operation: Callable[[Session], object], reply: Reply, origin: Origin) -> None:
        """Run an operation whole or not at all, reply, then tell."""
        session = self._session
        try:
            result, change = session.perform(lambda: operation(session), origin)
        except NoggError as error:
            reply(error)
            return
        reply(result)
        if change is not None:
            self._tell(change, self)
