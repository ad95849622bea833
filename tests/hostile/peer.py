"""A device that belongs to the group and misbehaves: the real peer protocol, a member's real key, no manners.

It is a paired daemon that was stopped, and whose key the test now uses. Says whatever it is told to, over TLS and
WebSocket as any device would; what the other side says is kept.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from noggd.domain.frames import (
    Frame,
    Hello,
    Statements,
    Step1,
    Step2,
    Stored,
    Summary,
    Update,
    read_frame,
    write_frame,
)
from noggd.platform import tls
from noggd.platform.clock import now_ms
from noggd.services.peers.connection import OutgoingConnection, pinned
from noggd.services.peers.dialling import open_connection
from noggd.services.peers.hello import Hello as About
from noggd.services.peers.hello import Seen, encode_statements
from noggd.storage.trust import Trust, open_trust
from tests.daemons import PATIENCE

__all__ = [
    "Frame",
    "Hello",
    "Member",
    "Seen",
    "Statements",
    "Step1",
    "Step2",
    "Stored",
    "Summary",
    "Talk",
    "Update",
]


class Member:
    """The key and the trust of a device whose daemon does not run any more."""

    def __init__(self, state: Path) -> None:
        self.trust: Trust = open_trust(state, "hostile")
        self.instance = secrets.token_hex(8)
        self._talks: list[Talk] = []

    @property
    def id(self) -> str:
        return self.trust.device

    async def connect(self, device: str, address: str) -> Talk:
        """Connect to a member; nothing is said yet."""
        certificate = self.trust.others[device].der
        context = tls.client_context(self.trust.key.path, certificate)
        talk = Talk(self, await open_connection(address, pinned(certificate), context, "/sync"))
        self._talks.append(talk)
        return talk

    async def leave(self) -> None:
        """End all connections."""
        talks, self._talks = self._talks, []
        for talk in talks:
            talk.cut()
        await asyncio.gather(*(talk.closed() for talk in talks))

    async def greet(self, device: str, address: str, **lies: Any) -> Talk:
        """Connect, say hello, and wait until documents can be talked about."""
        talk = await self.connect(device, address)
        talk.hello(**lies)
        await talk.until_asked()
        return talk


class Talk:
    """One connection. `heard`: frames that came, newest last (the last thousand)."""

    def __init__(self, member: Member, connection: OutgoingConnection) -> None:
        self.member = member
        self.connection = connection
        self.heard: list[Frame] = []
        self._news = asyncio.Event()
        connection.listen(self._take)
        self._watch = asyncio.ensure_future(self._end())

    def _take(self, message: bytes) -> None:
        self.heard.append(read_frame(message))
        del self.heard[:-1000]
        self._news.set()

    async def _end(self) -> None:
        await self.connection.wait_closed()
        self._news.set()

    @property
    def ended(self) -> bool:
        return self._watch.done()

    @property
    def code(self) -> int | None:
        """The close code, once it has ended."""
        return self.connection.close_code

    def say(self, *frames: Frame | bytes) -> None:
        for frame in frames:
            self.connection.post(frame if isinstance(frame, bytes) else write_frame(frame))

    async def flood(self, *frames: Frame | bytes, times: int = 1, ping: bool = False) -> int:
        """Send the same frames again and again as fast as they are taken, until it ends; return how often."""
        opcode = Opcode.PING if ping else Opcode.BINARY
        wire = b"".join(
            WebSocketFrame(opcode, frame if isinstance(frame, bytes) else write_frame(frame)).serialize(
                mask=True
            )
            for frame in frames
        )
        block, sent = wire * times, 0
        while not self.ended:
            self.connection.transport.write(block)
            sent += times
            await self.drained()
        return sent

    def hello(self, **lies: Any) -> None:
        trust = self.member.trust
        truth: dict[str, Any] = {
            "clock": now_ms(),
            "name": "hostile",
            "instance": self.member.instance,
            "digest": trust.digest.hex(),
            "run": "run-of-the-hostile",
            "client": 4242,
        }
        self.say(Hello(About(**{**truth, **lies}).encode()))

    def statements(self) -> None:
        self.say(Statements(encode_statements(each.raw for each in self.member.trust.statements)))

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something is true of what was heard. Fails when the connection ends before."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                assert not self.ended, f"the connection ended with {self.code}"
                self._news.clear()
                await self._news.wait()

    async def until_asked(self) -> None:
        """Wait for a sync step 1."""
        await self.until(lambda: any(isinstance(frame, Step1) for frame in self.heard))

    async def drained(self) -> None:
        """Wait until the other side took most of what was said, or hung up."""
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            transport = self.connection.transport  # which has no event for it
            while not self.ended and transport.get_write_buffer_size() > 1 << 16:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def closed(self) -> int | None:
        async with asyncio.timeout(PATIENCE):
            await self.connection.wait_closed()
        return self.code

    def cut(self) -> None:
        self.connection.transport.abort()
