"""One connection: bytes in, requests carried out in order, replies out in order, notifications between them.

    bytes ─► lines ─► request ─► (waits for own unfinished changes?) ─► carried out
                                                                            │ result, now or later
    bytes ◄── written once per turn ◄── reply in the order of requests ◄────┘

A reply that is ready waits in its slot until all earlier ones are out. A read waits until the connection's own
earlier changes are done, so that everybody reads what they wrote. Too much outstanding or unsent stops the reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from nogg.errors import Forbidden, InternalError, LimitExceeded, MethodNotFound, NoggError, ShuttingDown
from nogg.methods import METHODS
from nogg.wire import LARGE_METHODS, LARGE_REQUEST_LIMIT, REQUEST_LIMIT, LineDecoder, LineTooLong
from noggd.domain.reference import Reference
from noggd.services.local_api import requests
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Handler, Read, Wait, Work
from noggd.services.local_api.subscriptions import Outlet

if TYPE_CHECKING:
    from noggd.services.local_api.server import Server

MAX_OUTSTANDING = 256
"""Requests of one connection that may be unanswered before no more are read."""

MAX_UNSENT = 1 << 20
"""Bytes for a reader that does not read before no more requests are."""

WRITE_AT = 1 << 16
"""Bytes that are gathered into one write."""

LINGER = 2.0
"""Seconds that a refused client has to read why."""

log = logging.getLogger(__name__)
_DONE = Read("done", lambda _caller, _params: None)  # stands where a reply was ready at once


def success(id_: bytes, result: object) -> bytes:
    """Return the reply to a request that was carried out; bytes and references are JSON already."""
    if result.__class__ is Reference:
        result = result.json()
    elif result.__class__ is not bytes:
        result = to_json(result)
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (id_, result)


def failure(id_: bytes, error: NoggError) -> bytes:
    """Return the reply to a request that was not."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (id_, to_json(error.to_wire()))


def _fault(handler: Handler, error: Exception) -> InternalError:
    log.error("%s failed", handler.name, exc_info=error)
    return InternalError()


def _too_long(limit: int) -> LimitExceeded:
    return LimitExceeded(limit="request_line_bytes", max=limit)


class Call:
    """A request that is not answered yet; calling it with a result or an error finishes it."""

    __slots__ = ("changes", "connection", "handler", "id", "line", "params", "task")

    def __init__(
        self,
        connection: Connection,
        id_: bytes,
        handler: Handler,
        params: Any = None,
        line: bytes | None = None,
    ) -> None:
        self.connection = connection
        self.id = id_
        self.handler = handler
        self.params = params
        self.line = line  # the reply, once it is known
        self.changes = isinstance(handler, Change | Work)
        self.task: asyncio.Task[None] | None = None

    def __call__(self, result: object) -> None:
        """Finish it."""
        self.connection.finished(self, result)


