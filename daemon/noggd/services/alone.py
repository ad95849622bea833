"""A device without a network: stands in for links and pairing where there are none.

What it says is the truth about such a device; what it cannot do it refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from nogg.errors import NotPaired, PairingFailed, Timeout
from noggd.core import Core

Json = dict[str, Any]


class Alone:
    """`Peers` and `Pairing` of the local API in one."""

    def __init__(self, core: Core, listen: str) -> None:
        self._core = core
        self._listen = listen

    def devices(self) -> list[Json]:
        """Return this device."""
        core = self._core
        name = core.device_names.get(core.device, "")
        active = core.view("default").active
        here = {"id": core.device, "name": name, "self": True, "state": "online", "active": active}
        return [{**here, "address": self._listen, "last_seen": None}]

    def status(self) -> Json:
        """Return that nobody is linked."""
        return {"listen": self._listen, "peers": []}

    async def evict(self, device: str) -> Json:
        """Refuse: there is nobody."""
        raise NotPaired(f"no such device: {device}")

    async def leave(self) -> None:
        """Stay alone."""

    async def wait(
        self, session: str, revision: int, devices: str | Sequence[str], timeout_s: float
    ) -> list[Json]:
        """Wait for nobody: `all` of no devices have it at once, `any` of them never will."""
        if devices == "all" or devices == []:
            return []
        if not isinstance(devices, str):
            raise NotPaired(f"no such device: {devices[0]}")
        await asyncio.sleep(timeout_s)
        raise Timeout(f"no device has stored revision {revision} of {session}", synced=[])

    async def invite(self, ttl_s: float, addresses: Sequence[str] | None) -> Json:
        """Refuse: nobody could come in."""
        _refuse()

    async def join(self, *, code: str | None, ticket: str | None, address: str | None) -> Json:
        """Refuse: there is no way out."""
        _refuse()

    async def cancel(self) -> None:
        """Leave the window closed, which it is."""

    def listen(self, listener: Callable[[Json], None]) -> Callable[[], None]:
        """Tell nothing: nothing will happen."""
        return lambda: None


def _refuse() -> NoReturn:
    raise PairingFailed("this daemon runs without a network")
