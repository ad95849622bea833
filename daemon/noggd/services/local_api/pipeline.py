"""The requests of one connection, carried out and answered in order.

    line ─► request ─► waits for the connection's own unfinished changes? ─► carried out
                                                                                 │ result, now or later
    put ◄── reply, in the order of the requests, whatever finishes first ◄───────┘

A reply that is ready waits in its slot until all earlier ones are out. A read waits until the connection's own
earlier changes are done, so that everybody reads what they wrote. Nothing here knows of sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from pydantic_core import to_json

from nogg.errors import InternalError, MethodNotFound, NoggError, ShuttingDown
from nogg.methods import METHODS
from nogg.wire import LARGE_METHODS, REQUEST_LIMIT
from noggd.domain.reference import Reference
from noggd.services.local_api import requests
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Handler, Read, Table, Wait, Work

log = logging.getLogger(__name__)
_DONE = Read("done", lambda _caller, _params: None)  # stands where a reply was ready at once


class Overlong(Exception):
    """A line over the small limit that is none of the methods that may pass it."""


class Shell(Protocol):
    """What surrounds a pipeline: the connection."""

    def put(self, line: bytes) -> None:
        """Send a line after those before it."""
        ...

    def pause(self) -> bool:
        """Between two requests: send what came up, and tell whether to stop for a reader that does not read."""
        ...

    def finished(self) -> None:
        """Look at the pipeline again, now or soon: a request finished."""
        ...


class _Gone:
    """What surrounds a pipeline of which nobody waits for anything any more."""

    def put(self, line: bytes) -> None:
        """Send it to nobody."""

    def pause(self) -> bool:
        """Go on."""
        return False

    def finished(self) -> None:
        """Tell nobody."""


_GONE = _Gone()


def reply(id_: bytes, result: object) -> bytes:
    """Return the reply to a request, of its result or error; bytes and references are JSON already."""
    if result.__class__ is bytes:
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (id_, result)
    try:
        if isinstance(result, NoggError):
            return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (id_, to_json(result.to_wire()))
        encoded = result.json() if isinstance(result, Reference) else to_json(result)
    except ValueError as error:
        # a fault of ours: it must cost this call, not the connection or the batch of replies that it is in
        log.error("a result is not JSON", exc_info=error)
        return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (id_, to_json(InternalError().to_wire()))
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (id_, encoded)


class Call:
    """A request that is not answered yet; calling it with a result or an error finishes it."""

    __slots__ = ("changes", "finish", "handler", "id", "line", "params", "task")

    def __init__(
        self, id_: bytes, handler: Handler, params: Any, finish: Callable[[Call, object], None]
    ) -> None:
        self.id = id_
        self.handler = handler
        self.params = params
        self.finish = finish
        self.line: bytes | None = None  # the reply, once it is known
        self.changes = isinstance(handler, Change | Work)
        self.task: asyncio.Task[None] | None = None

    def __call__(self, result: object) -> None:
        """Finish it."""
        self.finish(self, result)


class Pipeline:
    """See the module. `unsaid` counts replies to changes that are done but wait for earlier replies."""

    def __init__(self, caller: Caller, shell: Shell) -> None:
        self.unsaid = 0
        self._caller = caller
        self._shell = shell
        self._replies: deque[Call] = deque()  # unanswered requests with an id, in their order
        self._waiting: deque[Call] = deque()  # requests that wait for earlier ones
        self._begun: set[Call] = set()
        self._changing = 0  # those begun that a read has to wait for

    @property
    def idle(self) -> bool:
        """Whether everything is finished and answered."""
        return not (self._replies or self._waiting or self._begun)

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._begun)

    @property
    def outstanding(self) -> int:
        """How many requests are unfinished or unanswered."""
        return max(len(self._replies), len(self._begun) + len(self._waiting))

    def take(self, line: bytes, table: Table) -> bytes | None:
        """Carry out one line. Return the reply if it can go out at once; else it is put when its turn comes.

        Raises Overlong.
        """
        try:
            id_, name, params = requests.parse(line)
            if len(line) > REQUEST_LIMIT and name not in LARGE_METHODS:
                raise Overlong
            entry = table.get(name)
            if entry is None:
                requests.examine(line, params, id_)
                return self.answer(id_, MethodNotFound())
            try:
                params = entry.validate(params)
            except NoggError as error:
                requests.examine(line, params, id_)
                return self.answer(id_, error)
            if entry.free_form:
                requests.examine(line, params, id_)
        except requests.Refused as refused:
            if line.isspace():
                return None  # a blank line, which is allowed
            if len(line) > REQUEST_LIMIT and not requests.may_be_large(line):
                raise Overlong from None
            return self.answer(refused.id, refused.error)
        handler = entry.handler
        if isinstance(handler, Read) and not self._changing and not self._waiting:
            result = self._read(handler, params)
            return reply(id_, result) if id_ and not self._replies else self.answer(id_, result)
        call = Call(id_, handler, params, self._finished)
        if id_:
            self._replies.append(call)
        self._waiting.append(call)
        self.advance()
        return None

    def answer(self, id_: bytes, result: object) -> bytes | None:
        """Return the reply to what is done, or keep it until those before it are out."""
        if not id_:
            return None
        line = reply(id_, result)
        if not self._replies:
            return line
        call = Call(id_, _DONE, None, self._finished)
        call.line = line
        self._replies.append(call)
        return None

    def advance(self) -> None:
        """Carry out what waits, in order, up to a read that has to wait for a change."""
        while self._waiting and not self._shell.pause():
            if self._changing and not isinstance(self._waiting[0].handler, Change):
                return
            self._begin(self._waiting.popleft())

    def _begin(self, call: Call) -> None:
        handler = call.handler
        if isinstance(handler, Read):
            self._settle(call, self._read(handler, call.params))
            return
        self._begun.add(call)
        if not isinstance(handler, Wait):
            self._changing += 1
        if isinstance(handler, Work | Wait):
            call.task = asyncio.get_running_loop().create_task(self._work(call, handler))
            return
        try:
            handler.run(self._caller, call.params, call)
        except NoggError as error:
            call(error)
        except Exception as error:
            call(_fault(handler, error))

    def _read(self, handler: Read, params: dict[str, Any]) -> object:
        try:
            return handler.run(self._caller, params)
        except NoggError as error:
            return error
        except Exception as error:
            return _fault(handler, error)

    async def _work(self, call: Call, handler: Work | Wait) -> None:
        result: object
        try:
            result = await handler.run(self._caller, call.params)
        except NoggError as error:
            result = error
        except asyncio.CancelledError:
            result = ShuttingDown()
        except Exception as error:
            result = _fault(handler, error)
        call(result)

    def _finished(self, call: Call, result: object) -> None:
        """Take the result of a call that was begun; what waited for it goes on in the next turn."""
        if call not in self._begun:
            return
        self._begun.remove(call)
        if not isinstance(call.handler, Wait):
            self._changing -= 1
        self._settle(call, result)
        self._shell.finished()

    def _settle(self, call: Call, result: object) -> None:
        """Fill the slot of a call, and put what has become ready."""
        if not call.id:
            return
        call.line = reply(call.id, result)
        self.unsaid += call.changes
        replies = self._replies
        while replies and (line := replies[0].line) is not None:
            self.unsaid -= replies.popleft().changes
            self._shell.put(line)

    def stop_waiting(self) -> None:
        """Answer what may take minutes with `shutting_down`."""
        self._cancel(lambda call: isinstance(call.handler, Wait))

    def abandon(self) -> None:
        """End what only waits: nobody is there any more. What changes something is still carried out."""
        self._cancel(lambda call: not METHODS[call.handler.name].mutates)

    def end(self) -> None:
        """Let go of the connection, which is gone; only once everything is finished."""
        self._shell = _GONE

    def _cancel(self, which: Callable[[Call], bool]) -> None:
        for call in self._begun:
            if call.task is not None and which(call):
                call.task.cancel()


def _fault(handler: Handler, error: Exception) -> InternalError:
    log.error("%s failed", handler.name, exc_info=error)
    return InternalError()
