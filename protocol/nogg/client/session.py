"""The seed's `Session` for programs that block: every call returns when it is done.

Here: the members that apps use. Not here: the socket (`nogg.client.link`), the conversation (`.core`) and what
each call asks (`.requests`).

    with Session() as session:
        session.register_reference("design-studio.0123456789abcdef", view="spatial")
        session.key("active").on(print)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from types import TracebackType
from typing import Any, Literal, Self, overload

from nogg.client import requests
from nogg.client.requests import KEEP, Keep
from nogg.client.shell import Shell
from nogg.client.signals import Entries, Key, Listener, Partial, Signal, Unsubscribe
from nogg.client.state import Identity, Reference, SessionState
from nogg.paths import PathLike

_numbers = count(1)


class Session:
    """A person's session, read and changed through the daemon.

    `name` is the session's name; None makes the seed's unnamed session, which lives in the daemon's memory as long
    as this object is connected. `socket` is the daemon's socket (None: the usual places), `timeout` the seconds
    that a call may take unless it is told otherwise, `client` the name that others see as the origin of changes.
    When the daemon goes away the object reconnects by itself; `reconnect=False` makes it fail instead.

    State is read from a mirror that follows the daemon from the first read on, so reading costs no round trip and
    includes one's own changes. A thread is started only by the first listener, and listeners run in it.

    Raises `NotRunning` at once if there is no daemon. Usable from several threads.
    """

    def __init__(
        self,
        name: str | None = "default",
        *,
        socket: PathLike | None = None,
        timeout: float = 10.0,
        client: str = "nogg",
        reconnect: bool = True,
    ) -> None:
        self.id = str(next(_numbers))
        self._shell = Shell(name, socket=socket, timeout=timeout, client=client, reconnect=reconnect)
        self._board = self._shell.board

    # Reading

    @property
    def name(self) -> str:
        """The session's name; an ephemeral one got it from the daemon."""
        return self._shell.core.session or ""

    @property
    def keys(self) -> list[str]:
        """What a session holds."""
        return ["active", "microcosms"]

    @overload
    def key(self, key: Literal["active"]) -> Key[str | None, str | None, None]: ...

    @overload
    def key(self, key: Literal["microcosms"]) -> Key[Mapping[str, Reference], Entries, None]: ...

    def key(self, key: str) -> Key[Any, Any, None]:
        """Return the signal of one key; `KeyError` if there is no such key."""
        return self._board.key(key)

    @property
    def signal(self) -> Key[SessionState, Partial, None]:
        """The whole state as one signal."""
        return self._board.state

    @property
    def microcosms(self) -> Signal[list[Reference]]:
        """All references in the seed's order, as a signal."""
        return self._board.listed

    @property
    def ready(self) -> Signal[bool]:
        """True as soon as this object exists: a session that cannot be had raises instead."""
        return self._board.ready

    @property
    def connected(self) -> Signal[bool]:
        """Whether the daemon can be reached, as a signal."""
        return self._board.connected

    @property
    def user(self) -> Key[Identity, Partial, None]:
        """The person, as a signal; `set({"username": …})` renames them on all devices."""
        return self._board.user

    def get(self) -> SessionState:
        """Return what is active and all references; the object never changes."""
        return self._board.state.get()

    def is_active(self, microcosm_id: str) -> bool:
        """Say whether this microcosm is active on this device."""
        return self.get().active == microcosm_id

    def get_reference(
        self, microcosm_id: str, *, touch: bool = True, timeout: float | None = None
    ) -> Reference | Literal[False]:
        """Return a reference as it was before this access, or False; with `touch` the access is recorded."""
        return self._shell.run(requests.get(microcosm_id, touch), timeout)

    # Changing; everything is on disk when the call returns

    def register_reference(
        self,
        microcosm_id: str,
        *,
        view: str | None = None,
        password: str | None = None,
        if_revision: int | None = None,
        timeout: float | None = None,
    ) -> Reference:
        """Add a reference, or fill in its fields and touch it; None and `""` keep what is there."""
        return self._shell.run(requests.register(microcosm_id, view, password, if_revision), timeout)

    def update_reference(
        self,
        microcosm_id: str,
        *,
        view: str | Keep | None = KEEP,
        password: str | Keep | None = KEEP,
        if_revision: int | None = None,
        timeout: float | None = None,
    ) -> Reference:
        """Change fields of a reference: None clears one. Raises `NotFound` and, with `if_revision`, `Conflict`."""
        return self._shell.run(requests.update(microcosm_id, view, password, if_revision), timeout)

    def remove_reference(
        self, microcosm_id: str, *, if_revision: int | None = None, timeout: float | None = None
    ) -> bool:
        """Remove a reference; False if there was none. What is active stays as it is."""
        return self._shell.run(requests.remove(microcosm_id, if_revision), timeout)

    def set_active(self, microcosm_id: str | None, *, timeout: float | None = None) -> None:
        """Make a microcosm active on this device, whether it is registered or not; None clears."""
        self._shell.run(requests.set_active(microcosm_id), timeout)

    def set(
        self,
        partial: Partial | Callable[[SessionState], Partial],
        *,
        if_revision: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Replace the given keys; `microcosms` are whole references, and those not listed are removed.

        A function gets the state and returns what to replace; if somebody else changes the session meanwhile it
        is called again, up to five times, and then `Conflict` is raised.
        """
        self._shell.set(partial, if_revision, timeout)

    def reset(self, *, if_revision: int | None = None, timeout: float | None = None) -> None:
        """Remove every reference and clear what is active, as one change."""
        self._shell.run(requests.reset(if_revision), timeout)

    def call(self, method: str, /, *, timeout: float | None = None, **params: object) -> Any:
        """Call any method of the local API; methods of sessions act on this one unless `session` is given."""
        return self._shell.call(method, params, timeout)

    # Listening and ending

    def on(self, listener: Listener[SessionState]) -> Unsubscribe:
        """Call `listener` with the state after every change, here or elsewhere; returns what ends that."""
        return self._board.state.on(listener)

    def use(self, *hooks: Unsubscribe) -> Unsubscribe:
        """Call these when the session is disposed, last first; returns what calls them now instead."""
        return self._board.state.use(*hooks)

    def dispose(self) -> None:
        """End the connection, drop all listeners, call what `use` was given; doing it twice is fine."""
        self._shell.link.close()
        self._board.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dispose()
