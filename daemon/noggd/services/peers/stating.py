"""The group's statements on one link: sending them, checking and storing what comes, acknowledging.

Not here: what they mean (`noggd.domain.membership`), and what follows from a change (`.members`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

from nogg.errors import ProtocolError
from noggd.domain.frames import Frame, Statements, StatementsStored
from noggd.domain.statements import Statement, read_statement
from noggd.services.peers.hello import encode_statements, read_statements
from noggd.storage.trust import Trust

MAX_UNCHECKED: Final = 8
"""Frames of statements that may wait to be checked."""
MANY: Final = 8
"""Statements that are checked without leaving the event loop; each takes a third of a millisecond."""


class Stating:
    """One link's exchange. `agreed` is set once the peer's statements were taken in for the first time."""

    def __init__(self, trust: Trust, send: Callable[[Frame], None]) -> None:
        self.agreed = asyncio.Event()
        self._trust = trust
        self._send = send
        self._awaited: dict[bytes, asyncio.Future[None]] = {}
        self._unchecked: asyncio.Queue[Statements] = asyncio.Queue(MAX_UNCHECKED)
        self._ended = False

    def say(self, only: Iterable[Statement] | None = None) -> asyncio.Future[None]:
        """Send all statements (or `only` some); the future is done when the peer has them on disk.

        It is cancelled where the link ends before.
        """
        content = encode_statements(s.raw for s in (self._trust.statements if only is None else only))
        digest = sha256(content).digest()
        stored = self._awaited.get(digest)
        if stored is None:
            stored = self._awaited[digest] = asyncio.get_running_loop().create_future()
            self._send(Statements(content))
        if self._ended:
            stored.cancel()
        return stored

    def take(self, frame: Statements | StatementsStored) -> None:
        """Take a frame of the peer's. Raises ProtocolError."""
        if isinstance(frame, StatementsStored):
            waiting = self._awaited.pop(frame.digest, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif self._unchecked.full():
            raise ProtocolError("statements come faster than they can be checked")
        else:
            self._unchecked.put_nowait(frame)

    async def check(self) -> None:
        """Check and store statements, one frame after the other, for ever. Raises ProtocolError, StorageFailed."""
        while True:
            frame = await self._unchecked.get()
            await self._admit(read_statements(frame.content))
            self._send(StatementsStored(sha256(frame.content).digest()))
            self.agreed.set()

    async def _admit(self, raws: list[bytes]) -> None:
        known = {statement.raw for statement in self._trust.statements}
        fresh = [raw for raw in raws if raw not in known]
        if len(fresh) > MANY:
            statements = await asyncio.to_thread(lambda: [read_statement(raw) for raw in fresh])
        else:
            statements = [read_statement(raw) for raw in fresh]
        await self._trust.admit(statements)

    def end(self) -> None:
        """Let nobody wait any longer; let go of the link."""
        self._ended = True
        self._send = lambda frame: None
        for waiting in self._awaited.values():
            waiting.cancel()
