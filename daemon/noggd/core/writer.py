"""The writer: one queue, one batch at a time, one fsync per batch.

    submitted items ──► batch: run each against the documents in memory
                          │ one update per document
                          ▼
                        journal (its own thread, fsync)
                          │
                          ▼
                        replies and views, then listeners, then updates to peers

While a batch is being written nothing else touches the documents: what waits becomes the next batch (natural group
commit). So between batches memory equals disk, and a batch that cannot be written is undone by building the
documents that it touched anew. Lives in the event loop's thread and is driven by callbacks.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nogg.errors import NoggError, ProtocolError, ShuttingDown, StorageFailed
from noggd.core.batch import Batch, Item, Reply
from noggd.core.maintenance import Loop, Maintenance
from noggd.core.replicas import History, Replicas, session_of
from noggd.core.runs import KEY as RUNS
from noggd.core.runs import Runs
from noggd.core.views import EMPTY_VIEW, SessionView
from noggd.domain.changes import Change, DevicesChange, EpochChange, IdentityChange, Origin
from noggd.domain.document import Broken
from noggd.domain.hlc import milliseconds
from noggd.domain.person import PERSON, Person
from noggd.domain.session import Session
from noggd.storage.writer import JournalWriter

log = logging.getLogger(__name__)

Told = Change | IdentityChange | DevicesChange | EpochChange
Listener = Callable[[Told], None]
UpdateListener = Callable[[str, bytes, str], None]


class Core:
    """The session of this device: reads from durable views, writes through one queue.

    `now` gives Unix milliseconds, `loop` the turns (default: the running event loop). Every reply is called once,
    in the loop's thread, with the result or with an error instance (of `NoggError`; for `merge` also Incomplete or
    ProtocolError), after the change is on disk.
    """

    def __init__(
        self,
        store: JournalWriter,
        replicas: Replicas,
        history: History,
        now: Callable[[], int],
        loop: Loop | None = None,
    ) -> None:
        self.device = replicas.device
        self._members = replicas.members
        self.clients = tuple(int(each) for each in str(history.meta["clients"]).split())
        """Every Y client id that this device ever wrote under, the present one last."""
        self.epoch = str(history.meta["epoch"])
        self.run = ""
        """Name of this run, for peers to remember; empty where the store had no room to note it."""
        self.runs = Runs([])
        self.stored_by_all = 0
        """Stamp up to which every member is known to have stored everything; the links to peers keep it."""
        self.identity_id = ""
        self.aliases: tuple[str, ...] = ()
        self.now = now
        self.views = {name: SessionView.of(session) for name, session in replicas.sessions.items()}
        self.sessions = replicas.person.sessions()
        self.username = replicas.person.username
        self.device_names = replicas.person.device_names()
        self._replicas = replicas
        self._store = store
        self._loop = loop or asyncio.get_running_loop()
        self._queue: list[Item] = []
        self._busy = False
        self._scheduled = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._stale: set[str] = set()
        self._listeners: list[Listener] = []
        self._update_listeners: list[UpdateListener] = []
        self._maintenance = Maintenance(self, self._loop)
        self._maintenance.size = history.size
        self._maintenance.note_waiting(replicas, history.secret)

    # Reading

    def view(self, session: str) -> SessionView:
        """Return the durable state of a session; an empty one where it does not exist."""
        return self.views.get(session, EMPTY_VIEW)

    def query(self, session: str, read: Callable[[Session], object], reply: Reply) -> None:
        """Run a read that needs the rules, between writes."""
        self._submit(Item(lambda batch: self._read(session, read), reply))

    def _read(self, name: str, read: Callable[[Session], object]) -> object:
        known = self._replicas.sessions.get(name)
        return read(known or Session(name, self.device, self._replicas.clock, None))

    def documents(self) -> list[str]:
        """Return the names of all documents."""
        return self._replicas.documents()

    # Changing

    def change(
        self, session: str, operation: Callable[[Session], object], reply: Reply, origin: Origin
    ) -> None:
        """Run an operation on a session, whole or not at all; a first change makes the session."""
        self._submit(Item(lambda batch: batch.change(session, operation, origin, self.now()), reply))

    def change_person(self, operation: Callable[[Person], object], reply: Reply, origin: Origin) -> None:
        """Run an operation on the person's document."""
        self._submit(Item(lambda batch: batch.change_person(operation), reply))

    def drop_session(self, session: str, reply: Reply, origin: Origin) -> None:
        """Remove a session with all its references, for every device of the person."""
        self._submit(Item(lambda batch: batch.drop(session, origin, self.now()), reply))

    def touch(self, session: str, microcosm_id: str, origin: Origin) -> None:
        """Count an access: visible at once, on disk within a second, dropped where the disk is full."""
        stamp = self._replicas.clock.tick(
            self.now()
        )  # of the access, not of its commit: acts in between are newer
        if self.view(session).touch(microcosm_id, milliseconds(stamp)) and not self._stopping:
            self._maintenance.touch(session, microcosm_id, stamp, origin)

    # Peers

    def state(self, reply: Reply) -> None:
        """Reply with {document: (state vector, canonical delete set)} of every document."""
        self._submit(Item(lambda batch: self._states(), reply))

    def _states(self) -> dict[str, tuple[bytes, bytes]]:
        states = {}
        for name in self._replicas.documents():
            maps = self._replicas.maps(name)
            assert maps is not None
            assert maps.document is not None
            states[name] = (maps.document.state_vector, maps.document.deletions())
        return states

    def vector(self, document: str) -> bytes:
        """Return the state vector of a document. Inside a reply or a listener it is that of the disk."""
        maps = self._replicas.maps(document)
        return maps.document.state_vector if maps is not None and maps.document is not None else b"\x00"

    def missing(self, document: str, state_vector: bytes, reply: Reply) -> None:
        """Reply with the update that a replica of this state vector lacks; ProtocolError for a bad vector."""
        self._submit(Item(lambda batch: self._missing(document, state_vector), reply))

    def _missing(self, name: str, state_vector: bytes) -> bytes:
        maps = self._replicas.maps(name)
        if maps is None or maps.document is None:
            return b"\x00\x00"
        return maps.document.missing(state_vector)

    def settle(self, reply: Reply) -> None:
        """Let accesses that wait go into the documents; replies when they are on disk and on their way to peers."""
        self._maintenance.write_touches()
        self._submit(Item(lambda batch: batch.hurry(), reply))

    def merge(self, document: str, update: bytes, device: str, reply: Reply) -> None:
        """Merge a peer's update. Replies Merged once it is stored, or Incomplete, or ProtocolError."""
        if document != PERSON and session_of(document) is None:
            reply(ProtocolError("no such document"))
            return
        self._submit(Item(lambda batch: batch.merge(document, update, Origin(device), self.now()), reply))

    def set_members(self, members: frozenset[str], reply: Reply) -> None:
        """Let only these devices' maps count."""
        self._submit(Item(lambda batch: batch.set_members(members), reply))

    def exclude(self, device: str, members: frozenset[str], reply: Reply) -> None:
        """Keep what a device wrote, in our own maps, and let it count no more."""
        self._submit(Item(lambda batch: batch.exclude(device, members, self.now()), reply))

    def become(self, device: str, members: frozenset[str], reply: Reply) -> None:
        """Go on under another device id, because the key is a new one; what was written so far is kept."""
        self._submit(Item(lambda batch: batch.become(device, members, self.now()), reply))

    def join(self, keep_username: bool, reply: Reply) -> None:
        """Make the documents ready to be merged into a group's; replies {"sessions": n, "references": n}."""
        self._submit(Item(lambda batch: batch.join(keep_username), reply))

    def adopt_run(self, name: str, reply: Reply) -> None:
        """Note that what a forgotten run wrote was taken over; replies when that is on disk."""
        self.runs.adopt(name)
        text = self.runs.encode()
        self._store.run(
            lambda: self._store.journal.set_meta({RUNS: text}),
            lambda _, error: self._from_thread(reply, error),
        )

    def rescue(self, states: Mapping[str, bytes], reply: Reply) -> None:
        """Start over from a peer's whole documents, after it turned out to know more of us than we do.

        We were restored from a backup, or cloned: nothing is lost, but client id and epoch are new from here on.
        """
        client = secrets.randbits(32) | 1
        clients = " ".join(map(str, (*self.clients, client)))
        notes = {"clients": clients, "epoch": secrets.token_hex(8)}
        self._submit(Item(lambda batch: batch.rescue(states, client, notes), reply))

    def mend_clock(self, reply: Reply) -> None:
        """Stamp anew what was written while our clock ran far ahead; replies how many acts that were.

        For when the peers agree with our clock, and before anything that was held back goes out.
        """
        self._maintenance.write_touches()  # those that wait were stamped by the wrong clock too
        self._submit(Item(lambda batch: batch.mend_clock(self.now()), reply))

    def compact_maps(self, reply: Reply) -> None:
        """Rewrite the own map of every document with what still counts."""
        self._submit(Item(lambda batch: batch.compact(self.now(), self.stored_by_all), reply))

    def compact_journal(self, done: Callable[[BaseException | None], None]) -> None:
        """Replace the journal by snapshots of what is in memory; only between batches, when the two are equal."""
        journal, snapshots = self._store.journal, self._replicas.snapshots()
        self._store.run(
            lambda: journal.compact(snapshots, journal.last_seq),
            lambda _, error: self._from_thread(done, error),
        )

    def prove(self, done: Callable[[BaseException | None], None]) -> None:
        """Call `done` when a write to the store, which changes nothing, came to its end, well or not."""
        self._store.run(self._store.journal.prove, lambda _, error: self._from_thread(done, error))

    @property
    def clock(self) -> int:
        """The newest stamp that was given or seen."""
        return self._replicas.clock.last

    # Listening

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every visible change, once it is on disk; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_update(self, listener: UpdateListener) -> Callable[[], None]:
        """Call `listener` with (document, update, device that it came from) once it is on disk."""
        self._update_listeners.append(listener)
        return lambda: self._update_listeners.remove(listener)

    # The queue

    def submit(self, run: Callable[[Batch], object], reply: Reply) -> None:
        """Run something inside the next batch; for this package only."""
        self._submit(Item(run, reply))

    def _submit(self, item: Item) -> None:
        if self._stopping:
            item.reply(ShuttingDown())
            return
        self._queue.append(item)
        self._schedule()

    def _schedule(self) -> None:
        if not self._busy and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next)

    def wake(self) -> None:
        """Look at the queue soon, even if it is empty."""
        self._schedule()

    def _next(self) -> None:
        self._scheduled = False
        if self._busy:
            return
        if self._stale:
            self._rebuild([])
            return
        self._maintenance.between_batches()
        if not self._queue:
            self._idle.set()
            return
        self._idle.clear()
        items, self._queue = self._queue, []
        batch = Batch(self._replicas, items)
        try:
            record = batch.run()
        except Broken as broken:
            log.warning("a document is built anew: %s", broken)
            batch.broken(broken)
            self._undo(batch, None)
            return
        if batch.new_life is not None:
            self._busy = True
            self._start_over(batch, batch.new_life)
        elif record.empty:
            self._finish(batch)
            self._schedule()
        else:
            self._append(batch, record.encode())

    def _append(self, batch: Batch, record: bytes) -> None:
        batch.size = len(record)
        if self._store.prompt:
            self._written(batch, self._store.append_now(record))
        else:
            self._busy = True
            self._store.submit(record, lambda error: self._from_thread(self._written, batch, error))

    def _start_over(self, batch: Batch, notes: dict[str, str]) -> None:
        journal, snapshots = self._store.journal, self._replicas.snapshots()
        self._store.run(
            lambda: journal.compact(snapshots, journal.last_seq, notes),
            lambda _, error: self._from_thread(self._written, batch, error),
        )

    def _from_thread(self, function: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    def _written(self, batch: Batch, error: BaseException | None) -> None:
        self._busy = False
        if error is not None:
            self._undo(batch, error)
            return
        self._finish(batch)
        self._maintenance.written(batch)
        self._schedule()

    def _finish(self, batch: Batch) -> None:
        self.device, self._members = self._replicas.device, self._replicas.members
        for item in batch.items:
            for change in item.changes:
                if change.revision != change.from_revision:
                    self.views.setdefault(change.session, SessionView(change.session)).publish(change)
            _call(item.reply, item.result)
        for item in batch.items:
            for change in item.changes:
                self._tell(change)
        if batch.person_touched:
            self._publish_person()
        if batch.new_life is not None:
            self.clients = tuple(map(int, batch.new_life["clients"].split()))
            self.epoch = batch.new_life["epoch"]
            self._tell(EpochChange(self.epoch))
        if batch.active_elsewhere:
            self._tell(DevicesChange())
        for document, update, source in batch.updates:
            for listener in list(self._update_listeners):
                _call(listener, document, update, source)

    def _publish_person(self) -> None:
        person = self._replicas.person
        self.sessions = person.sessions()
        names = person.device_names()
        if person.username != self.username:
            self.username = person.username
            self.announce_identity()
        if names != self.device_names:
            self.device_names = names
            self._tell(DevicesChange())

    def everywhere(self, session: str) -> dict[str, str | None]:
        """Return what is active on each device. Inside a reply or a listener it is what the disk holds."""
        known = self._replicas.sessions.get(session)
        return {device: active for device, active, _ in known.everywhere()} if known is not None else {}

    def announce_devices(self) -> None:
        """Tell listeners that something about the devices changed."""
        self._tell(DevicesChange())

    def announce_identity(self) -> None:
        """Tell listeners who the person is now."""
        self._tell(IdentityChange(self.identity_id, self.username, self.aliases))

    def _tell(self, change: Told) -> None:
        for listener in list(self._listeners):
            _call(listener, change)

    # When the journal or a document fails

    def _undo(self, batch: Batch, error: BaseException | None) -> None:
        """Take a batch back: nothing of it was kept. What did not fail itself is tried again."""
        self._replicas.device, self._replicas.members = self.device, self._members
        self._stale |= batch.touched
        failed = batch.items if error is not None else [item for item in batch.items if item.failed]
        if error is None:
            self._queue[:0] = [item.fresh() for item in batch.items if not item.failed]
        elif not isinstance(error, NoggError):
            log.error("the journal failed", exc_info=error)
            error = StorageFailed(retryable=True)
        for item in failed:
            item.result = error if error is not None else item.result
        self._rebuild(failed)

    def _rebuild(self, failed: list[Item]) -> None:
        self._busy = True
        self._store.run(
            self._store.journal.load,
            lambda loaded, error: self._from_thread(self._rebuilt, failed, loaded, error),
        )

    def _rebuilt(self, failed: list[Item], loaded: Any, error: BaseException | None) -> None:
        self._busy = False
        if error is None:
            stale, self._stale = self._stale, set()
            self._replicas.load(History.read(loaded.snapshots, loaded.records, loaded.meta), stale)
            self._refresh_views(stale)
        else:
            failed = [*failed, *self._queue]
            self._queue = []
            for item in failed:
                item.result = StorageFailed(retryable=True)
        for item in failed:
            _call(item.reply, item.result)
        if self._queue:
            self._schedule()
        else:
            self._idle.set()

    def _refresh_views(self, documents: Iterable[str]) -> None:
        for document in documents:
            session = session_of(document)
            if session is None:
                continue
            self.views.pop(session, None)
            if session in self._replicas.sessions:
                self.views[session] = SessionView.of(self._replicas.sessions[session])

    # The end

    async def drain(self) -> None:
        """Take nothing new, finish what was accepted, write what could wait."""
        self._maintenance.close()
        if not self._stopping:
            self._submit(Item(lambda batch: batch.hurry(), lambda result: None))
        self._stopping = True
        while self._busy or self._queue or self._scheduled:
            self._idle.clear()
            await self._idle.wait()


def _call(function: Callable[..., object], *arguments: object) -> None:
    """Call somebody outside; a fault of theirs must neither keep others from being told nor stop the writer."""
    try:
        function(*arguments)
    except Exception:  # whatever it is, it belongs to them, and the log has it
        log.exception("what the core told was not taken well")
