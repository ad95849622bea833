"""Commands that carry a session in and out of files."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from noggd.cli.base import Command, pass_state
from noggd.cli.exits import Failure
from noggd.cli.output import note, printable
from noggd.cli.state import State
from noggd.platform.files import write_private


@click.command(cls=Command)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@pass_state
def export(state: State, file: Path | None) -> None:
    """Write the session as JSON to FILE or stdout.

    Passwords are left out unless --show-secrets; a file is readable by its owner only.
    """
    document = state.ask("session.export", secrets=state.output.show_secrets)["document"]
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if file is None or str(file) == "-":
        sys.stdout.write(text)
        return
    write_private(file, text.encode())
    state.output.result({"session": state.session, "file": str(file)}, lambda: [f"wrote {printable(file)}"])


@click.command("import", cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
@pass_state
def import_(state: State, file: Path, dry_run: bool) -> None:
    """Merge a file into the session.

    It adds what is missing and overwrites nothing. FILE may be - for stdin. Takes an export of nogg and
    what the nodenogg.in apps keep in their local storage.
    """
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Failure(f"{file} is not JSON: {error}", kind="invalid_params") from error
    given = document if isinstance(document, dict | list) else text
    session = _rehearsal(state) if dry_run else state.session
    answer = state.call("session.import", session=session, document=given)
    answered = {"session": state.session, "dry_run": dry_run, **answer}
    state.output.result(answered, lambda: _lines(answer, dry_run))


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
            note(f"  {printable(entry['id'] or '(no id)')}: {printable(entry['reason'])}")
