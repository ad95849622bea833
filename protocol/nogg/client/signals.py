"""Values that can be listened to, like the seed's signals.

Here: `get`, `on`, `use`, `dispose` and, where it makes sense, `set`; who listens to what, and which of them a new
state concerns. Not here: where values come from, and the thread or task in which listeners run; the shells bring
both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

from nogg.client.state import Identity, Reference, SessionState

T = TypeVar("T")
Given = TypeVar("Given")  # what a signal can be set to
Done = TypeVar("Done")  # what setting one returns: None, or something to await
Done_co = TypeVar("Done_co", covariant=True)
Listener = Callable[[T], object]
Unsubscribe = Callable[[], None]
Entry = Reference | Mapping[str, object]
Entries = Mapping[str, Entry] | Iterable[Entry]
Partial = Mapping[str, Any]

log = logging.getLogger("nogg")
_ids = count(1)


class Signal(Generic[T]):
    """A value that changes.

    `read` gives the value now; `listening` is called before the first listener is added, so that somebody sees to
    it that changes arrive.
    """

    def __init__(self, read: Callable[[], T], listening: Callable[[], None]) -> None:
        self.id = str(next(_ids))
        self._read = read
        self._listening = listening
        self._listeners: dict[Listener[T], None] = {}
        self._hooks: list[Unsubscribe] = []
        self._last: T | None = None

    def get(self) -> T:
        """Return the value as it is now."""
        return self._read()

    def on(self, listener: Listener[T]) -> Unsubscribe:
        """Call `listener` with every new value from now on, until the returned function is called.

        The same listener added twice is called once. What it raises is logged and stops nobody else.
        """
        self._listening()
        if not self._listeners:
            self._last = self._read()
        self._listeners[listener] = None
        return lambda: self._listeners.pop(listener, None)

    def use(self, *hooks: Unsubscribe) -> Unsubscribe:
        """Call these when the signal is disposed; returns a function that calls them now instead."""
        self._hooks.extend(hooks)

        def unuse() -> None:
            for hook in hooks:
                if hook in self._hooks:
                    self._hooks.remove(hook)
                    hook()

        return unuse

    def dispose(self) -> None:
        """Drop all listeners and call what `use` was given, last first."""
        self._listeners.clear()
        while self._hooks:
            _run(self._hooks.pop())

    def offer(self, value: T) -> Iterator[Unsubscribe]:
        """Yield what is to be called because of `value`; nothing if it is not new."""
        if not self._listeners or value == self._last:
            return
        self._last = value
        for listener in list(self._listeners):
            yield lambda listener=listener: self._tell(listener, value)  # type: ignore[misc]  # binds the listener

    def _tell(self, listener: Listener[T], value: T) -> None:
        if listener in self._listeners:  # it may have been dropped by one that ran before it
            _run(lambda: listener(value))


class Key(Signal[T], Generic[T, Given, Done]):
    """A signal that can be set, to a value or to a function of the value that it has."""

    def __init__(
        self,
        read: Callable[[], T],
        listening: Callable[[], None],
        write: Callable[[Given | Callable[[T], Given]], Done],
    ) -> None:
        super().__init__(read, listening)
        self._write = write

    def set(self, value: Given | Callable[[T], Given]) -> Done:
        """Set the value, on disk when this returns (or, with asyncio, when it has been awaited)."""
        return self._write(value)


def _run(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception:
        log.exception("a listener failed")


class Owner(Protocol[Done_co]):
    """What signals need of the session that they belong to."""

    def listen(self) -> None:
        """See to it that changes arrive."""

    def state(self) -> SessionState:
        """Return the state as it is now."""

    def identity(self) -> Identity:
        """Return the person as it is now."""

    def is_connected(self) -> bool:
        """Say whether the daemon can be reached."""

    def is_ready(self) -> bool:
        """Say whether there has been a state to read."""

    def write_state(self, value: Partial | Callable[[SessionState], Partial]) -> Done_co:
        """Replace the given keys."""

    def write_active(self, value: str | Callable[[str | None], str | None] | None) -> Done_co:
        """Replace what is active."""

    def write_microcosms(self, value: Entries | Callable[[Mapping[str, Reference]], Entries]) -> Done_co:
        """Replace all references."""

    def write_identity(self, value: Partial | Callable[[Identity], Partial]) -> Done_co:
        """Change what can be changed about the person."""


class Board(Generic[Done]):
    """All signals of one session, and what each shows of its state."""

    def __init__(self, owner: Owner[Done]) -> None:
        listening = owner.listen
        self.state: Key[SessionState, Partial, Done]
        self.state = Key(owner.state, listening, owner.write_state)
        self.active: Key[str | None, str | None, Done]
        self.active = Key(lambda: owner.state().active, listening, owner.write_active)
        self.microcosms: Key[Mapping[str, Reference], Entries, Done]
        self.microcosms = Key(lambda: owner.state().microcosms, listening, owner.write_microcosms)
        self.listed = Signal(lambda: list(owner.state().microcosms.values()), listening)
        self.user: Key[Identity, Partial, Done]
        self.user = Key(owner.identity, listening, owner.write_identity)
        self.connected = Signal(owner.is_connected, listening)
        self.ready = Signal(owner.is_ready, listening)

    def key(self, key: str) -> Key[Any, Any, Done]:
        """Return the signal of one key; `KeyError` if there is no such key."""
        keys: dict[str, Key[Any, Any, Done]] = {"active": self.active, "microcosms": self.microcosms}
        return keys[key]

    def changed(self, state: SessionState, user: Identity | None) -> list[Unsubscribe]:
        """Return what is to be called because this is how things are now.

        As in the seed: first those who listen to the whole state, then those of one key, then the derived list.
        """
        calls = [
            *self.state.offer(state),
            *self.active.offer(state.active),
            *self.microcosms.offer(state.microcosms),
            *self.listed.offer(list(state.microcosms.values())),
        ]
        if user is not None:
            calls += self.user.offer(user)
        return [*calls, *self.connected.offer(self.connected.get()), *self.ready.offer(self.ready.get())]

    def dispose(self) -> None:
        """Drop all listeners."""
        signals = (
            self.state,
            self.active,
            self.microcosms,
            self.listed,
            self.user,
            self.connected,
            self.ready,
        )
        for signal in signals:
            signal.dispose()
