"""Commands that take references away, and those that bring them back or make that impossible."""

import click

from noggd.cli.asking import confirm
from noggd.cli.base import Command, pass_state
from noggd.cli.choose import complete_ids, complete_removed, known_id, known_ids, one_of
from noggd.cli.exits import Failure
from noggd.cli.output import printable
from noggd.cli.references import show
from noggd.cli.state import State


@click.command(cls=Command)
@click.argument("microcosms", metavar="ID...", nargs=-1, required=True, shell_complete=complete_ids)
@pass_state
def rm(state: State, microcosms: tuple[str, ...]) -> None:
    """Remove microcosms; restore brings them back.

    All or none, on all devices. They can be restored for 30 days.
    """
    wanted = list(dict.fromkeys(known_id(state, microcosm) for microcosm in microcosms))
    state.ask("session.transact", ops=[{"op": "remove", "microcosmID": one} for one in wanted])
    state.output.result(
        {"session": state.session, "removed": wanted}, lambda: [f"removed {printable(one)}" for one in wanted]
    )


@click.command(cls=Command)
@click.argument("microcosm", metavar="ID", shell_complete=complete_removed)
@pass_state
def restore(state: State, microcosm: str) -> None:
    """Bring back a removed microcosm as it stood.

    Password and open conflicts included.
    """
    show(state, state.ask("reference.restore", microcosmID=known_id(state, microcosm, removed=True)))


@click.command(cls=Command)
@click.argument("microcosm", metavar="ID", shell_complete=complete_ids)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_state
def forget(state: State, microcosm: str, yes: bool) -> None:
    """Remove a microcosm for good, on all devices.

    It cannot be restored, and its password leaves the disks.
    """
    candidates = [*known_ids(state), *known_ids(state, removed=True)]
    wanted = one_of(microcosm, candidates, "microcosm")
    if wanted is None:
        raise Failure(
            f"no microcosm {microcosm!r} in session {state.session!r}, removed ones included",
            kind="not_found",
            hint="nogg list and nogg list --removed show what there is",
        )
    confirm(f"Forget {wanted} on all devices? It cannot be restored.", yes=yes)
    answer = state.ask("reference.forget", microcosmID=wanted)
    state.output.result({"microcosmID": wanted, **answer}, lambda: [f"forgot {printable(wanted)}"])
