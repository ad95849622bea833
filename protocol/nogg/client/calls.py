"""The calls of one client: which are sent, which wait for a connection, and which may be made again.

Here: numbering, the table of open calls, and the rules for a connection that ends in the middle. Not here: what
the connection says about itself (`nogg.client.core`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from nogg import wire
from nogg.errors import ConnectionLost, LimitExceeded, NoggError, ShuttingDown

#: calls that may be made twice: a lost reply is asked for again instead of failing the call
REPEATABLE = frozenset(
    {
        "active.everywhere",
        "active.get",
        "active.is",
        "daemon.doctor",
        "daemon.metrics",
        "daemon.status",
        "device.list",
        "hello",
        "identity.get",
        "reference.conflicts",
        "reference.get",
        "reference.list",
        "rpc.discover",
        "session.export",
        "session.get",
        "session.keys",
        "session.list",
        "sync.status",
    }
)
#: nouns whose calls a stopping daemon refuses untouched, so that they can go to the next one
_RESENT_WHEN_REFUSED = ("session.", "reference.", "active.", "identity.", "daemon.status", "device.list")
#: calls after which the session's revision says when the mirror shows the change
_TELL_REVISION = frozenset({"active.set", "session.reset", "session.set", "session.transact"})


class Call:
    """One request and, later, its outcome; `on_done` is called when there is one.

    `own` calls are the client's own housekeeping: they end with their connection, without an outcome.
    """

    def __init__(self, method: str, params: Mapping[str, object], *, own: bool = False) -> None:
        self.method = method
        self.params = params
        self.own = own
        self.done = False
        self.result: object = None
        self.error: NoggError | None = None
        self.on_done: Callable[[], None] | None = None

    def finish(self, result: object = None, error: NoggError | None = None) -> None:
        """Set the outcome; the first one stays."""
        if not self.done:
            self.done, self.result, self.error = True, result, error
            if self.on_done is not None:
                self.on_done()

    def outcome(self) -> object:
        """Return the result, or raise the error; only when `done`."""
        assert self.done
        if self.error is not None:
            raise self.error
        return self.result

    @property
    def revision(self) -> int:
        """The session's revision that shows this change in the mirror; 0 if there is nothing to wait for."""
        if self.method not in _TELL_REVISION or not isinstance(self.result, dict):
            return 0
        revision = self.result.get("revision")
        return revision if isinstance(revision, int) else 0


class Calls:
    """The table of open calls; whatever ends one goes through here."""

    def __init__(self) -> None:
        self._last_number = 0
        self._sent: dict[int, Call] = {}
        self._waiting: deque[Call] = deque()

    def __len__(self) -> int:
        return len(self._sent) + len(self._waiting)

    def send(self, call: Call) -> bytes:
        """Return the line of a call, now numbered; one that is too long to be taken fails at once."""
        self._last_number += 1
        request = {"jsonrpc": "2.0", "id": self._last_number, "method": call.method, "params": call.params}
        line = wire.encode(request)
        limit = wire.LARGE_REQUEST_LIMIT if call.method in wire.LARGE_METHODS else wire.REQUEST_LIMIT
        if len(line) > limit:
            call.finish(error=LimitExceeded(limit="request_bytes", max=limit))
            return b""
        self._sent[self._last_number] = call
        return line

    def wait(self, call: Call) -> None:
        """Keep a call until there is a connection."""
        self._waiting.append(call)

    def take_waiting(self) -> list[Call]:
        """Return the calls that waited, in their order, to be sent now."""
        calls = list(self._waiting)
        self._waiting.clear()
        return calls

    def answered(self, number: object, error: NoggError | None) -> Call | None:
        """Return the call that a reply is for, to be finished; None if nobody waits for it.

        A call that a stopping daemon refused waits for the next one instead.
        """
        call = self._sent.pop(number, None) if isinstance(number, int) else None
        refused = isinstance(error, ShuttingDown)
        if call and refused and not call.own and call.method.startswith(_RESENT_WHEN_REFUSED):
            self._waiting.append(call)
            return None
        return call

    def forget(self, call: Call) -> None:
        """Drop a call whose caller gave up: it is not sent any more, or its reply is ignored."""
        if call in self._waiting:
            self._waiting.remove(call)
        self._sent = {number: each for number, each in self._sent.items() if each is not call}

    def lost(self) -> None:
        """Deal with the end of a connection: what may be made twice waits for the next one, the rest fails."""
        sent, self._sent = [call for call in self._sent.values() if not call.own], {}
        again = [call for call in sent if call.method in REPEATABLE]
        self._waiting.extendleft(reversed(again))
        for call in sent:
            if call.method not in REPEATABLE:
                call.finish(error=ConnectionLost(hint="whether the call was carried out is unknown"))

    def fail(self, error: NoggError) -> None:
        """End every open call with this error."""
        calls = [*(call for call in self._sent.values() if not call.own), *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        for call in calls:
            call.finish(error=error)
