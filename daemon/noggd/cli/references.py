"""Commands on single references: look, open, change, touch."""

from collections.abc import Iterable
from typing import Any

import click

from noggd.cli.asking import read_password
from noggd.cli.base import Command, pass_state
from noggd.cli.choose import complete_ids, known_id
from noggd.cli.exits import usage
from noggd.cli.output import ago, clock_time, printable, style, table
from noggd.cli.state import State

Reference = dict[str, Any]


def lines_of(state: State, reference: Reference) -> Iterable[str]:
    """Make the lines that show one reference in full."""
    accessed = reference["lastAccessed"]
    rows = [
        ("microcosm", printable(reference["microcosmID"])),
        ("view", printable(reference["view"] or "")),
        ("password", state.output.secret(reference["password"])),
        ("last accessed", f"{clock_time(accessed)} ({ago(accessed)})"),
        ("revision", str(reference["revision"])),
    ]
    return (f"{style(name.ljust(14), 'bold')} {value}".rstrip() for name, value in rows)


def show(state: State, reference: Reference) -> None:
    """Print one reference as the answer of a command."""
    state.output.result(reference, lambda: lines_of(state, reference))


@click.command("list", cls=Command)
@click.option(
    "--sort",
    type=click.Choice(["id", "recent"]),
    metavar="id|recent",
    default="id",
    show_default=True,
    help="Order of the list.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show the first N only.")
@click.option("--removed", is_flag=True, help="Show what was removed and can be restored.")
@pass_state
def list_(state: State, sort: str, limit: int | None, removed: bool) -> None:
    """List the microcosms; * marks the active one."""
    limited: dict[str, object] = {} if limit is None else {"limit": limit}
    answer = state.ask("reference.list", sort=sort, removed=removed, **limited)
    active = state.ask("active.get")["active"]
    state.output.result(
        {"session": state.session, "active": active, **answer},
        lambda: _removed_rows(answer) if removed else _rows(state, active, answer["references"]),
    )


def _rows(state: State, active: str | None, references: list[Reference]) -> list[str]:
    if not references:
        return ["No microcosms here yet. Add one with: nogg open ID"]
    rows = [
        (
            "*" if r["microcosmID"] == active else "",
            r["microcosmID"],
            r["view"] or "",
            state.output.secret(r["password"]),
            ago(r["lastAccessed"]),
        )
        for r in references
    ]
    return table(("", "MICROCOSM", "VIEW", "PASSWORD", "LAST ACCESSED"), rows)


def _removed_rows(answer: dict[str, Any]) -> list[str]:
    if not answer["references"]:
        return ["Nothing that was removed can be restored."]
    return table(
        ("MICROCOSM", "REMOVED"), [(r["microcosmID"], ago(r["removedAt"])) for r in answer["references"]]
    )


@click.command(cls=Command)
@click.argument("microcosm", metavar="ID", shell_complete=complete_ids)
@click.option("--touch", is_flag=True, help="Note the access, as an app does; shows the state before it.")
@pass_state
def get(state: State, microcosm: str, touch: bool) -> None:
    """Show one microcosm. Exits 1 if there is none."""
    answer = state.ask("reference.get", microcosmID=known_id(state, microcosm), touch=touch)
    if answer is False:  # removed between the look-up and the call
        answer = state.ask("reference.get", microcosmID=known_id(state, microcosm), touch=touch)
    show(state, answer)


@click.command("open", cls=Command)
@click.argument("microcosm", metavar="ID", shell_complete=complete_ids)
@click.option("--view", metavar="VIEW", help="View to open it in.")
@click.option("--password-stdin", is_flag=True, help="Read its password from the first line of stdin.")
@click.option("--ask-password", is_flag=True, help="Ask for its password on the terminal.")
@click.option("--active", is_flag=True, help="Make it the active one, in the same step.")
@pass_state
def open_(
    state: State, microcosm: str, view: str | None, password_stdin: bool, ask_password: bool, active: bool
) -> None:
    """Add a microcosm, or note that it was opened.

    ID is taken as it stands, never as a beginning. What is not given stays as it is.
    """
    password = read_password(from_stdin=password_stdin, ask=ask_password)
    fields = {key: value for key, value in (("view", view), ("password", password)) if value}
    if not active:
        show(state, state.ask("reference.register", microcosmID=microcosm, **fields))
        return
    register = {"op": "register", "microcosmID": microcosm, **fields}
    both = [register, {"op": "set_active", "microcosmID": microcosm}]
    show(state, state.ask("session.transact", ops=both)["results"][0])


@click.command(cls=Command)
@click.argument("microcosm", metavar="ID", shell_complete=complete_ids)
@click.option("--view", metavar="VIEW", help="Set the view.")
@click.option("--no-view", is_flag=True, help="Clear the view.")
@click.option("--password-stdin", is_flag=True, help="Set the password to the first line of stdin.")
@click.option("--ask-password", is_flag=True, help="Set the password to what is typed.")
@click.option("--no-password", is_flag=True, help="Clear the password.")
@click.option(
    "--if-revision", type=click.IntRange(min=0), metavar="N", help="Only if the reference is at revision N."
)
@pass_state
def update(
    state: State,
    microcosm: str,
    view: str | None,
    no_view: bool,
    password_stdin: bool,
    ask_password: bool,
    no_password: bool,
    if_revision: int | None,
) -> None:
    """Change or clear the view or password of a microcosm.

    Notes no access.
    """
    if no_view and view is not None:
        raise usage("--view and --no-view exclude each other")
    if no_password and (password_stdin or ask_password):
        raise usage("--no-password excludes giving one")
    fields: dict[str, object] = {}
    if no_view or view is not None:
        fields["view"] = view
    password = read_password(from_stdin=password_stdin, ask=ask_password)
    if no_password or password is not None:
        fields["password"] = password
    if not fields:
        raise usage("nothing to change", "give --view, --no-view, --password-stdin or --no-password")
    if if_revision is not None:
        fields["if_revision"] = if_revision
    show(state, state.ask("reference.update", microcosmID=known_id(state, microcosm), **fields))


@click.command(cls=Command)
@click.argument("microcosm", metavar="ID", shell_complete=complete_ids)
@pass_state
def touch(state: State, microcosm: str) -> None:
    """Note an access to a microcosm now."""
    wanted = known_id(state, microcosm)
    state.ask("session.transact", ops=[{"op": "touch", "microcosmID": wanted}])
    show(state, state.ask("reference.get", microcosmID=wanted, touch=False))
