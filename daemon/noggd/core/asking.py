"""Asking the core from a coroutine, where a few microseconds more do not matter. It speaks in callbacks itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from noggd.core.batch import Reply


async def ask(submit: Callable[[Reply], None]) -> Any:
    """Return what the core replies, or raise it if it is an error; `submit` asks, given where to reply to.

    As in `await ask(core.state)` or `await ask(lambda reply: core.missing(document, vector, reply))`. What
    was submitted is carried out even if the caller is cancelled meanwhile.
    """
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def reply(result: object) -> None:
        if answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    submit(reply)
    return await answer