class Connection(asyncio.Protocol):
    """See the module."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._decoder = LineDecoder(LARGE_REQUEST_LIMIT)
        self._lines: deque[bytes] = deque()
        self._replies: deque[Call] = deque()  # unanswered requests with an id, in their order
        self._waiting: deque[Call] = deque()  # requests that wait for earlier ones of this connection
        self._open: set[Call] = set()  # carried out, not finished
        self._changing = 0  # those of them that a read has to wait for
        self._unsaid = 0  # replies to changes that are done, waiting for earlier replies
        self._out: list[bytes] = []
        self._unsent = 0
        self._turn_due = False
        self._in_turn = False
        self._slow = False
        self._paused = False
        self._ended = False  # nothing more will be read
        self._refusal: NoggError | None = None  # why, if it is the client's fault; said last
        self._lingering = False
        self._hanging_up = False
        self._lost = False
        self._head = b""
        self._transport: asyncio.Transport
        self.outlet = Outlet(server.hub, self._tell, self._may_tell)
        self.caller = Caller(server.about, server.hub, self.outlet)

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who is there, and serve only the daemon's own user and root."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections[self] = None
        if self._server.parts is not None:
            self.caller.equip(self._server.parts)
        if not self._server.welcomes(transport):
            self._refuse(Forbidden("this daemon serves only its own user"))
            self._turn()

    def data_received(self, data: bytes) -> None:
        """Take bytes; carry out the requests that they complete."""
        if self._ended:
            return  # what a refused client still sends
        try:
            self._lines.extend(self._decoder.feed(data))
        except LineTooLong as error:
            self._lines.extend(error.lines)
            self._refuse(_too_long(LARGE_REQUEST_LIMIT))
        else:
            if self._decoder.pending:
                self._judge_length(data)
        self._turn()

    def _judge_length(self, data: bytes) -> None:
        """Refuse a line over the small limit as soon as its beginning tells that it is no large method's."""
        pending = self._decoder.pending
        if pending <= len(data):
            self._head = data[-pending:]
        if pending > REQUEST_LIMIT and not requests.may_be_large(self._head):
            self._refuse(_too_long(REQUEST_LIMIT))

    def eof_received(self) -> bool:
        """Keep the way back open until every reply is out: `printf … | nc -U -N` half-closes at once."""
        if not self._ended and self._decoder.pending:
            self._lines.extend(self._decoder.feed(b"\n"))  # a last line may lack its newline
        self._ended = True
        self._turn()
        return True

    def pause_writing(self) -> None:
        """Stop telling things: the other side does not read."""
        self._slow = True

    def resume_writing(self) -> None:
        """Go on where the other side's not reading had stopped us."""
        self._slow = False
        self._turn_soon()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the app; what it had asked for is still carried out."""
        self._lost = self._ended = True
        self._slow = False
        self._out.clear()
        self.outlet.close()
        self._server.connections.pop(self, None)
        for call in self._open:
            if call.task is not None and not METHODS[call.handler.name].mutates:
                call.task.cancel()
        self._turn()

    # Requests

    def _turn(self) -> None:
        """Do what can be done now: waiting requests, then new ones, then write, then pause or resume."""
        if self._in_turn:
            return
        self._in_turn, self._turn_due = True, False
        try:
            self._advance()
            while self._lines and not self._full():
                self._request(self._lines.popleft())
                self._let_out()
            if self._refusal is not None and not self._lines:
                self._reply(requests.NULL, self._refusal)
                self._refusal, self._lingering = None, True
            self._let_out()
        finally:
            self._in_turn = False
        self._write()
        self._balance()

    def _turn_soon(self) -> None:
        if not self._turn_due and not self._in_turn:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def _clogged(self) -> bool:
        return self._slow and self._transport.get_write_buffer_size() > MAX_UNSENT

    def _full(self) -> bool:
        outstanding = max(len(self._replies), len(self._open) + len(self._waiting))
        return outstanding > MAX_OUTSTANDING or self._clogged()

    def _request(self, line: bytes) -> None:
        """Carry out one line, or refuse it."""
        try:
            id_, name, params = requests.parse(line)
            if len(line) > REQUEST_LIMIT and name not in LARGE_METHODS:
                self._lines.clear()
                self._refuse(_too_long(REQUEST_LIMIT))
                return
            entry = self._server.table.get(name)
            if entry is None:
                requests.examine(line, params, id_)
                self._reply(id_, MethodNotFound())
                return
            try:
                params = entry.validate(params)
            except NoggError as error:
                requests.examine(line, params, id_)
                self._reply(id_, error)
                return
            if entry.free_form:
                requests.examine(line, params, id_)
        except requests.Refused as refused:
            if len(line) > REQUEST_LIMIT and not requests.may_be_large(line):
                self._lines.clear()
                self._refuse(_too_long(REQUEST_LIMIT))
            else:
                self._reply(refused.id, refused.error)
            return
        handler = entry.handler
        if isinstance(handler, Read) and not self._changing and not self._waiting:
            self._reply(id_, self._read(handler, params))
            return
        call = Call(self, id_, handler, params)
        if id_:
            self._replies.append(call)
        self._waiting.append(call)
        self._advance()

    def _advance(self) -> None:
        """Carry out what waits, in order, up to a read that has to wait for a change."""
        while self._waiting and not self._clogged():
            if self._changing and not isinstance(self._waiting[0].handler, Change):
                return
            self._begin(self._waiting.popleft())
            self._let_out()

    def _begin(self, call: Call) -> None:
        handler = call.handler
        if isinstance(handler, Read):
            self._finish(call, self._read(handler, call.params))
            return
        self._open.add(call)
        if not isinstance(handler, Wait):
            self._changing += 1
        if isinstance(handler, Work | Wait):
            call.task = self._loop.create_task(self._work(call, handler))
            return
        try:
            handler.run(self.caller, call.params, call)
        except NoggError as error:
            self.finished(call, error)
        except Exception as error:
            self.finished(call, _fault(handler, error))

    def _read(self, handler: Read, params: dict[str, Any]) -> object:
        try:
            return handler.run(self.caller, params)
        except NoggError as error:
            return error
        except Exception as error:
            return _fault(handler, error)

    async def _work(self, call: Call, handler: Work | Wait) -> None:
        result: object
        try:
            result = await handler.run(self.caller, call.params)
        except NoggError as error:
            result = error
        except asyncio.CancelledError:
            result = ShuttingDown()
        except Exception as error:
            result = _fault(handler, error)
        self.finished(call, result)

    def finished(self, call: Call, result: object) -> None:
        """Take the result of a call that was begun; what waited for it goes on in the next turn."""
        if call not in self._open:
            return
        self._open.remove(call)
        if not isinstance(call.handler, Wait):
            self._changing -= 1
        self._finish(call, result)
        self._turn_soon()

    # Replies and notifications

    def _reply(self, id_: bytes, result: object) -> None:
        """Answer a request that is done, after those before it."""
        if not id_:
            return
        line = failure(id_, result) if isinstance(result, NoggError) else success(id_, result)
        if self._replies:
            self._replies.append(Call(self, id_, _DONE, None, line))
        else:
            self._put(line)

    def _finish(self, call: Call, result: object) -> None:
        if not call.id:
            return
        call.line = failure(call.id, result) if isinstance(result, NoggError) else success(call.id, result)
        self._unsaid += call.changes
        replies = self._replies
        while replies and (line := replies[0].line) is not None:
            self._unsaid -= replies.popleft().changes
            self._put(line)

    def _put(self, line: bytes) -> None:
        if not self._lost:
            self._out.append(line)
            self._unsent += len(line)

    def _may_tell(self) -> bool:
        """Whether a notification may go out now: never before the reply to the change that it tells of."""
        return not self._slow and not self._unsaid and not self._in_turn

    def _tell(self, line: bytes) -> None:
        self._put(line)
        self._turn_soon()

    def _let_out(self) -> None:
        """Between two requests: tell what came up meanwhile, and keep what is gathered for a write small."""
        if self.outlet.waiting and not self._slow and not self._unsaid:
            self.outlet.release()
        if self._unsent > WRITE_AT:
            self._write()

    def _write(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._unsent = 0
            if not self._lost:
                self._transport.write(data)

    def _balance(self) -> None:
        """Read on, or not; and end the connection when there is nothing left to do."""
        if self._server.stopping:
            self._server.stirred.set()
        if self._lost:
            return
        if self._ended:
            if self.idle:
                self._hang_up()
        elif bool(self._lines) != self._paused:
            self._paused = not self._paused
            (self._transport.pause_reading if self._paused else self._transport.resume_reading)()

    # The end

    def _refuse(self, error: NoggError) -> None:
        """End the connection with an error, after the replies to what came before; read nothing more."""
        self._refusal = error
        self._ended = True

    def _hang_up(self) -> None:
        if self._lingering:
            # it may still be sending: closing now would reset the connection before it has read why
            self._lingering = False
            self._transport.write_eof()
            self._loop.call_later(LINGER, self._transport.close)
        elif not self._hanging_up:
            self._transport.close()
        self._hanging_up = True

    @property
    def idle(self) -> bool:
        """Whether everything that was accepted is answered."""
        return not (self._lines or self._waiting or self._open or self._replies)

    def stop_waiting(self) -> None:
        """Answer what may wait for minutes: the daemon stops."""
        for call in self._open:
            if call.task is not None and isinstance(call.handler, Wait):
                call.task.cancel()

    def goodbye(self, line: bytes) -> None:
        """Tell subscribers that the daemon stops, and close."""
        self._ended = True
        if self.outlet.subscriptions:
            self._put(line)
        self._write()
        self._transport.close()

    def abort(self) -> None:
        """Drop a connection that does not take what it is sent."""
        self._transport.abort()
