"""The door of the peer listener: how many strangers may stand in it before they have said who they are.

A connection that has not proved itself costs a third of a megabyte (asyncio's TLS buffers), so it is
counted from the moment it is accepted until the gate lets it in or it closes, in all and for each address.
What is over the bound is closed before anything is allocated for it, and so is what would take one of the last
descriptors. Not here: who is let in.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any, Final

from noggd.platform.limits import is_scarce

MAX_WAITING: Final = 64
"""Connections that have not proved themselves, in all."""
MAX_WAITING_EACH: Final = 16
"""The same from one address, so that one host cannot fill the door."""


class Door:
    """Counts who stands in it. `turned_away` says how many found no room."""

    def __init__(self, limit: int = MAX_WAITING, limit_each: int = MAX_WAITING_EACH) -> None:
        self.limit = limit
        self.limit_each = limit_each
        self.turned_away = 0
        self._shut = False
        self._waiting: dict[Any, str] = {}
        self._each: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many stand in it."""
        return len(self._waiting)

    def listen(self, host: str, port: int, backlog: int = 128) -> socket.socket:
        """Return a socket that listens on an address of this machine and counts whom it accepts.

        `port` 0 takes any free one. Raises OSError.
        """
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = _DoorSocket(self, family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setblocking(False)
            listener.bind(address)
            listener.listen(backlog)
        except BaseException:
            listener.close()
            raise
        return listener

    def shut(self) -> None:
        """Let nobody in any more."""
        self._shut = True

    def enter(self, peer: Any) -> bool:
        """Take note of a new connection from a socket address; False if there is no room for it."""
        host = str(peer[0])
        if self._shut or len(self._waiting) >= self.limit or self._each[host] >= self.limit_each:
            self.turned_away += 1
            return False
        self._waiting[peer] = host
        self._each[host] += 1
        return True

    def leave(self, peer: Any) -> None:
        """Note that a connection was let in, or is gone. Harmless when called twice."""
        host = self._waiting.pop(peer, None)
        if host is not None:
            self._each[host] -= 1
            if not self._each[host]:
                del self._each[host]


class _DoorSocket(socket.socket):
    """A listening socket that asks the door before it hands a connection to the event loop."""

    def __init__(self, door: Door, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._door = door

    def accept(self) -> tuple[socket.socket, Any]:
        connection, peer = super().accept()
        if is_scarce(connection.fileno()) or not self._door.enter(peer):
            connection.close()
            raise ConnectionAbortedError("too many connections that have not proved themselves")
        handle = connection.detach()
        return _Visitor(self._door, peer, self.family, self.type, self.proto, handle), peer


class _Visitor(socket.socket):
    """An accepted connection that leaves the door when it closes."""

    def __init__(self, door: Door, peer: Any, family: int, kind: int, protocol: int, handle: int) -> None:
        super().__init__(family, kind, protocol, fileno=handle)
        self._door = door
        self._peer = peer

    def close(self) -> None:
        self._door.leave(self._peer)
        super().close()
