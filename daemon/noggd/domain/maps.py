"""The device maps of one document: entries by device, the own writes, what arrives from peers.

Knows how entries are kept, undone, repaired and handed on, not what they mean for a session (see `session`).
The own map in memory is the truth: the document follows it, and whatever a peer does to the map under our device
id is undone, unless it deleted what no longer counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from noggd.domain.document import Document
from noggd.domain.entries import Act, Entry, adopted_key, encode, parse
from noggd.domain.hlc import HybridClock

COMPACT_AFTER = 4000
"""Own operations after which the own map is compacted (it is never cheaper than its size)."""

_UNTOUCHED = object()


class DeviceMaps:
    """Entries of every device of one document.

    `document` is None for an ephemeral session. `members` are the devices whose maps count; None = all. Whether a
    peer may delete an own entry is for those to say who know what it means: `may_lose`.
    """

    def __init__(
        self,
        device: str,
        clock: HybridClock,
        document: Document | None,
        members: frozenset[str] | None = None,
        may_lose: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self.device = device
        self.clock = clock
        self.document = document
        self.members = members
        self.may_lose = may_lose
        self.entries: dict[str, dict[str, Entry]] = {device: {}}
        self._pending: dict[str, object | None] = {}
        self._later: dict[str, object] = {}
        self._erase: dict[tuple[str, str], None] = {}
        self.replaced: dict[str, dict[str, Entry]] = {}
        """Maps that the last `merge` replaced as a whole, as they were: a compaction, or a start after a rescue."""
        self._undo: list[tuple[str, Entry | None, object, object]] = []
        self._erased_before = 0
        self._own_replaced = False
        self.reload_due = False
        """Whether others have replaced maps so often that the document is worth being loaded anew."""
        self.trespassed = False
        """Whether the last `merge` wrote into our own map, which nobody else may."""
        self.latest = 0
        """The newest stamp that the last `merge` brought."""
        self._secret_left = False
        self._sources: list[tuple[str, dict[str, Entry]]] | None = None
        self._adopted: dict[str, dict[str, Entry]] = {}
        if document is not None:
            for name, stored in document.devices().items():
                self.entries[name] = self._parsed(stored)
        self._dead_when_loaded = self._dead()

    def close(self) -> None:
        """Let go of the document."""
        if self.document is not None:
            self.document.close()

    def encode(self) -> bytes:
        """Return the whole document as one update."""
        assert self.document is not None, "an ephemeral session has no document"
        return self.document.encode()

    @property
    def own(self) -> dict[str, Entry]:
        """The entries of this device."""
        return self.entries[self.device]

    def _parsed(self, stored: dict[str, Any]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        newest = forgot = 0
        for key, value in stored.items():
            entry = parse(key, value)
            if entry is not None:
                entries[key] = entry
                newest = max(newest, entry.stamp)
                if isinstance(entry, Act) and entry.forgot > forgot:
                    forgot = entry.forgot
        self._see(newest, forgot)
        return entries

    def _see(self, stamp: int, forgot: int) -> None:
        self.latest = max(self.latest, stamp)
        self.clock.see(stamp)
        self.clock.see(forgot)

    # What counts

    @property
    def sources(self) -> list[tuple[str, dict[str, Entry]]]:
        """The maps that count: those of members, and what members adopted from devices that left.

        Gathered when it is asked for after the list of maps has changed, because that is linear in the number
        of entries; single adopted entries are kept in step by `_readopt`.
        """
        if self._sources is None:
            counting = [(name, map_) for name, map_ in self.entries.items() if self._is_counted(name)]
            self._adopted = {}
            self._sources = counting
            for _, map_ in list(counting):
                for key in map_:
                    if key[0] == "x":
                        self._readopt(key)
        return self._sources

    def _is_counted(self, device: str) -> bool:
        return self.members is None or device in self.members or device == self.device

    def _readopt(self, key: str) -> None:
        """Take into the sources what became of an adopted entry: the newest counts where several took it over."""
        inner = adopted_key(key) if key[0] == "x" else None
        if inner is None or self._sources is None:
            return
        device, plain = inner
        held = [map_[key] for name, map_ in self.entries.items() if key in map_ and self._is_counted(name)]
        if held and device not in self._adopted:
            self._adopted[device] = {}
            self._sources.append((device, self._adopted[device]))
        if held:
            self._adopted[device][plain] = max(held, key=lambda entry: entry.stamp)
        elif device in self._adopted:
            self._adopted[device].pop(plain, None)

    def each(self, key: str) -> Iterator[tuple[str, Entry]]:
        """Yield (device, entry) of a key for every device whose word counts."""
        for device, entries in self.sources:
            entry = entries.get(key)
            if entry is not None:
                yield device, entry

    def newest(self, key: str) -> tuple[str, Entry] | None:
        """Return (device, entry) of the latest write of a key: largest (stamp, device)."""
        return max(self.each(key), key=lambda each: (each[1].stamp, each[0]), default=None)

    def set_members(self, members: frozenset[str]) -> bool:
        """Let only the maps of these devices count from now on; say whether that can change what is visible."""
        before, self.members = self.members, members
        self._sources = None
        return any(
            entries and (before is None or name in before) is not (name in members)
            for name, entries in self.entries.items()
            if name != self.device
        )

    # Own writes

    def become(self, device: str) -> None:
        """Write under another device id from here on; what is this device's own stays so (active, its name)."""
        former = self.own
        self.device = device
        if self.document is not None:
            self.document.device = device
        self.entries.setdefault(device, {})
        self._sources = None
        for key in ("a", "n"):
            if key in former:
                self.put(key, former[key])

    def begin(self) -> None:
        """Start an operation: what is put from here on can be taken back by `rollback`."""
        self._undo.clear()
        self._erased_before = len(self._erase)

    def rollback(self) -> None:
        """Take back what was put since `begin`."""
        for key, entry, pending, later in reversed(self._undo):
            _restore(self.own, key, _UNTOUCHED if entry is None else entry)
            _restore(self._pending, key, pending)
            _restore(self._later, key, later)
            self._readopt(key)
        self._undo.clear()
        for victim in list(self._erase)[self._erased_before :]:
            del self._erase[victim]

    @property
    def has_grown(self) -> bool:
        """Whether anything was put since `begin` under a key that was free before."""
        return any(before is None and key in self.own for key, before, *_ in self._undo)

    def put(self, key: str, entry: Entry | None) -> None:
        """Write an own entry, or delete it (None); it reaches the document at the next `flush`."""
        own, pending = self.entries[self.device], self._pending
        before = own.get(key)
        waited = self._later.pop(key, _UNTOUCHED)
        self._undo.append((key, before, pending.get(key, _UNTOUCHED), waited))
        if before is not None:
            self._note_secret(key, before)
        if entry is None:
            own.pop(key, None)
            pending[key] = None
        else:
            own[key] = entry
            pending[key] = encode(entry)
        if key[0] == "x":
            self._readopt(key)

    def put_later(self, key: str, entry: Entry) -> None:
        """Write an own entry that may wait: it reaches the document after `hurry`."""
        pending = self._pending.get(key, _UNTOUCHED)
        self._undo.append((key, self.own.get(key), pending, self._later.get(key, _UNTOUCHED)))
        self.own[key] = entry
        if pending is not _UNTOUCHED:
            self._pending[key] = encode(entry)
        else:
            self._later[key] = encode(entry)

    def erase(self, device: str, key: str) -> None:
        """Delete an entry that no longer counts, wherever it stands: in its device's map or adopted."""
        if device == self.device and key in self.own:
            self.put(key, None)
        elif key in self.entries.get(device, {}):
            self._erase[device, key] = None
        copy = f"x/{device}/{key}"
        for holder, entries in self.entries.items():
            if copy in entries:
                if holder == self.device:
                    self.put(copy, None)
                else:
                    self._erase[holder, copy] = None

    @property
    def later(self) -> list[str]:
        """The keys that wait for `hurry`."""
        return list(self._later)

    @property
    def unwritten(self) -> bool:
        """Whether the next `flush` has something to write."""
        return bool(self._pending or self._erase or self._own_replaced)

    def secret_left(self) -> bool:
        """Tell, once, whether a password was replaced or deleted: the journal still holds its bytes."""
        left, self._secret_left = self._secret_left, False
        return left

    def hurry(self) -> None:
        """Let the entries that may wait go with the next flush."""
        self._pending.update(self._later)
        self._later.clear()

    def flush(self) -> list[bytes]:
        """Write what was put into the document; return the updates for the journal and for peers."""
        if self.document is None:
            self._pending.clear()
            self._later.clear()
            self._erase.clear()
            return []
        updates: list[bytes | None] = []
        if self._own_replaced:
            self._own_replaced = False
            updates.append(self.document.replace({key: encode(entry) for key, entry in self.own.items()}))
        if self._pending or self._erase:
            updates.append(self.document.write(self._pending, self._erase))
        for device, key in self._erase:
            self._note_secret(key, self.entries.get(device, {}).pop(key, None))
            self._readopt(key)
        self._pending, self._erase = {}, {}
        self._undo.clear()
        return [update for update in updates if update is not None]

    def _note_secret(self, key: str, before: Entry | None) -> None:
        if before is not None and (key.startswith("p/") or (key[0] == "x" and "/p/" in key)):
            self._secret_left = True

    # From peers

    def merge(self, update: bytes) -> set[str]:
        """Apply an update from a peer; return the keys that changed (of an adopted entry: the inner key).

        Raises what `Document.apply` raises; then nothing changed, but for Broken.
        """
        assert self.document is not None, "an ephemeral session has no peers"
        changed: set[str] = set()
        self.replaced.clear()
        self.trespassed, self.latest = False, 0
        changes = self.document.apply(update)
        ours = changes.pop(self.device, {})
        # what was deleted may not count as things were (a removal that is let go by all), or as they are now
        useless = {key for key in ours or {} if self.may_lose(key)}
        for device, stored in changes.items():
            if stored is None:
                old = self.entries.pop(device, {})
                self.replaced[device] = old
                self._secret_left |= bool(old)  # a map that is new here took nothing with it
                self._sources = None
                new = self.entries[device] = self._parsed(self.document.device_map(device))
                same = {key for key, entry in old.items() if new.get(key) == entry}
                changed |= (old.keys() | new.keys()) - same if old else new.keys()
            else:
                if device not in self.entries:
                    self.entries[device] = {}
                    self._sources = None
                changed |= self._take(self.entries[device], stored)
        changed |= self._repair(ours, useless)
        if any(self.replaced.values()):
            left = self._dead() - self._dead_when_loaded
            self.reload_due = left >= max(COMPACT_AFTER, sum(map(len, self.entries.values())))
        adopted = [key for key in changed if key[0] == "x"]
        for key in adopted:
            self._readopt(key)
        inner = {parts[1] for key in adopted if (parts := adopted_key(key))}
        return changed.difference(adopted) | inner if adopted else changed

    def _take(self, entries: dict[str, Entry], stored: dict[str, Any]) -> set[str]:
        for key, value in stored.items():
            entry = None if value is None else parse(key, value)
            self._note_secret(key, entries.get(key))
            if entry is None:
                entries.pop(key, None)
            else:
                entries[key] = entry
                self._see(entry.stamp, entry.forgot if isinstance(entry, Act) else 0)
        return set(stored)

    def _repair(self, stored: dict[str, Any] | None, useless: set[str]) -> set[str]:
        """Undo what a peer did to our own map, but for the deletion of what no longer counts."""
        if stored is None:
            self._own_replaced = True
            return set()
        changed: set[str] = set()
        for key, value in stored.items():
            mine = self.own.get(key)
            if key in self._later:
                continue
            self.trespassed |= value is not None and (mine is None or value != encode(mine))
            if mine is None:
                if value is not None:
                    self._pending.setdefault(key, None)
            elif value is None and (key in useless or self.may_lose(key)):
                self._note_secret(key, self.own.pop(key))
                changed.add(key)
            elif value != encode(mine):
                self._pending.setdefault(key, encode(mine))
        return changed

    # Growth, joining, leaving

    @property
    def compaction_due(self) -> bool:
        """Whether the own map has been written often enough to be worth compacting."""
        return self.document is not None and self.document.operations >= max(COMPACT_AFTER, len(self.own))

    def _dead(self) -> int:
        """How many operations of others are no entry any more."""
        if self.document is None:
            return 0
        alive = sum(len(entries) for device, entries in self.entries.items() if device != self.device)
        return self.document.clock_of_others - alive

    def reload(self) -> None:
        """Load the document anew, which frees what others' replaced maps left in it. Changes nothing else."""
        if self.document is not None:
            self.document.reload()
        self._note_loaded()

    def _note_loaded(self) -> None:
        self.reload_due = False
        self._dead_when_loaded = self._dead()

    def compact(self, drop: tuple[str, ...] = ()) -> list[bytes]:
        """Replace the own map by one with the entries that it has now; `drop` whole maps of former members.

        Call it after `flush`, with everything removed from `own` that no longer counts.
        """
        if self.document is None:
            return []
        self.hurry()
        self._pending.clear()
        update = self.document.replace({key: encode(entry) for key, entry in self.own.items()}, drop)
        for device in drop:
            self.entries.pop(device, None)
        self._sources = None
        self._note_loaded()
        return [update]

    def rescue(self, client: int, state: bytes) -> None:
        """Start over from a peer's whole document, under a new client id, after we were rolled back or cloned.

        A device that was restored from a backup has forgotten what it wrote later, and may have written something
        else under the same clocks: such documents never agree again. So the peer's history stands, and both
        versions of the own map are merged, per key the later stamp. Raises what `Document.apply` raises.
        """
        assert self.document is not None, "an ephemeral session has no peers"
        fresh = Document(client, self.device)
        try:
            fresh.apply(state)
        except BaseException:
            fresh.close()
            raise
        self.document.close()
        self.document = fresh
        known, mine = self.entries, self.own
        self.entries = {device: self._parsed(stored) for device, stored in fresh.devices().items()}
        merged = self.entries.setdefault(self.device, {})
        for key, entry in mine.items():
            if key not in merged or merged[key].stamp < entry.stamp:
                merged[key] = entry
        for device, entries in known.items():
            if device != self.device:
                self._adopt_unknown(device, entries, merged)
        self._pending, self._later, self._erase = {}, {}, {}
        self._sources = None
        self.compact()

    def _adopt_unknown(self, device: str, entries: dict[str, Entry], own: dict[str, Entry]) -> None:
        there = self.entries.get(device, {})
        for key, entry in entries.items():
            unknown = key not in there or there[key].stamp < entry.stamp
            if unknown and key not in ("a", "n"):
                own.setdefault(key if key.startswith("x/") else f"x/{device}/{key}", entry)


def _restore(entries: dict[str, Any], key: str, old: object) -> None:
    if old is _UNTOUCHED:
        entries.pop(key, None)
    else:
        entries[key] = old
