"""The app at the other end of a connection, as methods see it.

It knows which sessions are the app's private ones, under which origin its changes go, and what it subscribed to.
Nothing here knows of sockets or lines.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from noggd.core import Core, Reply, SessionView
from noggd.domain.changes import Origin
from noggd.domain.session import Session
from noggd.services.local_api.ports import House, Json, Pairing, Peers
from noggd.services.local_api.private import PrivateSession
from noggd.services.local_api.subscriptions import Hub, Outlet

MAX_PRIVATE = 64
"""Private sessions of one connection."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What methods act on, once the store is loaded."""

    core: Core
    pairing: Pairing
    peers: Peers
    house: House


class Caller:
    """One connection's app. `parts` and `core` are there as soon as `equip` was called; before, only `hello` is."""

    parts: Parts
    core: Core
    origin: Origin

    def __init__(self, about: Callable[[], Json], hub: Hub, outlet: Outlet) -> None:
        self.about = about
        self.hub = hub
        self.outlet = outlet
        self.private: dict[str, PrivateSession] = {}
        self.client: str | None = None
        self._subscribed = 0

    def equip(self, parts: Parts) -> None:
        """Give it what methods act on."""
        self.parts = parts
        self.core = parts.core
        self.origin = Origin(parts.core.device, self.client)

    def introduce(self, client: str) -> None:
        """Name the app, as it did in `hello`; its changes carry the name from now on."""
        self.client = client
        if hasattr(self, "core"):
            self.origin = Origin(self.core.device, client)

    def view(self, session: str) -> SessionView | PrivateSession:
        """Return what a session looks like to this app; an empty one where there is none."""
        if self.private:
            return self.private.get(session) or self.core.view(session)
        return self.core.view(session)

    def epoch(self, session: str) -> str:
        """Return the life that the revisions of a session belong to."""
        private = self.private.get(session)
        return self.core.epoch if private is None else private.epoch

    def change(self, session: str, operation: Callable[[Session], object], reply: Reply) -> None:
        """Run an operation on a session; the reply comes when it is on disk (at once for a private one)."""
        private = self.private.get(session)
        if private is None:
            self.core.change(session, operation, reply, self.origin)
        else:
            private.change(operation, reply, self.origin)

    def query(self, session: str, read: Callable[[Session], object], reply: Reply) -> None:
        """Run a read that needs the rules of a session."""
        private = self.private.get(session)
        if private is None:
            self.core.query(session, read, reply)
        else:
            private.query(read, reply)

    def touch(self, session: str, microcosm_id: str) -> None:
        """Count an access, without waiting for the disk."""
        private = self.private.get(session)
        if private is None:
            self.core.touch(session, microcosm_id, self.origin)
        else:
            now = self.core.now()
            private.change(lambda session: session.touch(now, microcosm_id), _nothing, self.origin)

    def next_subscription(self) -> str:
        """Return a name for a subscription that this connection has not had."""
        self._subscribed += 1
        return f"s{self._subscribed}"

    def open_private(self, name: str | None) -> PrivateSession:
        """Return the private session of this name, or a new one; a private name hides a stored session's."""
        name = name or f"private-{secrets.token_hex(4)}"
        if name not in self.private:
            self.private[name] = PrivateSession(name, self.core.now(), self.hub.changed)
        return self.private[name]


def _nothing(_result: object) -> None:
    """Take a reply that nobody waits for."""
