"""One connection: bytes to lines and back, when to read on, when to write, when to tell something.

Output is gathered and written once per turn of the loop. Too much outstanding, or unread by the other side, stops
the reading. Notifications go out between replies, never before the reply to the change that they tell of. What the
lines mean is the pipeline's business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

from nogg.errors import Forbidden, LimitExceeded, NoggError
from nogg.wire import LARGE_REQUEST_LIMIT, REQUEST_LIMIT, LineDecoder, LineTooLong
from noggd.platform.unix_socket import hung_up
from noggd.services.local_api import requests
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.pipeline import Overlong, Pipeline
from noggd.services.local_api.subscriptions import Outlet

if TYPE_CHECKING:
    from noggd.services.local_api.server import Server

MAX_OUTSTANDING = 256
"""Requests of one connection that may be unanswered before no more are read."""

TURN = 0.01
"""Seconds after which requests that wait let others go on; of an app that is gone nothing else holds them back."""

MAX_UNSENT = 1 << 20
"""Bytes for a reader that does not read before no more requests are."""

WRITE_AT = 1 << 16
"""Bytes that are gathered into one write."""

LINGER = 2.0
"""Seconds that a refused client has to read why."""


class Connection(asyncio.Protocol):
    """The connection of one app."""

    def __init__(self, server: Server) -> None:
        self.outlet = Outlet(server.hub, self._tell, self._may_tell)
        self.caller = Caller(server.about, server.hub, self.outlet)
        self.pipeline = Pipeline(self.caller, self)
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._decoder = LineDecoder(LARGE_REQUEST_LIMIT)
        self._head = b""  # how the line that is being read begins
        self._lines: deque[bytes] = deque()
        self._out: list[bytes] = []
        self._unsent = 0
        self._in_turn = False
        self._turn_due = False
        self._settled = False  # nothing is begun, half read or unsent
        self._slow = False  # the other side does not read
        self._paused = False  # we do not
        self._ended = False  # nothing more will be read
        self._refusal: NoggError | None = None  # why, if it is the client's fault; said last
        self._lingering = False
        self._said_why = False
        self._lost = False

    @property
    def idle(self) -> bool:
        """Whether everything that was accepted is answered."""
        return not self._lines and self.pipeline.idle

    @property
    def at_rest(self) -> bool:
        """Whether waiting for it to be idle makes no sense: it is, or it does not read and nothing is under way."""
        return self.idle or (self._slow and not self.pipeline.busy)

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who is there, and serve only the daemon's own user and root."""
        self._transport = cast("asyncio.Transport", transport)  # what a Unix socket has
        if self._server.closed or self._server.is_full(transport):
            self._transport.abort()  # accepted in the daemon's last moment, or with one of the last descriptors
            return
        self._server.connections[self] = None
        if self._server.parts is not None:
            self.caller.equip(self._server.parts)
        if not self._server.welcomes(transport):
            self._refuse(Forbidden("this daemon serves only its own user"))
        self._turn()

    def data_received(self, data: bytes) -> None:
        """Take bytes; carry out the requests that they complete."""
        if self._settled and data.find(b"\n") == len(data) - 1 < REQUEST_LIMIT:
            self._one_line(data)
            return
        if self._ended:
            return  # what a refused client still sends
        self._settled = False
        try:
            self._lines.extend(self._decoder.feed(data))
        except LineTooLong as error:
            self._lines.extend(error.lines)
            self._refuse(_too_long(LARGE_REQUEST_LIMIT))
        else:
            self._judge_length(data)
        self._turn()

    def _one_line(self, line: bytes) -> None:
        """Carry out a single line when nothing else is going on: nearly every call, so it is kept short."""
        self._in_turn = True
        reply = self.pipeline.take(line, self._server.table)
        self._in_turn = False
        if self._out or self.outlet.waiting:
            if reply is not None:
                self.put(reply)
            self._turn()
        elif reply is not None:
            self._transport.write(reply)
        else:
            self._settled = False  # until it is answered: see `finished`

    def _judge_length(self, data: bytes) -> None:
        """Refuse a line over the small limit as soon as its beginning tells that it is no large method's."""
        pending = self._decoder.pending
        if 0 < pending <= len(data):
            self._head = data[-pending:]
        if pending > REQUEST_LIMIT and not requests.may_be_large(self._head):
            self._refuse(_too_long(REQUEST_LIMIT))

    def eof_received(self) -> bool:
        """Keep the way back open until every reply is out: `printf … | nc -U -N` half-closes at once."""
        self._lingering = False
        if not self._ended and self._decoder.pending:
            self._lines.extend(self._decoder.feed(b"\n"))  # a last line may lack its newline
        self._ended, self._settled = True, False
        self._turn()
        if not self.idle and hung_up(self._transport.get_extra_info("socket").fileno()):
            self._transport.abort()  # nobody will read the rest
        return True

    def pause_writing(self) -> None:
        """Stop telling things: the other side does not read."""
        self._slow, self._settled = True, False

    def resume_writing(self) -> None:
        """Go on where the other side's not reading had stopped us."""
        self._slow = False
        self.turn_soon()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the app; what it had asked for is still carried out."""
        self._lost = self._ended = True
        self._slow = self._settled = False
        self._out.clear()
        self.outlet.close()
        self.pipeline.abandon()
        self._server.connections.pop(self, None)
        self._turn()

    # Turns

    def _turn(self) -> None:
        """Do what can be done now: waiting requests, then new ones, then write, then read on or not."""
        if self._in_turn:
            return
        self._in_turn, self._turn_due = True, False
        self.pipeline.advance()
        until, late = self._loop.time() + TURN, False
        while self._lines and not late and not self.pause() and self.pipeline.outstanding <= MAX_OUTSTANDING:
            late = self._loop.time() > until
            try:
                reply = self.pipeline.take(self._lines.popleft(), self._server.table)
            except Overlong:
                self._lines.clear()
                self._refuse(_too_long(REQUEST_LIMIT))
            else:
                if reply is not None:
                    self.put(reply)
        if self._refusal is not None and not self._lines:
            reply = self.pipeline.answer(requests.NULL, self._refusal)
            self._refusal, self._lingering = None, True
            if reply is not None:
                self.put(reply)
        self.pause()
        self._in_turn = False
        self._write()
        self._balance()
        if late:
            self.turn_soon()

    def finished(self) -> None:
        """Send the reply at once where nothing else is going on: nearly every change, and an app waits for it."""
        busy = self._in_turn or self._turn_due or self._lines or self.outlet.waiting or not self.pipeline.idle
        if busy or self._ended or self._slow or self._server.stopping:
            self.turn_soon()
        else:
            self._write()
            self._settled = not self._decoder.pending

    def turn_soon(self) -> None:
        """Have a turn as soon as what is going on in the loop is over."""
        if not self._turn_due and not self._in_turn:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def pause(self) -> bool:
        """Between two requests: tell what came up meanwhile; stop if too much is unread."""
        if self.outlet.waiting and not self._slow and not self.pipeline.unsaid:
            self.outlet.release()
        if self._unsent > WRITE_AT:
            self._write()
        return self._slow and self._transport.get_write_buffer_size() > MAX_UNSENT

    def _balance(self) -> None:
        """Read on, or not; and end the connection when there is nothing left to do."""
        if self._server.stopping:
            self._server.stirred.set()
        if self._lost:
            if self.idle:
                self.pipeline.end()  # apart, both are freed at once; together the collector would have to find them
            return
        if self._ended:
            if self.idle:
                self._hang_up()
            return
        if bool(self._lines) != self._paused:
            self._paused = not self._paused
            (self._transport.pause_reading if self._paused else self._transport.resume_reading)()
        self._settled = self.idle and not self._slow and not self._decoder.pending

    # Output

    def put(self, line: bytes) -> None:
        """Send a line with the next write."""
        if not self._lost:
            self._out.append(line)
            self._unsent += len(line)

    def _write(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._unsent = 0
            self._transport.write(data)

    def _may_tell(self) -> bool:
        return not self._slow and not self.pipeline.unsaid and not self._in_turn

    def _tell(self, line: bytes) -> None:
        self.put(line)
        self.turn_soon()

    # The end

    def _refuse(self, error: NoggError) -> None:
        """End the connection with an error, after the replies to what came before; read nothing more."""
        self._refusal = error
        self._ended, self._settled = True, False

    def _hang_up(self) -> None:
        if not self._lingering:
            self._transport.close()
        elif not self._said_why:
            # it may still be sending: closing now would reset the connection before it has read why
            self._said_why = True
            self._transport.write_eof()
            self._loop.call_later(LINGER, self._transport.close)

    def goodbye(self, line: bytes) -> None:
        """Tell subscribers that the daemon stops, and close."""
        self._ended, self._settled = True, False
        if self.outlet.subscriptions:
            self.put(line)
        if not self._lost:
            self._write()
            self._transport.close()

    def abort(self) -> None:
        """Drop a connection that does not take what it is sent."""
        self._transport.abort()


def _too_long(limit: int) -> LimitExceeded:
    return LimitExceeded(limit="request_line_bytes", max=limit)
