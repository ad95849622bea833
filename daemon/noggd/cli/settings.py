"""`nogg config`: the settings in force, and where each of them came from."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nogg import paths
from nogg.errors import NoggError
from noggd.cli.base import Command, pass_state
from noggd.cli.exits import USAGE, Failure
from noggd.cli.output import note, printable, table
from noggd.cli.state import State
from noggd.platform import config as settings


@click.command("config", cls=Command)
@click.option(
    "--example", is_flag=True, help="Print an example of a config file, with every setting explained."
)
@pass_state
def config(state: State, example: bool) -> None:
    """Show the settings in force and where they came from.

    Of the running daemon; without one, of a daemon that would be started from here. Exits 2 if the config file
    cannot be used.
    """
    if example:
        state.output.result({"example": settings.example()}, lambda: settings.example().splitlines())
        return
    answer = _in_force(state)
    file = Path(answer["config"])
    state.output.result(answer, lambda: _lines(answer))
    if answer["running"]:
        for row in changed_since(answer["settings"], _loaded(file)):
            note(f"{file} says another {row['setting']} now: nogg daemon restart")


def _in_force(state: State) -> dict[str, Any]:
    try:
        status = state.call("daemon.status")
    except NoggError:
        file = paths.resolve(socket=state.socket).config
        rows = _loaded(file, environ=True).rows()
        return {"config": str(file), "exists": file.exists(), "running": False, "settings": rows}
    file = Path(status["places"]["config"])
    return {"config": str(file), "exists": file.exists(), "running": True, "settings": status["settings"]}


def _loaded(file: Path, *, environ: bool = False) -> settings.Settings:
    try:
        return settings.load(file, required=False, environ=os.environ if environ else {}, flags={})
    except settings.ConfigError as error:
        raise Failure(
            str(error), kind="usage", hint="nogg config --example shows how", status=USAGE
        ) from error


def changed_since(running: list[dict[str, Any]], file: settings.Settings) -> list[dict[str, Any]]:
    """Return the settings that the file sets, or no longer sets, otherwise than they are in force."""
    now = {str(row["setting"]): row for row in file.rows()}
    return [
        row
        for row in running
        if not row["origin"].startswith(("$", "--")) and row["value"] != now[row["setting"]]["value"]
    ]


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    yield f"{printable(answer['config'])}{'' if answer['exists'] else ' (does not exist)'}"
    yield ""
    yield from table(
        ("SETTING", "VALUE", "FROM"),
        [(row["setting"], _value(row["value"]), row["origin"]) for row in answer["settings"]],
    )
    if not answer["running"]:
        sys.stdout.flush()
        note("the daemon is not running; it would start with these")


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
