"""One Y document: a map per device under the root map `devices`. The only module that touches pycrdt.

It stores and transports; what entries mean is the business of `entries`, `fold`, `session` and `person`.
pycrdt is a sharp tool, and these rules keep it safe: every foreign update passes the guard before yrs sees it;
after any exception but ValueError from yrs the document is broken and must be loaded anew from the journal;
handles to nested maps live inside one transaction only (y-crdt#493); updates are applied in order or not at all
(y-crdt#632).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pycrdt import Doc, Map, Subscription, TransactionEvent

from nogg.errors import ProtocolError
from noggd.domain.guard import (
    Guard,
    Incomplete,
    Rejected,
    decode_state_vector,
    delete_set,
    encode_state_vector,
)

ROOT = "devices"

MAX_DOCUMENT = 15 << 20
"""Bytes up to which peers may make a document grow: whole, it must fit into one update (16 MiB)."""
MAX_OWN = 14 << 20
"""Bytes of a document from which on nothing is added to it here."""
MEASURE_AFTER = 64 << 10
"""Bytes of updates after which the size of a document that looks too large is measured anew."""

Changes = dict[str, dict[str, Any] | None]
"""Per device the keys that an update changed (None = deleted), or None where its whole map was replaced."""

__all__ = ["MAX_OWN", "ROOT", "Broken", "Changes", "Document", "Incomplete"]


class Broken(Exception):
    """The document in memory must not be read again, but loaded anew from the journal.

    yrs failed inside an update that the guard had passed, or what an update holds turned out to be unlawful.
    """


class Document:
    """A Y document of one map per device, written under one client id.

    `client` is this device's Y client id, `device` its device id, `state` a whole document as
    `encode` gave it together with `judged` (None: it is judged anew), `updates` what was journalled after it.

    Raises ProtocolError where state and updates do not fit each other: then the store is broken.
    """

    def __init__(
        self,
        client: int,
        device: str,
        state: bytes = b"",
        updates: Iterable[bytes] = (),
        judged: list[Any] | None = None,
    ) -> None:
        self.client = client
        self.device = device
        self.brought: Mapping[int, int] = {}
        """The clock that each Y client has now who wrote what was new in the last update that was applied."""
        self.fresh = False
        """Whether the last update that was applied brought anything new."""
        self._guard = Guard(client, frozenset({ROOT}))
        if judged is not None:
            self._guard.restore(judged)
        elif state:
            self._guard.load(state)
        self._open(state, self._judge(updates))
        if decode_state_vector(self._doc.get_state()) != self._guard.vector:
            raise ProtocolError("a document is not what is kept of it")
        self.operations = self._operations()

    def _judge(self, updates: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what was journalled, once the guard knows it."""
        for update in updates:
            try:
                self._guard.own_write(update)
            except Incomplete as gap:
                raise ProtocolError("an update is missing between these") from gap
            yield update

    def _open(self, state: bytes, updates: Iterable[bytes] = ()) -> None:
        """Make the Y document of a state and what came after it."""
        self._doc: Doc[Any] = Doc(client_id=self.client)
        self._size = self._measured = len(state)
        if state:
            self._doc.apply_update(state)
        with self._doc.transaction():
            for update in updates:
                self._size += len(update)
                self._doc.apply_update(update)
        self._root = self._doc.get(ROOT, type=Map)
        self._updates: list[bytes] = []
        self._events: list[tuple[list[Any], dict[str, Any]]] = []
        self._fault: BaseException | None = None
        self._subscription: Subscription = self._doc.observe(self._on_update)

    def _operations(self) -> int:
        """Count what was written into the own map since it was made and is no entry of it any more."""
        made = self._guard.newest_map(self.client)
        own = self._root.get(self.device)
        if made is None or not isinstance(own, Map):
            return 0
        return max(0, self.own_clock - made - 1 - len(own))

    def _on_update(self, event: TransactionEvent) -> None:
        self._updates.append(event.update)
        self._size += len(event.update)

    def _on_events(self, events: list[Any]) -> None:
        try:
            self._events.extend((event.path, event.keys) for event in events)
        except BaseException as error:  # called from yrs, which loses what is raised here
            self._fault = error

    def close(self) -> None:
        """Let go of the Y document; a subscription that is left behind would keep it in memory for ever."""
        self._doc.unobserve(self._subscription)

    def devices(self) -> dict[str, dict[str, Any]]:
        """Return the stored entries of every device map. Linear in the document: for loading only."""
        return {
            device: entries
            for device, entries in json.loads(str(self._root)).items()
            if isinstance(entries, dict)
        }

    def device_map(self, device: str) -> dict[str, Any]:
        """Return the stored entries of one device map; empty where it has none."""
        found = self._root.get(device)
        return json.loads(str(found)) if isinstance(found, Map) else {}

    def write(
        self, entries: Mapping[str, object | None], erase: Iterable[tuple[str, str]] = ()
    ) -> bytes | None:
        """Write entries of the own map and return the update; None where nothing changed.

        A value of None deletes the entry. `erase` names entries of other devices' maps that no longer count
        (device, key): those are deleted, never written.
        """
        with self._doc.transaction() as transaction:
            handle = transaction._txn  # noqa: SLF001 # pycrdt's Map takes three times as long for each entry
            root = self._root.integrated
            own: Any = root.get(handle, self.device) if root.has(handle, self.device) else None
            made = type(own) is not type(root)
            if made:
                entries = {key: value for key, value in entries.items() if value is not None}
                if entries:
                    self._root[self.device] = Map()
                    own = root.get(handle, self.device)
            for key, value in entries.items():
                if value is not None:
                    own.insert(handle, key, value)
                elif own.has(handle, key):
                    own.remove(handle, key)
            for device, key in erase:
                foreign = self._root.get(device)
                if isinstance(foreign, Map) and key in foreign:
                    del foreign[key]
        # new entries count too: that only makes a compaction come a little early
        self.operations += len(entries)
        if made or len(self._updates) != 1:
            return self._written()
        # Values tell the guard nothing but how far we are (each counts one), and judging takes as long as writing.
        self._guard.own_values(sum(value is not None for value in entries.values()))
        return self._updates.pop()

    def replace(self, entries: Mapping[str, object], drop: Iterable[str] = ()) -> bytes:
        """Compact the own map: replace it by a new one with these entries. Return the update for peers.

        Only its owner may do this, because nobody else writes there (two replacements of one map lose one
        side). `drop` names device maps to delete as a whole. The document is loaded anew.
        """
        with self._doc.transaction() as transaction:
            self._root[self.device] = Map()
            handle = transaction._txn  # noqa: SLF001 # pycrdt's Map takes three times as long for each entry
            own: Any = self._root.integrated.get(handle, self.device)
            for key, value in entries.items():
                own.insert(handle, key, value)
            for device in drop:
                if device in self._root:
                    del self._root[device]
        self._guard.own_map(len(entries))
        (update,) = self._updates
        self.reload()
        self.operations = self._operations()
        return update

    def reload(self) -> None:
        """Load the document anew: only then yrs joins what is left of replaced maps, 2 bytes a change otherwise."""
        state = self.encode()
        self.close()
        self._open(state)

    def _written(self) -> bytes | None:
        updates, self._updates = self._updates, []
        for update in updates:
            self._guard.own_write(update)
        if len(updates) > 1:
            raise AssertionError("one transaction makes one update")
        return updates[0] if updates else None

    def apply(self, update: bytes) -> Changes:
        """Apply an update from a peer and tell what it changed.

        Raises Incomplete where it runs ahead of what is here (ask for a state-vector sync), Rejected
        (a ProtocolError) where it is malformed or hostile, Broken where the document has to be loaded anew.
        """
        checked = self._guard.check(update)
        growth = int(len(update) * checked.share)
        if growth and self.exceeds(MAX_DOCUMENT - growth):
            raise Rejected("the document would be too large")
        # For as long as this takes: events of our own writes would cost more than the writes. And of the integrated
        # map: pycrdt's own observer translates every event in Python.
        events = self._root.integrated.observe_deep(self._on_events)
        try:
            self._doc.apply_update(update)
            if self._fault is not None:
                raise self._fault
        except ValueError as error:
            raise ProtocolError("update refused by the document") from error
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise Broken(f"{type(error).__name__} while applying an update") from error
        finally:
            events.drop()
        self._guard.accept(checked)
        self.brought = checked.clocks
        self.fresh = bool(self._updates)
        self._updates.clear()
        return self._changes()

    def _changes(self) -> Changes:
        events, self._events = self._events, []
        changes: Changes = {}
        for path, keys in events:
            if not path:
                changes.update(dict.fromkeys(keys))
                continue
            changed = changes.setdefault(str(path[0]), {})
            if changed is not None and len(path) == 1:
                for key, change in keys.items():
                    changed[key] = None if change["action"] == "delete" else change["newValue"]
        return changes

    def exceeds(self, limit: int) -> bool:
        """Say whether the whole document has more than so many bytes.

        What updates add up to is more than what is left of them, so a document that looks too large is measured,
        now and then.
        """
        if self._size > limit and self._size - self._measured > MEASURE_AFTER:
            self._size = self._measured = len(self.encode())
        return self._size > limit

    @property
    def state_vector(self) -> bytes:
        """What is here, as a Y state vector."""
        return encode_state_vector(self._guard.vector)

    @property
    def own_clock(self) -> int:
        """How many operations were ever written under the own client id."""
        return self._guard.vector.get(self.client, 0)

    @property
    def clock_of_others(self) -> int:
        """How many operations others ever wrote."""
        return sum(self._guard.vector.values()) - self.own_clock

    def clock_of(self, client: int) -> int:
        """How many operations of a client id are here."""
        return self._guard.vector.get(client, 0)

    def missing(self, state_vector: bytes) -> bytes:
        """Return the update with all that a replica of this state vector lacks, the delete set included.

        Raises ProtocolError where the vector cannot be read.
        """
        return self._doc.get_update(encode_state_vector(decode_state_vector(state_vector)))

    def deletions(self) -> bytes:
        """Return the canonical delete set: equal bytes on replicas that have deleted the same."""
        return delete_set(self._doc.get_update(self._doc.get_state()))

    def judged(self) -> list[Any]:
        """Return, as plain JSON values, what the guard knows of the document: with it a start is quicker."""
        return self._guard.judged()

    def encode(self) -> bytes:
        """Return the whole document as one update."""
        return self._doc.get_update()
