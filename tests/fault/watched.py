"""A real daemon that tells through a pipe when it begins and ends what is interesting to be killed in.

    python -m tests.fault.watched PIPE PACE FLAGS…      PACE: hurried, plain; FLAGS: those of noggd

It writes `+phase` and `-phase`, a line each. What it does is what noggd does; `hurried` makes it compact often.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from noggd.__main__ import main
from noggd.core.writer import Core
from noggd.services.pairing.inviting import Inviting
from noggd.services.pairing.joining import Joiner
from noggd.services.peers.members import Members
from noggd.storage import journal, trust_file
from tests.fault.hurried import hurry


def watch(pipe: int) -> None:
    """Tell when the phases begin and end."""

    def say(text: str) -> None:
        os.write(pipe, text.encode() + b"\n")

    def plain(owner: object, name: str, phase: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def told(*arguments: Any, **named: Any) -> Any:
            say("+" + phase)
            try:
                return real(*arguments, **named)
            finally:
                say("-" + phase)

        setattr(owner, name, told)

    def awaited(owner: object, name: str, phase: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        async def told(*arguments: Any, **named: Any) -> Any:
            say("+" + phase)
            try:
                return await real(*arguments, **named)
            finally:
                say("-" + phase)

        setattr(owner, name, told)

    compact_maps = Core.compact_maps

    def compacting(core: Core, reply: Callable[[Any], None]) -> None:
        def done(result: Any) -> None:
            say("-map")
            reply(result)

        say("+map")
        compact_maps(core, done)

    Core.compact_maps = compacting  # type: ignore[method-assign, assignment] # it does the same, and tells
    plain(journal.Journal, "append", "commit")
    plain(journal.Journal, "compact", "journal")
    plain(journal, "_migrate", "migration")
    plain(trust_file, "save", "trust")
    awaited(Members, "evict", "eviction")
    awaited(Members, "_take_over", "taking over")
    awaited(Inviting, "_run", "pairing")
    awaited(Joiner, "_run", "pairing")
    awaited(Joiner, "_enter", "entering")


if __name__ == "__main__":
    watch(int(sys.argv[1]))
    if sys.argv[2] == "hurried":
        hurry()
    sys.exit(main(sys.argv[3:]))
