"""Commands on the person's devices and on the person."""

from typing import Any

import click

from noggd.cli.asking import confirm
from noggd.cli.base import Command, Group, pass_state
from noggd.cli.choose import complete_devices, known_device
from noggd.cli.output import ago, note, printable, table
from noggd.cli.state import State


@click.group(cls=Group)
def device() -> None:
    """See and manage the devices that share these sessions."""


@device.command("list")
@pass_state
def list_devices(state: State) -> None:
    """List this device and those it is paired with."""
    answer = state.call("device.list")
    state.output.result(answer, lambda: device_rows(answer["devices"]))


def device_rows(devices: list[dict[str, Any]]) -> list[str]:
    """Make the table of devices."""
    rows = [
        (
            d["name"],
            "this device" if d["self"] else d["state"],
            d["active"] or "",
            "" if d["self"] else ago(d["last_seen"]),
            d["address"] or "",
            d["id"],
        )
        for d in devices
    ]
    return table(("NAME", "STATE", "HAS OPEN", "LAST SEEN", "ADDRESS", "ID"), rows)


@device.command("rename")
@click.argument("name", metavar="NAME")
@pass_state
def rename_device(state: State, name: str) -> None:
    """Name this device, for all of them to see."""
    answer = state.call("device.rename", name=name)
    state.output.result(
        {"name": name, **(answer or {})}, lambda: [f"this device is now called {printable(name)}"]
    )


@device.command("evict")
@click.argument("wanted", metavar="DEVICE", shell_complete=complete_devices)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_state
def evict_device(state: State, wanted: str, yes: bool) -> None:
    """Remove a device from the group, for good. DEVICE is its id or name.

    It keeps what it has; the passwords that it knew are listed, to be changed.
    """
    evicted = known_device(state, wanted)
    confirm(f"Evict {wanted} ({evicted}) for good? It cannot come back with its present key.", yes=yes)
    answer = state.call("device.evict", device=evicted)
    state.output.result({"device": evicted, **answer}, lambda: _evicted_lines(state, evicted, answer))


def _evicted_lines(state: State, evicted: str, answer: dict[str, Any]) -> list[str]:
    lines = [f"evicted {evicted}"]
    if answer["passwords_to_change"]:
        lines.append("It knew these passwords; change them:")
        lines += [f"  {p['session']}  {printable(p['microcosmID'])}" for p in answer["passwords_to_change"]]
    if answer["unaware"]:
        lines.append("Not told yet, because not connected (they will learn of it when they are):")
        names = {d["id"]: d["name"] for d in state.call("device.list")["devices"]}
        lines += [f"  {printable(names.get(d, ''))}  {d}" for d in answer["unaware"]]
    return lines


@device.command("leave")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_state
def leave_group(state: State, yes: bool) -> None:
    """Take this device out of its group.

    It keeps its data and can pair again.
    """
    confirm("Leave the group? This device keeps what it has and gets nothing new.", yes=yes)
    answer = state.call("device.leave")
    state.output.result(dict(answer or {}), lambda: ["this device is on its own now"])


@click.command(cls=Command)
@click.option("--username", metavar="NAME", help="Set the name; an empty one clears it.")
@pass_state
def identity(state: State, username: str | None) -> None:
    """Show or name the person whose devices these are."""
    answer = (
        state.call("identity.get")
        if username is None
        else state.call("identity.set", username=username or None)
    )
    if not answer["username"] and not state.output.json:
        note("no name set; give one with: nogg identity --username NAME")
    state.output.result(
        answer,
        lambda: table(
            ("USERNAME", "IDENTITY", "FORMERLY"),
            [(answer["username"] or "", answer["identityID"], ", ".join(answer["aliases"]))],
        ),
    )
