"""`nogg logs`: the daemon's log, wherever it goes: into the journal, or into the file of `nogg daemon start`."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nogg import paths
from nogg.errors import NoggError
from noggd.cli.base import Command, pass_state
from noggd.cli.exits import Failure
from noggd.cli.service.running import Unit, installed, unit_of
from noggd.cli.state import State

LINES = 50
_STEP = 0.2  # seconds between looks at a file that is followed
_CHUNK = 1 << 16


@click.command(cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is logged.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    metavar="N",
    default=LINES,
    show_default=True,
    help="Lines to begin with.",
)
@pass_state
def logs(state: State, follow: bool, lines: int) -> None:
    """Show the daemon's log."""
    unit, file = _where(state)
    if unit is not None:
        command = [
            *unit.journal,
            "-n",
            str(lines),
            *(["-f"] if follow else []),
            *(["-o", "json"] if state.output.json else []),
        ]
        sys.stdout.flush()
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    if not file.exists():
        raise Failure(
            f"there is no log at {file}", hint="a daemon in the foreground writes it to its terminal"
        )
    for line in _tail(file, lines, follow=follow):
        state.output.result({"line": line}, lambda line=line: [line])  # type: ignore[misc]


def _where(state: State) -> tuple[Unit | None, Path]:
    """Return the unit that logs into the journal, if one does, and the file of one that was started by hand."""
    try:
        status: dict[str, Any] = state.call("daemon.status")
    except NoggError:
        return installed(), paths.resolve(socket=state.socket).logs / "noggd.log"
    return unit_of(status["pid"]), Path(status.get("places", {}).get("logs", ".")) / "noggd.log"


def _tail(file: Path, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of a file, then, if it is followed, what is added to it, for ever."""
    with file.open("rb") as opened:
        if not follow:
            yield from _last_lines(opened.read(), lines)
            return
        before, _, rest = opened.read().rpartition(b"\n")  # a last line may be half written
        yield from _last_lines(before, lines)
        while True:
            data = opened.read(_CHUNK)
            if not data:
                time.sleep(_STEP)
                continue
            *whole, rest = (rest + data).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)


def _last_lines(data: bytes, lines: int) -> list[str]:
    found = data.decode("utf-8", "replace").splitlines()
    return found[-lines:] if lines else []
