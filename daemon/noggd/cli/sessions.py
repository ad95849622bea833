"""Commands on a session as a whole, and on what is active in it."""

import click

from noggd.cli.asking import confirm
from noggd.cli.base import Command, Group, pass_state
from noggd.cli.choose import any_id, complete_devices, complete_ids, known_device
from noggd.cli.exits import Failure, usage
from noggd.cli.output import note, printable, table
from noggd.cli.state import State


@click.command(cls=Command)
@click.argument("microcosm", metavar="[ID]", required=False, shell_complete=complete_ids)
@click.option("--clear", is_flag=True, help="Make none active.")
@click.option(
    "--from",
    "device",
    metavar="DEVICE",
    shell_complete=complete_devices,
    help="Take what that device has open.",
)
@pass_state
def active(state: State, microcosm: str | None, clear: bool, device: str | None) -> None:
    """Show or set the active microcosm of this device.

    Each device has its own; --from hands over what is open on another one.
    """
    if (microcosm is not None) + clear + (device is not None) > 1:
        raise usage("give one of ID, --clear and --from")
    if device is not None:
        wanted = _open_on(state, device)
    elif microcosm is not None:
        wanted = any_id(state, microcosm)
    elif clear:
        wanted = None
    else:
        _show_active(state, state.ask("active.get"))
        return
    _show_active(state, state.ask("active.set", microcosmID=wanted))


def _show_active(state: State, answer: dict[str, object]) -> None:
    if answer["active"] is None and not state.output.json:
        note("no microcosm is active")
    state.output.result(
        {"session": state.session, **answer},
        lambda: [] if answer["active"] is None else [printable(answer["active"])],
    )


def _open_on(state: State, device: str) -> str:
    wanted = known_device(state, device)
    for other in state.ask("active.everywhere")["devices"]:
        if other["device"] == wanted and other["active"]:
            return str(other["active"])
    raise Failure(
        f"that device has no microcosm open in session {state.session!r}",
        kind="not_found",
        hint="nogg device list shows what the devices have open",
    )


@click.group(cls=Group)
def session() -> None:
    """See and drop sessions: each has its own microcosms."""


@session.command("list")
@pass_state
def list_sessions(state: State) -> None:
    """List the sessions."""
    answer = state.call("session.list")
    state.output.result(
        answer,
        lambda: (
            table(
                ("SESSION", "MICROCOSMS", "REVISION"),
                [(s["session"], s["references"], s["revision"]) for s in answer["sessions"]],
            )
            or ["No session has anything yet. Add a microcosm with: nogg open ID"]
        ),
    )


@session.command("drop")
@click.argument("name", metavar="NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_state
def drop_session(state: State, name: str, yes: bool) -> None:
    """Drop a session on all devices.

    Its microcosms can be restored one by one for 30 days.
    """
    if name not in [s["session"] for s in state.call("session.list")["sessions"]]:
        raise Failure(f"no session {name!r}", kind="not_found", hint="nogg session list shows the sessions")
    confirm(f"Drop session {name} on all devices?", yes=yes)
    answer = state.call("session.drop", session=name)
    state.output.result({"session": name, **answer}, lambda: [f"dropped {printable(name)}"])


@click.command(cls=Command)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_state
def reset(state: State, yes: bool) -> None:
    """Remove every microcosm of the session.

    Each can be restored for 30 days.
    """
    confirm(f"Remove every microcosm of session {state.session} on all devices?", yes=yes)
    answer = state.ask("session.reset")
    state.output.result({"session": state.session, **answer}, lambda: [f"session {state.session} is empty"])
