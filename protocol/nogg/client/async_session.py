"""The seed's `Session` for asyncio: reading is immediate, changing is awaited.

Here: the members that apps use; the same as in `nogg.client.session`. Not here: the transport
(`nogg.client.async_link`), the conversation (`.core`) and what each call asks (`.requests`).

    async with AsyncSession() as session:
        await session.register_reference("design-studio.0123456789abcdef", view="spatial")
        session.key("active").on(print)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from types import TracebackType
from typing import Any, Literal, Self, overload

from nogg.client import requests
from nogg.client.async_shell import AsyncShell
from nogg.client.requests import KEEP, Keep
from nogg.client.signals import Entries, Key, Listener, Partial, Signal, Unsubscribe
from nogg.client.state import Identity, Reference, SessionState
from nogg.paths import PathLike

_numbers = count(1)


class AsyncSession:
    """A person's session, read and changed through the daemon, within the running event loop.

    `name`, `socket`, `timeout`, `client` and `reconnect` are those of `nogg.Session`; `timeout` is the longest that
    any call takes, and for less there is `asyncio.timeout`. Nothing is connected before `open()` or `async with`.

    State is read from a mirror that follows the daemon, so reading is immediate and includes one's own changes
    once they were awaited. Listeners are plain functions and run in the loop.
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
        self._shell = AsyncShell(name, socket=socket, timeout=timeout, client=client, reconnect=reconnect)
        self._board = self._shell.board

    async def open(self) -> None:
        """Connect and get the first state; `async with` does it. Raises `NotRunning` if there is no daemon."""
        await self._shell.open()

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
    def key(self, key: Literal["active"]) -> Key[str | None, str | None, Awaitable[None]]: ...

    @overload
    def key(self, key: Literal["microcosms"]) -> Key[Mapping[str, Reference], Entries, Awaitable[None]]: ...

    def key(self, key: str) -> Key[Any, Any, Awaitable[None]]:
        """Return the signal of one key; `KeyError` if there is no such key."""
        return self._board.key(key)

    @property
    def signal(self) -> Key[SessionState, Partial, Awaitable[None]]:
        """The whole state as one signal."""
        return self._board.state

    @property
    def microcosms(self) -> Signal[list[Reference]]:
        """All references in the seed's order, as a signal."""
        return self._board.listed

    @property
    def ready(self) -> Signal[bool]:
        """Whether the session was opened, as a signal."""
        return self._board.ready

    @property
    def connected(self) -> Signal[bool]:
        """Whether the daemon can be reached, as a signal."""
        return self._board.connected

    @property
    def user(self) -> Key[Identity, Partial, Awaitable[None]]:
        """The person, as a signal; `set({"username": …})` renames them on all devices."""
        return self._board.user

    def get(self) -> SessionState:
        """Return what is active and all references; the object never changes."""
        return self._board.state.get()

    def is_active(self, microcosm_id: str) -> bool:
        """Say whether this microcosm is active on this device."""
        return self.get().active == microcosm_id

    async def get_reference(self, microcosm_id: str, *, touch: bool = True) -> Reference | Literal[False]:
        """Return a reference as it was before this access, or False; with `touch` the access is recorded."""
        return await self._shell.run(requests.get(microcosm_id, touch))

    # Changing; everything is on disk when the call returns

    async def register_reference(
        self,
        microcosm_id: str,
        *,
        view: str | None = None,
        password: str | None = None,
        if_revision: int | None = None,
    ) -> Reference:
        """Add a reference, or fill in its fields and touch it; None and `""` keep what is there."""
        return await self._shell.run(requests.register(microcosm_id, view, password, if_revision))

    async def update_reference(
        self,
        microcosm_id: str,
        *,
        view: str | Keep | None = KEEP,
        password: str | Keep | None = KEEP,
        if_revision: int | None = None,
    ) -> Reference:
        """Change fields of a reference: None clears one. Raises `NotFound` and, with `if_revision`, `Conflict`."""
        return await self._shell.run(requests.update(microcosm_id, view, password, if_revision))

    async def remove_reference(self, microcosm_id: str, *, if_revision: int | None = None) -> bool:
        """Remove a reference; False if there was none. What is active stays as it is."""
        return await self._shell.run(requests.remove(microcosm_id, if_revision))

    async def set_active(self, microcosm_id: str | None) -> None:
        """Make a microcosm active on this device, whether it is registered or not; None clears."""
        await self._shell.run(requests.set_active(microcosm_id))

    async def set(
        self,
        partial: Partial | Callable[[SessionState], Partial],
        *,
        if_revision: int | None = None,
    ) -> None:
        """Replace the given keys; `microcosms` are whole references, and those not listed are removed.

        A function gets the state and returns what to replace; if somebody else changes the session meanwhile it
        is called again, up to five times, and then `Conflict` is raised.
        """
        await self._shell.set(partial, if_revision)

    async def reset(self, *, if_revision: int | None = None) -> None:
        """Remove every reference and clear what is active, as one change."""
        await self._shell.run(requests.reset(if_revision))

    async def call(self, method: str, /, **params: object) -> Any:
        """Call any method of the local API; methods of sessions act on this one unless `session` is given."""
        return await self._shell.call(method, params)

    # Listening and ending

    def on(self, listener: Listener[SessionState]) -> Unsubscribe:
        """Call `listener` with the state after every change, here or elsewhere; returns what ends that."""
        return self._board.state.on(listener)

    def use(self, *hooks: Unsubscribe) -> Unsubscribe:
        """Call these when the session is disposed, last first; returns what calls them now instead."""
        return self._board.state.use(*hooks)

    async def dispose(self) -> None:
        """End the connection, drop all listeners, call what `use` was given; doing it twice is fine."""
        await self._shell.link.close()
        self._board.dispose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.dispose()
