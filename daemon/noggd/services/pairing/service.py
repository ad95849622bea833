"""Pairing as the local API sees it, and the window as the listener sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from noggd.core import Core
from noggd.services.pairing.inviting import Inviting
from noggd.services.pairing.joining import Joiner, Locate
from noggd.services.pairing.ports import Network, Stranger
from noggd.storage.trust import Trust

Json = dict[str, Any]
Listener = Callable[[Json], None]


class Pairing:
    """Both sides of pairing. Made by `open_pairing`; `attach` gives it the links, which need it in turn."""

    def __init__(self, core: Core, trust: Trust, now: Callable[[], int], locate: Locate | None) -> None:
        self._trust = trust
        self._inviting = Inviting(core, trust, now, self._tell)
        self._joiner = Joiner(core, trust, now, locate)
        self._listeners: list[Listener] = []

    async def attach(self, network: Network) -> None:
        """Use these links; finish a pairing that a crash left half done."""
        self._inviting.network = network
        self._joiner.network = network
        if self._trust.state.joining is not None:
            await self._joiner.make_ready()
            network.dial()

    # For the listener

    @property
    def is_open(self) -> bool:
        """Whether strangers may come in now."""
        return self._inviting.is_open

    @property
    def number(self) -> int | None:
        """The public number of the code whose window is open."""
        return self._inviting.number

    async def answer(self, stranger: Stranger) -> None:
        """Talk to a stranger that came in through the window."""
        await self._inviting.answer(stranger)

    # For the local API

    async def invite(self, ttl_s: float, addresses: Sequence[str] | None) -> Json:
        """Open a window, replacing an open one; return `{code, ticket, expires_at, addresses}`."""
        return await self._inviting.invite(ttl_s, addresses)

    async def join(self, *, code: str | None, ticket: str | None, address: str | None) -> Json:
        """Go through another device's window; return `{device, merged}`. Raises PairingFailed."""
        result = await self._joiner.join(code, ticket, address)
        self._tell({"state": "paired", "device": result["device"]})
        return result

    async def cancel(self) -> None:
        """Close the window if one is open."""
        self._inviting.close("cancelled")

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell the listener each `{state, device?}` of `pair.changed`; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _tell(self, change: Json) -> None:
        for listener in list(self._listeners):
            listener(change)


@asynccontextmanager
async def open_pairing(
    core: Core, trust: Trust, now: Callable[[], int], locate: Locate | None = None
) -> AsyncIterator[Pairing]:
    """Pair while the context lasts; a window that is open is closed at its end.

    `locate` finds devices that announce a window on the local network.
    """
    pairing = Pairing(core, trust, now, locate)
    try:
        yield pairing
    finally:
        await pairing.cancel()
