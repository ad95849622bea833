"""WebSocket connections between devices: messages go through without a task or a queue in between.

A frame is handed over in the callback that read it, and leaves in the call that made it; that spares two
turns of the event loop on each side. What arrives before somebody listens is kept. Sending never waits:
what the other side does not take piles up to a bound, and then the connection is dropped, because the next
one repairs what it missed. Reading goes by turns: however much somebody sends, the event loop belongs to the
others at least half of the time.

Not here: what messages mean, and who may connect (`noggd.services.peers.listener`, `.dialling`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import State

from noggd.platform import tls
from noggd.platform.traces import without_frames
from noggd.services.peers.conduct import Allowance

MAX_OUTBOX: Final = 48 * 1024 * 1024
"""Bytes that may wait to be taken: two of the largest frames and change."""
PING_INTERVAL: Final = 7.0
PING_TIMEOUT: Final = 8.0
CLOSE_TIMEOUT: Final = 2.0
"""Seconds: together the time after which a dead link is given up."""
TURN: Final = 0.004
"""Seconds after which a connection that still has something to read lets the others go first, for as long."""
SLICE: Final = 4096
"""Bytes that are read in one piece. The smallest messages take 10 µs for every 6 bytes."""
PINGS: Final = (60, 1.0)
"""Pings that are answered at once, and then in a second; a peer sends one every 7 s."""
MAX_EARLY: Final = 64
"""Messages that may arrive before somebody listens."""


class DirectConnection(Connection):
    """What is common to both sides: `listen` takes over incoming messages, `post` sends one."""

    _listener: Callable[[bytes], None] | None = None
    _early: deque[bytes]
    _unread = b""
    _turned = False
    _pings: Allowance | None = None
    _paused: frozenset[str] = frozenset()
    busy = 0.0
    """Seconds that were spent on what came."""
    offence = ""
    """What the other side did that ended the connection."""

    def data_received(self, data: bytes) -> None:
        """Read what came, or as much of it as this turn allows."""
        self._unread = self._unread + data if self._unread else data
        if not self._turned:
            self._read()

    def _read(self) -> None:
        self._turned = False
        data, at = self._unread, 0
        started = now = self.loop.time()
        while at < len(data) and now - started < TURN and not self.transport.is_closing():
            super().data_received(data[at : at + SLICE])
            at += SLICE
            now = self.loop.time()
        self.busy += now - started
        self._unread = b"" if self.transport.is_closing() else data[at:]
        if self.transport.get_write_buffer_size() > MAX_OUTBOX:
            self.offend("it does not take what it is sent")
        elif now - started >= TURN:
            self._turned = True
            self.pause("turn")
            self.loop.call_later(now - started, self._next_turn)

    def _next_turn(self) -> None:
        self._read()
        if not self._turned:
            self.resume("turn")

    def eof_received(self) -> None:
        """Read what is left, as far as one more turn goes, before the end is looked at."""
        if self._unread:
            self._read()
        super().eof_received()

    def pause(self, why: str) -> None:
        """Stop reading for a reason; it goes on when no reason is left."""
        if not self._paused and not self.transport.is_closing():
            self.transport.pause_reading()
        self._paused |= {why}

    def resume(self, why: str) -> None:
        """Read again, as far as this reason goes."""
        if self._paused == {why} and not self.transport.is_closing():
            self.transport.resume_reading()
        self._paused -= {why}

    def listen(self, listener: Callable[[bytes], None]) -> None:
        """Hand every message to `listener` from here on, first those that came before."""
        early = self._early if hasattr(self, "_early") else deque()
        self._listener = listener
        while early:
            listener(early.popleft())

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of whatever holds the connection: that holds a third of a megabyte of TLS buffers."""
        super().connection_lost(without_frames(exc) if exc is not None else None)
        self._listener = _nobody

    def process_event(self, event: Any) -> None:
        """Take a message out of the library's way; everything else is its own business."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            if isinstance(event, Frame) and event.opcode is Opcode.PING and not self._may_ping():
                self.offend("it pings again and again")
            super().process_event(event)
        elif event.opcode is not Opcode.BINARY or not event.fin:
            self.offend("messages are single binary frames")
        elif self._listener is not None:
            self._listener(bytes(event.data))
        else:
            self._keep(bytes(event.data))

    def _keep(self, message: bytes) -> None:
        if not hasattr(self, "_early"):
            self._early = deque()
        self._early.append(message)
        if len(self._early) > MAX_EARLY:
            self.offend("too many messages before the first answer")

    def post(self, message: bytes) -> bool:
        """Send a message; False if the connection is not open any more."""
        if self.protocol.state is not State.OPEN:
            return False
        self.protocol.send_binary(message)
        self.send_data()
        if self.transport.get_write_buffer_size() > MAX_OUTBOX:
            self.offend("it does not take what it is sent")
            return False
        return True

    def drop(self, reason: str) -> None:
        """End the connection at once; `reason` is for our log."""
        self.dropped = reason
        self.transport.abort()

    def offend(self, offence: str) -> None:
        """End the connection at once, because of what the other side did."""
        self.offence = self.offence or offence
        self.drop(offence)

    def _may_ping(self) -> bool:
        if self._pings is None:
            self._pings = Allowance(*PINGS)
        return self._pings.take()

    dropped = ""

    @property
    def peer_certificate(self) -> bytes | None:
        """The certificate that the other side has proved to hold."""
        return tls.shown(self.transport)


class IncomingConnection(DirectConnection, ServerConnection):
    """The listener's side; `device` is the member that the gate let in, None for a stranger during pairing."""

    device: str | None = None


class Refused(Exception):  # an outcome of dialling, sorted by the dialler
    """TLS was completed, and then the other side hung up: it does not trust us."""


class WrongDevice(Exception):  # as above
    """Somebody else answers at that address."""


class OutgoingConnection(DirectConnection, ClientConnection):
    """The dialler's side: nothing is sent to anybody but the device that is meant."""

    def is_expected(self, shown: bytes) -> bool:
        """Say whether this certificate is that of the device that is meant."""
        raise NotImplementedError

    async def handshake(self, *arguments: Any, **options: Any) -> None:
        """Ask for the upgrade, once it is sure who is there."""
        shown = self.peer_certificate
        if shown is None or not self.is_expected(shown):
            self.transport.abort()
            raise WrongDevice
        try:
            await super().handshake(*arguments, **options)
        except (asyncio.CancelledError, TimeoutError):
            raise
        except Exception as error:
            if self.response is None:
                raise Refused from error
            raise


def _nobody(_message: bytes) -> None:
    """Listen no more."""


def pinned(certificate: bytes) -> type[OutgoingConnection]:
    """Return the class of connections to the one device with this certificate."""

    class Pinned(OutgoingConnection):
        def is_expected(self, shown: bytes) -> bool:
            return shown == certificate

    return Pinned


def limit_messages(connection: Connection, size: int) -> None:
    """Bound the messages of a connection to `size` bytes, which the library sets for all of a listener."""
    protocol: Any = connection.protocol
    name = (
        "max_message_size" if hasattr(protocol, "max_message_size") else "max_size"
    )  # websockets 16 renamed it
    setattr(protocol, name, size)
