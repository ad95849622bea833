"""One batch: items that are run one after the other against the documents in memory, and what they leave.

Everything here happens inside the writer, between two commits. Nothing here waits, replies or writes to disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nogg.errors import InternalError, NoggError, ProtocolError
from noggd.core.records import Record
from noggd.core.replicas import Replicas, document_of, session_of
from noggd.domain.changes import Change, Origin
from noggd.domain.document import Broken, Incomplete
from noggd.domain.entries import reference_of
from noggd.domain.hlc import stamp_at
from noggd.domain.person import PERSON, Person
from noggd.domain.restamping import newest_past, own_future, restamp
from noggd.domain.revisions import as_record
from noggd.domain.session import Session
from noggd.platform.traces import without_frames

log = logging.getLogger(__name__)

Reply = Callable[[Any], None]
"""Called once with a result or an error instance."""


MAX_FUTURE = 24 * 3600 * 1000
"""Milliseconds that a stamp of a peer may be ahead of our clock. Clocks may be ten minutes apart from one device to
the next (contract, section 4), and changes may come through several."""


class Merged(NamedTuple):
    """A peer's update is stored.

    `brought`: the clock that each Y client has now who wrote what was new in it; `trespassed`: it wrote into our
    own map.
    """

    brought: Mapping[int, int]
    trespassed: bool


class Item:
    """Something to do in a batch, and whom to tell."""

    __slots__ = ("changes", "failed", "reply", "result", "run")

    def __init__(self, run: Callable[[Batch], object], reply: Reply) -> None:
        self.run = run
        self.reply = reply
        self.result: object = None
        self.changes: list[Change] = []
        self.failed = False

    def fresh(self) -> Item:
        """Return the item as it was before it ran."""
        return Item(self.run, self.reply)


class Batch:
    """What is done with one fsync.

    `touched`: documents that a failure has to build anew. `updates`: (document, update, device it came from).
    """

    def __init__(self, replicas: Replicas, items: list[Item]) -> None:
        self.replicas = replicas
        self.items = items
        self.touched: set[str] = set()
        self.updates: list[tuple[str, bytes, str]] = []
        self.person_touched = False
        self.active_elsewhere = False
        self._listed: set[str] = set()  # sessions that the person's document is known to list
        self.secret_left = False
        self.size = 0
        """Bytes of its record in the journal."""
        self.new_life: dict[str, str] | None = None
        """Notes of the store (client ids, epoch) after a rescue: then the journal starts over from snapshots."""
        self._record = Record()
        self._item = items[0] if items else Item(lambda batch: None, lambda result: None)

    def run(self) -> Record:
        """Run all items and return what the journal has to hold. Raises Broken (see `broken`)."""
        for item in self.items:
            self._item = item
            try:
                item.result = item.run(self)
            except (NoggError, ProtocolError, Incomplete) as error:
                item.result = without_frames(error)  # they hold this batch
            except Broken:
                raise
            except Exception:  # whatever fails inside one operation must not stop the service
                log.exception("an operation failed")
                item.result = InternalError()
        self._flush()
        record = self._record
        record.clock = self.replicas.clock.last
        record.secret = self.secret_left
        record.updates = [(name, update) for name, update, _ in self.updates]
        return record

    def broken(self, error: Broken) -> None:
        """Note that the present item broke a document: it fails, the others can be run again."""
        self._item.failed = True
        self._item.result = ProtocolError(str(error))

    def _flush(self) -> None:
        for name in sorted(self.touched):
            maps = self.replicas.maps(name)
            if maps is None:
                continue
            self._take(name, maps.flush())
            self.secret_left |= maps.secret_left()

    def _take(self, document: str, updates: list[bytes]) -> None:
        self.updates.extend((document, update, self.replicas.device) for update in updates)

    def _note(self, change: Change | None) -> None:
        if change is not None:
            self._item.changes.append(change)
            if change.revision != change.from_revision:
                self._record.changes.setdefault(change.session, []).append(as_record(change))

    # What items do

    def change(self, name: str, operation: Callable[[Session], object], origin: Origin, now: int) -> object:
        """Run an operation on a session."""
        known = name in self.replicas.sessions
        session = self.replicas.session(name)
        self.touched.add(document_of(name))
        try:
            result, change = session.perform(lambda: operation(session), origin)
        finally:
            if not known and not session.maps.unwritten and not session.maps.later:
                del self.replicas.sessions[name]
                session.maps.close()
        self._note(change)
        if name not in self._listed and session.maps.unwritten:
            self._list(name, now)
        return result

    def _list(self, name: str, now: int) -> None:
        """See to it that the person's document lists a session that something is written into."""
        if not self.replicas.person.has_session(name):
            self._person().note_session(now, name, True)
        self._listed.add(name)

    def _person(self) -> Person:
        self._listed.clear()
        self.touched.add(PERSON)
        self.person_touched = True
        return self.replicas.person

    def change_person(self, operation: Callable[[Person], object]) -> object:
        """Run an operation on the person's document."""
        person = self._person()
        return person.perform(lambda: operation(person))

    def drop(self, name: str, origin: Origin, now: int) -> object:
        """Remove a session: its references for all devices, and its name from the list."""
        known = self.replicas.sessions.get(name)
        if not self.replicas.person.has_session(name) and not (known and known.references):
            return {"dropped": False}
        result = self.change(name, lambda session: session.drop(now), origin, now)
        self._person().note_session(now, name, False)
        return result

    def touch(self, name: str, microcosm_id: str, stamp: int, origin: Origin) -> None:
        """Count an access at `stamp`; it reaches the document later."""
        session = self.replicas.sessions.get(name)
        if session is None:
            return
        self.touched.add(document_of(name))
        _, change = session.perform(lambda: session.touch_at(stamp, microcosm_id), origin)
        self._note(change)
        key = "t/" + microcosm_id
        if key in session.maps.own:
            self._record.touches.setdefault(name, {})[microcosm_id] = session.maps.own[key].stamp

    def hurry(self) -> None:
        """Let waiting accesses go into the documents."""
        for name, session in self.replicas.sessions.items():
            if session.maps.later:
                self.touched.add(document_of(name))
                session.maps.hurry()

    def merge(self, document: str, update: bytes, origin: Origin, now: int) -> Merged:
        """Merge a peer's update into a document; tell if it wrote where only we may, which is undone.

        A stamp that is more than a day ahead would order everybody's acts until then. Honest ones send none (they
        hold changes back while their clock is ahead), so an update that has one leaves no trace.
        """
        name = session_of(document)
        last = self.replicas.clock.last
        self.touched.add(document)
        if name is None:
            self._person().merge(update)
            maps = self.replicas.person.maps
        else:
            session = self.replicas.session(name)
            elsewhere = session.everywhere()
            self._note(session.merge(update, origin))
            self.active_elsewhere |= session.everywhere() != elsewhere
            maps = session.maps
        assert maps.document is not None
        if maps.latest > stamp_at(now + MAX_FUTURE):
            self.replicas.clock.last = last
            raise Broken("it stamps changes more than a day ahead: its clock is wrong")
        if maps.document.fresh:
            self.updates.append((document, update, origin.device))
        return Merged(maps.document.brought, maps.trespassed)

    def set_members(self, members: frozenset[str]) -> None:
        """Let only these devices' maps count, in every document."""
        self.replicas.members = members
        self._person().maps.set_members(members)
        for name, session in self.replicas.sessions.items():
            self.touched.add(document_of(name))
            if session.maps.set_members(members):  # who joins has written nothing yet: nothing to fold anew
                self._note(session.refresh(Origin(self.replicas.device)))

    def exclude(self, device: str, members: frozenset[str], now: int) -> None:
        """Adopt what a device that left had written, then let it count no more and drop its maps."""
        self._person().adopt(device)
        for session in self.replicas.sessions.values():
            session.adopt(device)
        self.set_members(members)
        self._take(
            PERSON, [*self.replicas.person.maps.flush(), *self.replicas.person.maps.compact((device,))]
        )
        for name, session in self.replicas.sessions.items():
            self._take(document_of(name), [*session.maps.flush(), *session.compact(now, (device,))])

    def become(self, device: str, members: frozenset[str], now: int) -> None:
        """Go on as another device: take over what was written under the former id, as from one that left."""
        former = self.replicas.device
        self.replicas.device = device
        self._person().maps.become(device)
        for name, session in self.replicas.sessions.items():
            self.touched.add(document_of(name))
            session.maps.become(device)
        self.exclude(former, members, now)

    def join(self, keep_username: bool) -> dict[str, int]:
        """Let go of what must not reach into the group that is joined; return what will be merged."""
        counted = {"sessions": 0, "references": 0}
        self._person().prepare_to_join(keep_username)
        for name, session in self.replicas.sessions.items():
            self.touched.add(document_of(name))
            updates, change = session.prepare_to_join(Origin(self.replicas.device))
            self._take(document_of(name), updates)
            self._note(change)
            counted["sessions"] += 1
            counted["references"] += len(session.references)
        return counted

    def rescue(self, states: Mapping[str, bytes], client: int, notes: dict[str, str]) -> None:
        """Start over under a new client id, from the documents of a peer where it has them."""
        here = Origin(self.replicas.device)
        person = self._person()
        person.maps.rescue(client, states.get(PERSON, b"") or person.maps.encode())
        for document in states:
            name = session_of(document)
            if name is not None:
                self.replicas.session(name)
        for name, session in self.replicas.sessions.items():
            document = document_of(name)
            self.touched.add(document)
            self._note(session.rescue(client, states.get(document, b"") or session.maps.encode(), here))
        self.replicas.client = client
        self.new_life = notes

    def compact(self, now: int, stored_by_all: int) -> None:
        """Rewrite the own maps that have been written often; free what others' rewritten maps left."""
        for document, maps in self.replicas.every_map().items():
            if maps.compaction_due:
                self.touched.add(document)
                session = self.replicas.sessions.get(session_of(document) or "")
                self._take(document, maps.flush())
                compacted = session.compact(now, stored_by_all=stored_by_all) if session else maps.compact()
                self._take(document, compacted)
            elif maps.reload_due:
                self.touched.add(document)
                self._take(document, maps.flush())
                maps.reload()

    def mend_clock(self, now: int) -> int:
        """Stamp anew what was written while the clock ran far ahead; return how many acts that were."""
        named = self.replicas.every_map()
        future = sorted({stamp for maps in named.values() for stamp in own_future(maps, now)})
        if not future:
            return 0
        self.replicas.clock.last = max(newest_past(maps, now) for maps in named.values())
        new = {stamp: self.replicas.clock.tick(now) for stamp in future}
        here = Origin(self.replicas.device)
        for document, maps in named.items():
            keys = restamp(maps, new)
            if keys:
                self.touched.add(document)
            session = self.replicas.sessions.get(session_of(document) or "")
            if session is not None and keys:
                self._note(session.refresh(here, {name for key in keys if (name := reference_of(key))}))
        return len(future)
