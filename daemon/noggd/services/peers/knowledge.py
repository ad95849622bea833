"""What is known of other devices from their links, linked or not: what they have stored, and when we last heard.

What sync.wait and sync.status tell rests on this. Kept in memory, but for what must be known of a device
that may come back as an old copy of itself, which goes into trust.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from noggd.core import Core
from noggd.core.replicas import document_of
from noggd.domain.changes import Change, Unset
from noggd.domain.update import decode_state_vector
from noggd.platform.clock import monotonic
from noggd.services.peers.link import Link
from noggd.services.peers.marks import Marks
from noggd.storage.trust import Trust

Vector = Mapping[int, int]


class Knowledge:
    """What was learned over links; `remember` is called when one ends."""

    def __init__(self, core: Core, trust: Trust) -> None:
        self._core = core
        self._trust = trust
        self._stored: dict[str, dict[str, Vector]] = {}
        self._last_sync: dict[str, int] = {}
        self._marks: defaultdict[str, Marks] = defaultdict(Marks)
        self._waiters: set[Callable[[], None]] = set()

    def remember(self, link: Link) -> None:
        """Keep what a link that ends knows."""
        self.note_seen(link, 0)
        if link.last_sync is not None:
            self._last_sync[link.device] = link.last_sync
        known = self._stored.setdefault(link.device, {})
        for document in self._core.documents():
            here = decode_state_vector(
                self._core.vector(document)
            )  # what it claims beyond that means nothing
            has = _union(known.get(document, {}), link.documents.replica.peer_has(document))
            known[document] = {client: clock for client, clock in has.items() if client in here}

    def note_seen(self, link: Link, after: int) -> None:
        """Note, if that was not done for `after` milliseconds, that a device is linked and what is here of it."""
        now, peer = self._core.now(), self._trust.peers.get(link.device)
        if link.hello is None or (after and peer is not None and now - (peer.last_seen or 0) < after):
            return
        self._trust.note(link.device, last_seen=now)
        if link.hello.run:
            client = link.hello.client
            vectors = {name: decode_state_vector(self._core.vector(name)) for name in self._core.documents()}
            clocks = {name: vector[client] for name, vector in vectors.items() if client in vector}
            self._trust.note_seen(link.device, link.hello.run, client, clocks)

    def mark(self, change: object) -> None:
        """Note which state holds the revision of a change; a listener of the core."""
        if isinstance(change, Change) and self._trust.others:
            access = not change.explicit and not change.removed and isinstance(change.active, Unset)
            vector = self._core.vector(document_of(change.session))
            self._marks[change.session].note(change.revision, vector, access=access, now=monotonic())

    def state_with(self, session: str, revision: int) -> Vector | None:
        """Return a state of a session's document that holds a revision, if one is known."""
        marks = self._marks.get(session)
        vector = marks.state_with(revision) if marks is not None else None
        return None if vector is None else decode_state_vector(vector)

    def stored_by(self, device: str, document: str, link: Link | None) -> Vector:
        """Return the state vector that a device is known to have on its disk; `link` is the one to it, if any."""
        before = self._stored.get(device, {}).get(document, {})
        return before if link is None else _union(before, link.documents.replica.peer_has(document))

    def last_sync(self, device: str, link: Link | None) -> int | None:
        """Return when something was last stored on either side, or found to be equal (Unix milliseconds)."""
        return self._last_sync.get(device) if link is None or link.last_sync is None else link.last_sync

    def watch(self, waiter: Callable[[], None]) -> Callable[[], None]:
        """Call `waiter` when more is known of what others have stored; returns what ends it."""
        self._waiters.add(waiter)
        return lambda: self._waiters.discard(waiter)

    def tell(self) -> None:
        """Call those who watch."""
        for waiter in list(self._waiters):
            waiter()


def _union(one: Vector, other: Vector) -> Vector:
    return {client: max(one.get(client, 0), other.get(client, 0)) for client in one.keys() | other.keys()}
