"""The documents in memory, built from what the journal holds: the person's, and one per session.

Only the writer changes them, and only inside a batch. Whatever a failed batch did here is undone by building the
documents that it touched anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from nogg.errors import LimitExceeded, ProtocolError
from nogg.ids import is_session_name
from noggd.core.records import Record, decode
from noggd.domain.document import Document
from noggd.domain.entries import Touch
from noggd.domain.hlc import HybridClock
from noggd.domain.maps import DeviceMaps
from noggd.domain.person import PERSON, Person
from noggd.domain.session import Session

MAX_SESSIONS = 1000
"""Sessions of one person; more is a mistake or an attack."""

_PREFIX = "session/"
REVISIONS = "revisions"
"""Name of the snapshot that holds the revisions of all sessions."""


def document_of(session: str) -> str:
    """Return the name of a session's document."""
    return _PREFIX + session


def session_of(document: str) -> str | None:
    """Return the session that a document holds; None where it is no session's."""
    name = document.removeprefix(_PREFIX)
    return name if name != document and is_session_name(name) else None


@dataclass(slots=True)
class History:
    """What the journal holds, sorted by document.

    `judged`: what the guard knew of each document's snapshot. `secret`: a replaced secret still stands in it.
    `size`: bytes of the records behind the snapshots.
    """

    snapshots: dict[str, bytes] = field(default_factory=dict)
    updates: dict[str, list[bytes]] = field(default_factory=dict)
    revisions: dict[str, list[Any]] = field(default_factory=dict)
    changes: dict[str, list[Any]] = field(default_factory=dict)
    touches: dict[str, dict[str, int]] = field(default_factory=dict)
    judged: dict[str, list[Any]] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    clock: int = 0
    size: int = 0
    secret: bool = False

    @classmethod
    def read(
        cls, snapshots: Mapping[str, bytes], records: Iterable[bytes], meta: Mapping[str, Any]
    ) -> History:
        """Sort snapshots and records. Raises ProtocolError where one cannot be read."""
        history = cls(snapshots=dict(snapshots), meta=dict(meta))
        try:
            kept = from_json(history.snapshots.pop(REVISIONS, b"{}"))
            history.revisions = kept.get("sessions", {})
            history.touches = kept.get("touches", {})
            history.judged = kept.get("judged", {})
            history.clock = int(kept.get("clock", 0))
        except (ValueError, AttributeError, TypeError) as error:
            raise ProtocolError("the revisions in the store cannot be read") from error
        for data in records:
            history.size += len(data)
            history.add(decode(data))
        return history

    def add(self, record: Record) -> None:
        """Take in one record."""
        self.clock = max(self.clock, record.clock)
        self.secret |= record.secret
        for name, update in record.updates:
            self.updates.setdefault(name, []).append(update)
        for session, changes in record.changes.items():
            self.changes.setdefault(session, []).extend(changes)
        for session, stamps in record.touches.items():
            self.touches.setdefault(session, {}).update(stamps)

    def documents(self) -> set[str]:
        """Return the names of all documents that the journal knows."""
        return self.snapshots.keys() | self.updates.keys()


class Replicas:
    """The person's document and the sessions' in memory.

    `device` and `client` are this device's id and its Y client id. `members`: whose maps count; None = all.
    """

    def __init__(self, device: str, client: int, members: frozenset[str] | None) -> None:
        self.device = device
        self.client = client
        self.members = members
        self.clock = HybridClock()
        self.person = Person(device, self.clock, Document(client, device), members)
        self.sessions: dict[str, Session] = {}

    def load(self, history: History, documents: Iterable[str]) -> None:
        """Build these documents from the journal; one that it does not know becomes empty, or is let go.

        Raises ProtocolError where the journal does not make a document.
        """
        self.clock.see(history.clock)
        for name in documents:
            self._close(name)
            session = session_of(name)
            if name == PERSON:
                self.person = Person(self.device, self.clock, self._document(history, name), self.members)
            elif session is not None and name in history.documents():
                self.sessions[session] = self._session(history, session)

    def _close(self, name: str) -> None:
        session = self.sessions.pop(session_of(name) or "", None)
        if name == PERSON:
            self.person.maps.close()
        elif session is not None:
            session.maps.close()

    def _document(self, history: History, name: str) -> Document:
        state, updates = history.snapshots.get(name, b""), history.updates.get(name, ())
        return Document(self.client, self.device, state, updates, history.judged.get(name) if state else None)

    def _session(self, history: History, name: str) -> Session:
        document = self._document(history, document_of(name))
        session = Session(name, self.device, self.clock, document, self.members)
        if name in history.revisions:
            session.revisions.load(history.revisions[name])
        for change in history.changes.get(name, ()):
            session.revisions.apply(change)
        for reference, stamp in history.touches.get(name, {}).items():
            known = session.maps.own.get("t/" + reference)
            if known is None or known.stamp < stamp:
                session.maps.put_later("t/" + reference, Touch(stamp, stamp >> 10))
        session.load()
        return session

    def session(self, name: str) -> Session:
        """Return a session, made empty where there is none. Raises LimitExceeded."""
        session = self.sessions.get(name)
        if session is None:
            if len(self.sessions) >= MAX_SESSIONS:
                raise LimitExceeded(limit="sessions", max=MAX_SESSIONS)
            document = Document(self.client, self.device)
            session = self.sessions[name] = Session(name, self.device, self.clock, document, self.members)
        return session

    def maps(self, document: str) -> DeviceMaps | None:
        """Return the device maps of a document; None where it does not exist."""
        if document == PERSON:
            return self.person.maps
        session = self.sessions.get(session_of(document) or "")
        return session.maps if session else None

    def own_clock(self, document: str) -> int:
        """Return how many operations a document holds that were written under our client id."""
        maps = self.maps(document)
        return maps.document.own_clock if maps is not None and maps.document is not None else 0

    def documents(self) -> list[str]:
        """Return the names of all documents, the person's first."""
        return [PERSON, *sorted(map(document_of, self.sessions))]

    def every_map(self) -> dict[str, DeviceMaps]:
        """Return the maps of every document."""
        sessions = {document_of(name): session.maps for name, session in self.sessions.items()}
        return {PERSON: self.person.maps, **sessions}

    def snapshots(self) -> dict[str, bytes]:
        """Return everything as the journal keeps it after a compaction."""
        judged: dict[str, list[Any]] = {}
        kept: dict[str, Any] = {
            "clock": self.clock.last,
            "sessions": {name: session.revisions.dump() for name, session in self.sessions.items()},
            "touches": {
                name: touches
                for name, session in self.sessions.items()
                if (touches := session.waiting_touches())
            },
            "judged": judged,
        }
        found: dict[str, bytes] = {}
        for name in self.documents():
            maps = self.maps(name)
            assert maps is not None
            assert maps.document is not None
            found[name] = maps.document.encode()
            judged[name] = maps.document.judged()
        found[REVISIONS] = to_json(kept)
        return found
