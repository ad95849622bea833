"""What pairing needs of the links to other devices, by shape: services never import each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Stranger(Protocol):
    """A connection to a device that is not trusted yet: messages one by one."""

    async def send(self, message: bytes) -> None:
        """Send a message. Raises EOFError if the connection has ended."""

    async def receive(self) -> bytes:
        """Return the next message. Raises EOFError if the connection has ended."""


class Host(Stranger, Protocol):
    """A connection that this device made, to one that shows a code."""

    @property
    def certificate(self) -> bytes:
        """Return the certificate (DER) that the connection was made with."""

    @property
    def address(self) -> str:
        """Return where it answered."""

    def close(self) -> None:
        """End it."""


class Network(Protocol):
    """The links to the other devices, as far as pairing uses them."""

    def addresses(self) -> list[str]:
        """Return where this device can be reached."""

    def refresh_tls(self) -> None:
        """Let TLS follow a window that was opened or closed."""

    async def meet(self, addresses: Sequence[str], device: str | None) -> Host | None:
        """Connect to a device with an open window, at the first of these addresses that answers.

        With `device`, only to that one. Returns None where nobody answers; raises PermissionError where
        somebody does, but takes no strangers.
        """

    async def apply_members(self) -> None:
        """Carry a change of the group into the core."""

    def dial(self, device: str | None = None) -> None:
        """Dial a device at once."""
