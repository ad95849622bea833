"""Connections between devices that do not trust each other yet: messages one by one, for pairing.

Not here: what is said (the pairing service).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from nogg.errors import ProtocolError
from noggd.domain.devices import check_certificate
from noggd.domain.pairing_wire import MAX_WELCOME
from noggd.platform import tls
from noggd.services.peers.connection import DirectConnection, OutgoingConnection, limit_messages
from noggd.services.peers.dialling import first_connection

PAIR_PATH: Final = "/pair"
MAX_MESSAGES: Final = 8
"""Messages that may wait to be read; the protocol has four in all."""


class Conversation:
    """One connection. `address` is where it was dialled; empty for one that came in."""

    def __init__(self, connection: DirectConnection, address: str = "") -> None:
        self.address = address
        self._connection = connection
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        connection.listen(self._take)
        self._watch = asyncio.create_task(self._end())

    def _take(self, message: bytes) -> None:
        if self._messages.qsize() >= MAX_MESSAGES:
            self._connection.drop("too many messages")
        else:
            self._messages.put_nowait(message)

    async def _end(self) -> None:
        await self._connection.wait_closed()
        self._messages.put_nowait(None)

    async def send(self, message: bytes) -> None:
        """Send a message. Raises EOFError if the connection has ended."""
        if not self._connection.post(message):
            raise EOFError

    async def receive(self) -> bytes:
        """Return the next message. Raises EOFError if the connection has ended."""
        message = await self._messages.get()
        if message is None:
            self._messages.put_nowait(None)
            raise EOFError
        return message

    @property
    def certificate(self) -> bytes:
        """The certificate (DER) that the connection was made with; empty where the other side showed none."""
        return self._connection.peer_certificate or b""

    def close(self) -> None:
        """End it."""
        self._closing = asyncio.ensure_future(self._connection.close())


async def meet(addresses: Sequence[str], device: str | None) -> Conversation | None:
    """Connect to a device that has a pairing window open, at the first address that answers.

    With `device`, only to that one: nothing is sent to anybody else. Returns None where nobody answers; raises
    PermissionError where somebody does, but takes no strangers.
    """

    class Wanted(OutgoingConnection):
        def is_expected(self, shown: bytes) -> bool:
            try:
                return device is None or check_certificate(shown).device == device
            except ProtocolError:
                return False

    made, refused = await first_connection(addresses, Wanted, tls.stranger_context(), PAIR_PATH)
    if made is not None:
        limit_messages(made[0], MAX_WELCOME)
        return Conversation(*made)
    if refused:
        raise PermissionError("strangers are not let in")
    return None
