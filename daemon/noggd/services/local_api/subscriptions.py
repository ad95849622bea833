"""Who wants to be told what, and what they were last told.

A change is encoded once and its bytes are shared by everybody who can be told now. For who cannot (a slow
reader; a reply that has to come first), only the latest value of each key is kept and told later as one change
with the right `from`. Nobody is ever told anything twice, out of order, or across a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from pydantic_core import to_json

from noggd.domain.changes import ABSENT, Change, Origin, Unset
from noggd.domain.reference import Reference

KEPT_KEYS = 50_000
"""Changed references that are kept for a slow reader; past that it is told to subscribe again."""


def notification(method: str, params: object) -> bytes:
    """Return a notification as a line."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}\n' % (method.encode(), to_json(params))


def mapping(references: Iterable[Reference]) -> bytes:
    """Return `{id: Reference}` as JSON, from each reference's own cached bytes."""
    return b"{%b}" % b",".join(b'"%b":%b' % (one.microcosm_id.encode(), one.json()) for one in references)


def _origin(origin: Origin) -> bytes:
    told: dict[str, str] = {"device": origin.device}
    if origin.client is not None:
        told["client"] = origin.client
    return to_json(told)


class Tail:
    """The end of a `session.changed`, the same for all who subscribed to the same keys; encoded once."""

    def __init__(
        self,
        revision: int,
        active: str | Unset | None,
        changed: Collection[Reference],
        removed: Collection[str],
        origin: Origin,
    ) -> None:
        self._revision = revision
        self._active = active
        self._changed = changed
        self._removed = removed
        self._origin = origin
        self._encoded: dict[tuple[bool, bool], bytes] = {}

    def encoded(self, *, active: bool, microcosms: bool) -> bytes:
        """Return `,"revision":…,…}}` and the newline."""
        found = self._encoded.get((active, microcosms))
        if found is None:
            found = self._encoded[active, microcosms] = b"".join(
                (
                    b',"revision":%d' % self._revision,
                    b',"active":' + to_json(self._active) if active and self._active is not ABSENT else b"",
                    b',"set":' + (mapping(self._changed) if microcosms else b"{}"),
                    b',"removed":' + (to_json(list(self._removed)) if microcosms else b"[]"),
                    b',"origin":' + _origin(self._origin),
                    b"}}\n",
                )
            )
        return found


class Subscription:
    """One subscription of one connection to one session.

    `source` is what tells its changes apart (a session's name, or a private session itself). `told` is the
    last revision that its reader knows of, `_seen` the last one told or kept. What could not be told yet is
    in `_kept` (the latest reference, or None for a removed one) and `_active`.
    """

    def __init__(
        self, name: str, session: str, source: object, keys: frozenset[str], told: int, outlet: Outlet
    ) -> None:
        self.name = name
        self.session = session
        self.source = source
        self.active = "active" in keys
        self.microcosms = "microcosms" in keys
        self.topics = keys & {"identity", "devices"}
        self.told = told
        self.outlet = outlet
        self.lost = False
        named = to_json({"subscription": name, "session": session})[:-1]
        self._head = b'{"jsonrpc":"2.0","method":"session.changed","params":%b,"from":' % named
        self._seen = told
        self._kept: dict[str, Reference | None] = {}
        self._active: str | Unset | None = ABSENT
        self._origin: Origin | None = None

    def concerns(self, change: Change) -> bool:
        """Tell whether a change is news for this subscription; what its snapshot had is not."""
        if change.revision <= self._seen:
            return False
        return (self.active and change.active is not ABSENT) or (
            self.microcosms and bool(change.set or change.removed)
        )

    def line(self, revision: int, tail: Tail) -> bytes:
        """Return the notification of a change, which counts as told from now on."""
        line = b"%b%d%b" % (
            self._head,
            self.told,
            tail.encoded(active=self.active, microcosms=self.microcosms),
        )
        self.told = self._seen = revision
        return line

    def keep(self, change: Change) -> None:
        """Remember a change for later: the latest value of each of its keys."""
        self._seen = change.revision
        self._origin = change.origin
        if change.active is not ABSENT:
            self._active = change.active
        if self.microcosms and not self.lost:
            self._kept.update(change.set)
            self._kept.update(dict.fromkeys(change.removed))
            self.lost = len(self._kept) > KEPT_KEYS
        if self.lost:
            self._kept = {}

    def kept(self) -> bytes:
        """Return what was kept as one notification."""
        if self.lost or self._origin is None:
            return notification("subscription.resync", {"subscription": self.name})
        kept, self._kept = self._kept, {}
        tail = Tail(
            self._seen,
            self._active,
            [reference for reference in kept.values() if reference is not None],
            [name for name, reference in kept.items() if reference is None],
            self._origin,
        )
        self._active, self._origin = ABSENT, None
        return self.line(self._seen, tail)


