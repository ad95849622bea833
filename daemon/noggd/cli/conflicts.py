"""Commands on passwords that two devices set without knowing of each other."""

from typing import Any

import click

from noggd.cli.asking import read_password, terminal
from noggd.cli.base import Command, pass_state
from noggd.cli.choose import known_device, known_id
from noggd.cli.exits import Failure, usage
from noggd.cli.output import clock_time, printable, table
from noggd.cli.references import show
from noggd.cli.state import State

Conflict = dict[str, Any]


@click.command(cls=Command)
@pass_state
def conflicts(state: State) -> None:
    """List passwords that two devices set at once.

    All are kept until one is chosen.
    """
    answer = state.ask("reference.conflicts")
    state.output.result({"session": state.session, **answer}, lambda: _rows(state, answer["conflicts"]))


def _rows(state: State, open_conflicts: list[Conflict]) -> list[str]:
    names = _device_names(state) if open_conflicts else {}
    rows = [
        (
            conflict["microcosmID"],
            conflict["field"],
            names.get(value["device"], value["device"]),
            clock_time(value["at"]),
            state.output.secret(value["value"]),
            "in use" if value["value"] == conflict["chosen"] else "",
        )
        for conflict in open_conflicts
        for value in conflict["values"]
    ]
    header = ("MICROCOSM", "FIELD", "SET ON", "AT", "VALUE", "")
    return table(header, rows) or ["No conflicts."]


def _device_names(state: State) -> dict[str, str]:
    return {d["id"]: d["name"] or d["id"] for d in state.call("device.list")["devices"]}


@click.command(cls=Command)
@click.argument("microcosm", metavar="ID")
@click.option("--take", metavar="DEVICE", help="Take the value that was set on this device (id or name).")
@click.option("--password-stdin", is_flag=True, help="Set the first line of stdin instead.")
@click.option("--ask-password", is_flag=True, help="Set what is typed instead.")
@pass_state
def resolve(state: State, microcosm: str, take: str | None, password_stdin: bool, ask_password: bool) -> None:
    """Choose between passwords that two devices set at once.

    Without an option it asks.
    """
    if take is not None and (password_stdin or ask_password):
        raise usage("--take excludes giving a password")
    wanted = known_id(state, microcosm)
    found = next(
        (c for c in state.ask("reference.conflicts")["conflicts"] if c["microcosmID"] == wanted), None
    )
    if found is None:
        raise Failure(f"no conflict on {wanted}", kind="not_found", hint="nogg conflicts lists them")
    value = read_password(from_stdin=password_stdin, ask=ask_password)
    if value is None:
        value = _value_of(state, found, take) if take is not None else _asked(state, found)
    show(state, state.ask("reference.resolve", microcosmID=wanted, field=found["field"], value=value))


def _value_of(state: State, conflict: Conflict, device: str) -> str | None:
    wanted = known_device(state, device)
    for value in conflict["values"]:
        if value["device"] == wanted:
            return value["value"]  # type: ignore[no-any-return]
    raise Failure(f"{device} set no password in this conflict", hint="nogg conflicts shows who did")


def _asked(state: State, conflict: Conflict) -> str | None:
    if not terminal():
        raise usage("which value? nobody can be asked here", "give --take DEVICE or --password-stdin")
    names = _device_names(state)
    for number, value in enumerate(conflict["values"], 1):
        shown = state.output.secret(value["value"]) or "(none)"
        place = printable(names.get(value["device"], value["device"]))
        click.echo(f"{number}. {shown}  set on {place} at {clock_time(value['at'])}", err=True)
    choice = click.prompt("Which one", type=click.IntRange(1, len(conflict["values"])), err=True)
    return conflict["values"][choice - 1]["value"]  # type: ignore[no-any-return]
