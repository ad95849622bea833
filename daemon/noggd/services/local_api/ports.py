"""What the local API wants from its neighbours, by shape: they never import each other, `noggd.app` joins them.

All times are Unix milliseconds, all results are plain JSON values under the names of the contract (2.2), all
refusals are errors of `nogg.errors`, raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]


class Pairing(Protocol):
    """The pairing window of this device, and the way into somebody else's."""

    async def invite(self, ttl_s: float, addresses: Sequence[str] | None) -> Json:
        """Open a window, replacing an open one; return `{code, ticket, expires_at, addresses}`."""
        ...

    async def join(self, *, code: str | None, ticket: str | None, address: str | None) -> Json:
        """Go through another device's window; return `{device: {id, name}, merged: {sessions, references}}`."""
        ...

    async def cancel(self) -> None:
        """Close the window if one is open."""
        ...

    def listen(self, listener: Callable[[Json], None]) -> Callable[[], None]:
        """Tell the listener each `{state, device?}` of `pair.changed`; return how to end that."""
        ...


class Peers(Protocol):
    """The other devices and the links to them."""

    def devices(self) -> list[Json]:
        """Return the rows of `device.list`, this device included."""
        ...

    def status(self) -> Json:
        """Return `{listen, peers}` of `sync.status`."""
        ...

    async def evict(self, device: str) -> Json:
        """Shut a device out, by its canonical id; return `{passwords_to_change, unaware}`."""
        ...

    async def leave(self) -> None:
        """Leave the group and keep the data."""
        ...

    async def wait(
        self, session: str, revision: int, devices: str | Sequence[str], timeout_s: float
    ) -> list[Json]:
        """Wait until `"any"`, `"all"` or the listed devices have stored a revision; return `[{device, at}]`.

        Raises Timeout, with who has it by then, after `timeout_s` seconds.
        """
        ...


class House(Protocol):
    """What the daemon knows about itself as a whole."""

    def status(self) -> Json:
        """Return `daemon.status`."""
        ...

    async def doctor(self) -> list[Json]:
        """Return the checks of `daemon.doctor`."""
        ...

    def metrics(self) -> Mapping[str, tuple[str, str, float]]:
        """Return measured values: name to (`counter` or `gauge`, what it counts, value)."""
        ...

    def stop(self) -> None:
        """Begin to stop, as SIGTERM does."""
        ...
