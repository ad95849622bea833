"""`nogg watch`: tells every change of the session as it happens, across restarts of the daemon."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from nogg.errors import ConnectionLost, NotRunning, ShuttingDown, Starting
from noggd.cli.base import Command, pass_state
from noggd.cli.exits import usage
from noggd.cli.output import note, printable, style
from noggd.cli.state import State

if TYPE_CHECKING:
    from nogg.blocking import Connection

_RETRY = 0.25  # seconds between attempts to reach a daemon that went away

Position = dict[str, object]  # {"epoch", "revision"}: what was told last


@click.command(cls=Command)
@click.option(
    "--since", metavar="EPOCH:REVISION", help="Start with what changed since then, as printed by --json."
)
@pass_state
def watch(state: State, since: str | None) -> None:
    """Tell changes as they happen, until interrupted.

    A restart of the daemon loses none. With --json one object per line: first the state (fresh) or what
    changed since, then each change.
    """
    position = _parse(since) if since else None
    known: set[str] = set()
    first = True
    while True:
        try:
            with state.connect() as connection:
                if not first:
                    note("the daemon is back")
                first = False
                for told in follow(connection, state.session, position):
                    if "revision" in told:
                        position = {"epoch": told["epoch"], "revision": told["revision"]}
                    state.output.result(told, lambda told=told: describe(told, known))  # type: ignore[misc]
        except (ConnectionLost, NotRunning, ShuttingDown, Starting) as error:
            if first and not isinstance(error, Starting):
                raise
            if not isinstance(error, NotRunning | Starting):
                note("the daemon went away; waiting for it")
            time.sleep(_RETRY)


def follow(connection: "Connection", session: str, since: Position | None) -> Iterator[dict[str, Any]]:
    """Yield the state or the difference since a position, then each change; ends by `ConnectionLost`."""
    while True:
        asked: dict[str, object] = {} if since is None else {"since": since}
        keys = ["active", "microcosms", "identity", "devices"]
        answer = connection.call("session.subscribe", session=session, keys=keys, **asked)
        mine, epoch = answer["subscription"], answer["epoch"]
        since = {"epoch": epoch, "revision": answer["revision"]}
        yield {
            "event": "state" if answer["fresh"] else "since",
            "session": session,
            **_without(answer, "subscription"),
        }
        for method, params in connection.notifications():
            if method == "subscription.resync" and params.get("subscription") == mine:
                break  # we were too slow, and it told us no more: ask for what changed since
            if params.get("subscription", mine) != mine or params.get("session", session) != session:
                continue
            told = {"event": method, **_without(params, "subscription")}
            if method == "session.changed":
                told["epoch"] = epoch
                since = {"epoch": epoch, "revision": params["revision"]}
            yield told


def describe(told: dict[str, Any], known: set[str]) -> Iterator[str]:
    """Make the lines that tell one event to a person; `known` are the ids told of so far, and is kept up."""
    event = told["event"]
    if event == "daemon.stopping":
        return
    stamp = style(time.strftime("%H:%M:%S"), "dim")
    if event in ("state", "since", "session.changed"):
        for line in _changes(told, known):
            yield f"{stamp} {line}"
    elif event == "identity.changed":
        yield f"{stamp} you are {printable(told['identity'].get('username') or 'nameless')}"
    elif event == "device.changed":
        states = ", ".join(f"{printable(d['name'])} {d['state']}" for d in told["devices"] if not d["self"])
        yield f"{stamp} devices: {states or 'this one only'}"
    elif event == "reference.conflict":
        yield f"{stamp} two passwords for {printable(told.get('microcosmID', '?'))}: see nogg conflicts"
    else:
        yield f"{stamp} {event}"


def _changes(told: dict[str, Any], known: set[str]) -> Iterator[str]:
    if told["event"] == "state":
        known.clear()
        yield f"session {told['session']}: microcosms: {len(told['set'])}, revision: {told['revision']}"
    else:
        for reference in told["set"].values():
            view = f"  view {printable(reference['view'])}" if reference["view"] else ""
            locked = "  with password" if reference["password"] else ""
            sign = "~" if reference["microcosmID"] in known else "+"
            yield f"{sign} {printable(reference['microcosmID'])}{view}{locked}"
        for microcosm in told["removed"]:
            yield f"- {printable(microcosm)}"
    known.update(told["set"])
    known.difference_update(told["removed"])
    if "active" in told:
        yield f"active: {printable(told['active'] or 'none')}"


def _without(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in names}


def _parse(text: str) -> Position:
    epoch, _, revision = text.rpartition(":")
    if not epoch or not revision.isdecimal():
        raise usage(f"--since {text}: not of the form EPOCH:REVISION")
    return {"epoch": epoch, "revision": int(revision)}
