"""A session's client without I/O: what to send, what replies mean, when to subscribe again.

Here: the conversation with the daemon as a state machine. A shell feeds it what happened (`connected`, `receive`,
`lost`, `wake`) and takes what it wants to be sent (`data_to_send`); both shells, blocking and asyncio, are driven
by this one. Not here: sockets, threads, tasks, clocks and listeners.

    offline ──connected()──► greeting ──hello says ready──► ready ──lost()──► offline
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from nogg import wire
from nogg.client.calls import Call, Calls
from nogg.client.mirror import Mirror
from nogg.client.state import Identity, Reference
from nogg.errors import (
    ConnectionLost,
    Forbidden,
    NoggError,
    ProtocolError,
    ShuttingDown,
    Starting,
    UnsupportedProtocol,
    from_wire,
)

PROTOCOL = 1
KEYS = ("active", "microcosms", "identity")
_NO_LIMIT = 1 << 40  # replies have none
_POLL = 0.1  # seconds between questions to a daemon that is still loading
_IN_SESSION = ("session.", "reference.", "active.")
_WRITE_A_REFERENCE = ("reference.register", "reference.update", "reference.restore", "reference.resolve")
_REMOVE_A_REFERENCE = ("reference.remove", "reference.forget")


class Phase(Enum):
    """Where the conversation stands."""

    OFFLINE = "offline"
    GREETING = "greeting"
    READY = "ready"


class Core:
    """The conversation about one session; `session` is its name, or None for an ephemeral one.

    `wake_in`: seconds after which the shell shall call `wake`. `changed`: something that listeners may care about
    happened; the shell resets it. `fatal`: no further attempt can help; open and later calls fail with it.
    `trouble`: why the mirror cannot be kept, if it cannot.
    """

    def __init__(self, session: str | None, *, client: str) -> None:
        self.session = session
        self.ephemeral = session is None
        self.mirror = Mirror()
        self.phase = Phase.OFFLINE
        self.wake_in: float | None = None
        self.changed = False
        self.fatal: NoggError | None = None
        self.trouble: NoggError | None = None
        self.hello: dict[str, Any] = {}
        self._client = {"name": client}
        self._decoder = wire.LineDecoder(_NO_LIMIT)
        self._calls = Calls()
        self._out: list[bytes] = []
        self._mirroring = False
        self._subscription: object = None

    # What happened

    def connected(self) -> None:
        """Begin the conversation: a connection stands."""
        self._decoder = wire.LineDecoder(_NO_LIMIT)
        self.phase = Phase.GREETING
        self._greet()

    def wake(self) -> None:
        """Ask again whether the daemon is ready: the time of `wake_in` is over."""
        if self.wake_in is not None and self.phase is Phase.GREETING:
            self._greet()
        self.wake_in = None

    def lost(self) -> None:
        """End the conversation: the connection is gone."""
        if self.phase is Phase.OFFLINE:
            return
        self.phase, self.wake_in, self._subscription, self.changed = Phase.OFFLINE, None, None, True
        self._out.clear()
        if self.ephemeral:
            self.fail(
                ConnectionLost("the connection was lost, and this session lived only as long as it did")
            )
        else:
            self._calls.lost()

    def receive(self, data: bytes) -> None:
        """Take bytes from the daemon; raises `ProtocolError` if they make no sense: then drop the connection."""
        for line in self._decoder.feed(data):
            message = wire.decode(line)
            if not isinstance(message, dict):
                raise ProtocolError("the daemon sent something that is no JSON-RPC message")
            if "method" in message:
                self._told(message["method"], message.get("params"))
            else:
                self._answered(message)

    def data_to_send(self) -> bytes:
        """Return what is to be written to the socket; it counts as sent."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # What the app wants

    def call(self, method: str, params: Mapping[str, object]) -> Call:
        """Make a call; it is sent now if the conversation is ready, else as soon as it is."""
        if self.fatal is not None:
            raise self.fatal
        call = Call(method, params)
        if self.phase is Phase.READY:
            self._send(call)
        else:
            self._calls.wait(call)
        return call

    def forget(self, call: Call) -> None:
        """Drop a call whose caller gave up."""
        self._calls.forget(call)

    def fail(self, error: NoggError) -> None:
        """Give up: every open call and every later one fails with this."""
        self.fatal = self.fatal or error
        self.changed = True
        self._calls.fail(self.fatal)

    def subscribe(self) -> None:
        """Keep the mirror up to date from now on; `mirrored` says when it is."""
        self.trouble = None
        if not self._mirroring:
            self._mirroring = True
            if self.phase is Phase.READY:
                self._subscribe()

    @property
    def mirroring(self) -> bool:
        """Whether the mirror is wanted."""
        return self._mirroring

    @property
    def mirrored(self) -> bool:
        """Whether the mirror follows the daemon now."""
        return self._subscription is not None

    # What the daemon says

    def _answered(self, message: dict[str, Any]) -> None:
        error = from_wire(message["error"]) if "error" in message else None
        if isinstance(error, Forbidden) and message.get("id") is None:
            self.fail(error)  # it is somebody else's daemon
        call = self._calls.answered(message.get("id"), error)
        if call is None:
            return
        if error is None and self._mirroring and call.params.get("session") == self.session:
            self._note(call, message.get("result"))
        call.finish(message.get("result"), error)

    def _note(self, call: Call, result: object) -> None:
        """Let the mirror show what a call of ours did, before the daemon tells of it."""
        if call.method in _WRITE_A_REFERENCE:
            self.mirror.wrote(Reference.from_wire(result))
        elif call.method in _REMOVE_A_REFERENCE:
            self.mirror.removed(str(call.params.get("microcosmID")))

    def _told(self, method: object, params: object) -> None:
        if not isinstance(params, dict):
            raise ProtocolError("a notification needs parameters")
        ours = self._subscription is not None and params.get("subscription") == self._subscription
        if method == "session.changed" and ours:
            if self.mirror.change(params):
                self.changed = True
            else:
                self._subscribe_again()
        elif method == "subscription.resync" and ours:
            self._subscribe_again()
        elif method == "identity.changed" and self._mirroring:
            self.mirror.identity = Identity.from_wire(params.get("identity"))
            self.changed = True

    # What we say by ourselves

    def _greet(self) -> None:
        self._ask("hello", {"protocol": PROTOCOL, "client": self._client}, self._greeted)

    def _greeted(self, result: object, error: NoggError | None) -> None:
        if isinstance(error, UnsupportedProtocol | Forbidden):
            self.fail(error)
            return
        self.hello = result if isinstance(result, dict) else {}
        if error is not None or not self.hello.get("ready", True):
            self.wake_in = _POLL
        elif self.session is None:
            self._ask("session.open", {"ephemeral": True}, self._opened)
        else:
            self._ready()

    def _opened(self, result: object, error: NoggError | None) -> None:
        name = result.get("session") if isinstance(result, dict) else None
        if error is not None:
            self.fail(error)
        elif isinstance(name, str):
            self.session = name
            self._ready()
        else:
            raise ProtocolError("the answer to session.open needs a name")

    def _ready(self) -> None:
        self.phase, self.changed = Phase.READY, True
        if self._mirroring:
            self._subscribe()
        for call in self._calls.take_waiting():
            self._send(call)

    def _subscribe(self) -> None:
        params: dict[str, object] = {"session": self.session, "keys": list(KEYS)}
        if self.mirror.since is not None:
            params["since"] = self.mirror.since
        self._ask("session.subscribe", params, self._subscribed)

    def _subscribed(self, result: object, error: NoggError | None) -> None:
        if isinstance(error, ShuttingDown | Starting | ConnectionLost):
            return  # the next connection tries again
        if error is not None:
            self.trouble, self._mirroring = error, False
            return
        self.mirror.resume(result)
        self._subscription = result.get("subscription") if isinstance(result, dict) else None
        self.changed = True

    def _subscribe_again(self) -> None:
        old, self._subscription = self._subscription, None
        self._ask("session.unsubscribe", {"subscription": old}, lambda _result, _error: None)
        self._subscribe()

    def _ask(
        self, method: str, params: Mapping[str, object], answer: Callable[[object, NoggError | None], None]
    ) -> None:
        """Make a call of our own, which belongs to this connection only."""
        call = Call(method, params, own=True)
        call.on_done = lambda: answer(call.result, call.error)
        self._out.append(self._calls.send(call))

    def _send(self, call: Call) -> None:
        if call.method.startswith(_IN_SESSION) and "session" not in call.params:
            call.params = {"session": self.session, **call.params}
        self._out.append(self._calls.send(call))