class Outlet:
    """The way to tell one connection something: at once if it is clear, else later and folded.

    `waiting` tells whether something is kept for later.
    """

    def __init__(self, hub: Hub, write: Callable[[bytes], None], clear: Callable[[], bool]) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self.closed = False
        self.waiting = False
        self._hub = hub
        self._write = write
        self._clear = clear
        self._late: dict[Subscription, None] = {}
        self._news: dict[object, bytes] = {}

    def tell(self, subscription: Subscription, change: Change, tail: Tail) -> None:
        """Tell a change of a session."""
        if self._clear() and subscription not in self._late:
            self._write(subscription.line(change.revision, tail))
        else:
            subscription.keep(change)
            self._late[subscription] = None
            self.waiting = True

    def lose(self, subscription: Subscription) -> None:
        """Tell a subscription that it cannot go on, and end it."""
        subscription.lost = True
        self._late[subscription] = None
        self.waiting = True
        if self._clear():
            self.release()

    def say(self, topic: object, line: bytes) -> None:
        """Tell something of which only the latest counts: what waits under the same topic is replaced."""
        if self._clear():
            self._write(line)
        else:
            self._news[topic] = line
            self.waiting = True

    def release(self) -> None:
        """Tell what was kept; called when the way is clear again."""
        self.waiting = False
        late, self._late = self._late, {}
        for subscription in late:
            if subscription.name not in self.subscriptions:
                continue
            self._write(subscription.kept())
            if subscription.lost:
                self._hub.remove(subscription)
        news, self._news = self._news, {}
        for line in news.values():
            self._write(line)

    def close(self) -> None:
        """End all its subscriptions, and take no new ones; let go of the connection."""
        self.closed = True
        self._write, self._clear = _unread, _never
        for subscription in list(self.subscriptions.values()):
            self._hub.remove(subscription)


def _unread(_line: bytes) -> None:
    """Write to nobody."""


def _never() -> bool:
    """Say that the way is not clear."""
    return False


class Hub:
    """All subscriptions, by the source of their changes."""

    def __init__(self) -> None:
        self._by_source: dict[object, dict[Subscription, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_source.values()))

    def add(self, subscription: Subscription) -> None:
        """Tell this subscription from now on, unless its connection is gone."""
        if subscription.outlet.closed:
            return
        self._by_source.setdefault(subscription.source, {})[subscription] = None
        subscription.outlet.subscriptions[subscription.name] = subscription

    def remove(self, subscription: Subscription) -> None:
        """Tell it no more."""
        subscription.outlet.subscriptions.pop(subscription.name, None)
        of_source = self._by_source.get(subscription.source, {})
        of_source.pop(subscription, None)
        if not of_source:
            self._by_source.pop(subscription.source, None)

    def outlets(self, topic: str | None = None) -> list[Outlet]:
        """Return the connections with a subscription (to a topic: `identity` or `devices`), each once."""
        found: dict[Outlet, None] = {}
        for of_source in self._by_source.values():
            for subscription in of_source:
                if topic is None or topic in subscription.topics:
                    found[subscription.outlet] = None
        return list(found)

    def changed(self, change: Change, source: object = None) -> None:
        """Tell a change of a session (or of a private one, the `source`) and the conflicts that it brought."""
        of_source = self._by_source.get(change.session if source is None else source)
        if not of_source:
            return
        tail = Tail(change.revision, change.active, change.set.values(), change.removed, change.origin)
        for subscription in of_source:
            if subscription.concerns(change):
                subscription.outlet.tell(subscription, change, tail)
        for name in change.conflicts:
            params = {"session": change.session, "microcosmID": name, "field": "password"}
            hearers = {each.outlet: None for each in of_source if each.microcosms}
            self.news((change.session, name), "reference.conflict", params, hearers)

    def start_again(self) -> None:
        """Tell every subscription to a stored session to subscribe again: what was told of it means nothing now."""
        for source, of_source in list(self._by_source.items()):
            if isinstance(source, str):
                for subscription in list(of_source):
                    subscription.outlet.lose(subscription)

    def news(self, topic: object, method: str, params: object, to: Iterable[Outlet]) -> None:
        """Tell these connections something; the line is encoded once."""
        line = notification(method, params)
        for outlet in to:
            outlet.say(topic, line)
