"""Commands that carry a session in and out of files."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nogg import paths
from noggd.cli.backup import checked, gather, is_backup, merge
from noggd.cli.base import Command, pass_state
from noggd.cli.exits import Failure
from noggd.cli.output import note, printable
from noggd.cli.service.running import installed
from noggd.cli.state import State
from noggd.platform.files import write_private


@click.command(cls=Command)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Back up all sessions, the person and the devices.")
@pass_state
def export(state: State, file: Path | None, everything: bool) -> None:
    """Write the session as JSON to FILE or stdout.

    Passwords are left out unless --show-secrets; a file is readable by its owner only. With --all and
    --show-secrets the file holds the device's key too: whoever has it can be this device.
    """
    secrets = state.output.show_secrets
    if everything:
        document = gather(state, secrets=secrets)
    else:
        document = state.ask("session.export", secrets=secrets)["document"]
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if file is None or str(file) == "-":
        sys.stdout.write(text)
        return
    write_private(file, text.encode())
    what = {"sessions": list(document["sessions"])} if everything else {"session": state.session}
    state.output.result({**what, "file": str(file)}, lambda: [f"wrote {printable(file)}"])


@click.command("import", cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
@click.option(
    "--reinstall", "anew", is_flag=True, help="Set this device up from a backup, before its first start."
)
@pass_state
def import_(state: State, file: Path, dry_run: bool, anew: bool) -> None:
    """Merge a file into the session.

    It adds what is missing and overwrites nothing. FILE may be - for stdin. Takes an export of nogg, a backup
    of everything (export --all), and what the nodenogg.in apps keep in their local storage.
    """
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Failure(f"{file} is not JSON: {error}", kind="invalid_params") from error
    if anew or is_backup(document):
        if not is_backup(document):
            raise Failure(
                f"{file} is no backup of everything",
                kind="invalid_params",
                hint="nogg export --all makes one",
            )
        _restore(state, checked(document), dry_run=dry_run, anew=anew)
        return
    given = document if isinstance(document, dict | list) else text
    session = _rehearsal(state) if dry_run else state.session
    answer = state.call("session.import", session=session, document=given)
    answered = {"session": state.session, "dry_run": dry_run, **answer}
    state.output.result(answered, lambda: _lines(answer, dry_run))


def _restore(state: State, backup: dict[str, Any], *, dry_run: bool, anew: bool) -> None:
    """Take a backup of everything in: into the running daemon, or as the beginning of this device."""
    if dry_run:
        rows = {name: len(document.get("microcosms", ())) for name, document in backup["sessions"].items()}
        answer = {
            "dry_run": True,
            "sessions": rows,
            "device": backup["device"].get("id"),
            "secrets": backup["secrets"],
        }
        state.output.result(answer, lambda: [f"{name}: {count} references" for name, count in rows.items()])
        return
    if not anew:
        answer = merge(state, backup)
        state.output.result(answer, lambda: _lines(answer, dry_run=False))
        return
    from noggd.cli.reinstall import reinstall  # the daemon's own libraries, which nothing else here needs

    unit = installed()
    answer = reinstall((unit.state if unit is not None else None) or paths.resolve().state, backup)
    state.output.result(answer, lambda: [*_lines(answer, dry_run=False), _who(answer)])


def _who(answer: dict[str, Any]) -> str:
    device = f"{printable(answer['device']['name'])} ({answer['device']['id']})"
    if answer["same_device"]:
        return f"this is {device} again, in its group; now start it: nogg service install"
    return f"this is a new device of the same person, {device}; now start it: nogg service install"


def _rehearsal(state: State) -> str:
    """Copy the session into one that lives in memory for this connection, and return its name.

    What was removed here counts as skipped, whatever its date in the file.
    """
    removed = state.ask("reference.list", removed=True)["references"]
    present = state.ask("session.export", secrets=True)["document"]
    copy: str = state.call("session.open", ephemeral=True)["session"]
    state.call("session.import", session=copy, document=present)
    gone = [reference["microcosmID"] for reference in removed]
    for op in ("register", "remove"):
        if gone:
            state.call("session.transact", session=copy, ops=[{"op": op, "microcosmID": one} for one in gone])
    return copy


def _lines(answer: dict[str, Any], dry_run: bool) -> Iterator[str]:
    would = "would be " if dry_run else ""
    yield f"{answer['imported']} {would}imported, {answer['skipped']} {would}skipped"
    if answer["quarantined"]:
        note(f"{len(answer['quarantined'])} entries cannot be taken:")
        for entry in answer["quarantined"]:
            session = f"{entry['session']}: " if "session" in entry else ""
            note(f"  {session}{printable(entry['id'] or '(no id)')}: {printable(entry['reason'])}")
