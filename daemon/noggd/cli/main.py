"""Entry of the `nogg` command, kept as light as the commonest question: `nogg status`.

A plain status is answered without loading click, which takes longer than all the rest together. Every other
command line goes to the tree of commands.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from noggd.cli.state import State


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        state = plain_status(given)
        if state is not None and "_NOGG_COMPLETE" not in os.environ:
            from noggd.cli.report import reporting
            from noggd.cli.status import show_status

            status = reporting(state, lambda: show_status(state))
            if arguments is None:  # a process of our own: without the interpreter's tidying up it ends sooner
                leave(status)
            return status
        from noggd.cli.tree import run

        return run(given)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


def leave(status: int) -> NoReturn:
    """End the process at once."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # nothing is open but the socket, which the kernel closes


def plain_status(given: Sequence[str]) -> State | None:
    """Return the state of a run that is surely a `nogg status`, None for anything that needs a real parser."""
    state, found, rest = State(), False, list(given)
    while rest:
        word = rest.pop(0)
        if word == "status" and not found:
            found = True
        elif word == "--json":
            state.output.json = True
        elif word in ("--socket", "--session") and rest and not rest[0].startswith("-"):
            setattr(state, word.removeprefix("--"), rest.pop(0))
        else:
            return None
    return state if found else None
