"""The sign of life for systemd's watchdog: given by the event loop, after a write to the store came to its end.

So a loop that hangs, a thread of the store that hangs and a disk that never answers are all noticed. A disk that
answers with an error is alive: the daemon goes on reading then, and a restart would mend nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Done = Callable[[BaseException | None], None]


@asynccontextmanager
async def lifeline(
    prove: Callable[[Done], None], tell: Callable[[], object], interval: float | None
) -> AsyncIterator[None]:
    """Every `interval` seconds (None: never) write to the store by `prove`, then `tell` that we live."""

    async def live(seconds: float) -> None:
        while True:
            await _end_of(prove)
            tell()
            await asyncio.sleep(seconds)

    if interval is None:
        yield
        return
    task = asyncio.create_task(live(interval))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _end_of(prove: Callable[[Done], None]) -> None:
    ended = asyncio.Event()
    prove(lambda _: ended.set())
    await ended.wait()
