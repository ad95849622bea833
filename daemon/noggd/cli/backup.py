"""A backup of everything: all sessions, the person, the devices, and with secrets the device itself.

    {"format": "nogg.backup", "version": 1, "createdAt": …, "secrets": …,
     "person": {identityID, username, aliases}, "devices": [{id, name, …}],
     "device": {id, name, key?, trust?}, "sessions": {name: document of session.export}}

Without secrets there is nothing in it that would let anybody in. Here: putting it together, and merging it into a
running daemon. Setting a device up anew from it is in `reinstall`.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from noggd.cli.exits import Failure
from noggd.cli.state import State

FORMAT = "nogg.backup"
VERSION = 1
CHUNK = 2000
"""References that are imported with one request: a request has at most 16 MiB."""

KEY_FILE, TRUST_FILE = "device.pem", "trust.json"

Backup = dict[str, Any]


def gather(state: State, *, secrets: bool) -> Backup:
    """Ask the daemon for everything. With `secrets`, key and trust are read from its state folder."""
    hello, status = state.call("hello"), state.call("daemon.status")
    names = [row["session"] for row in state.call("session.list")["sessions"]]
    return {
        "format": FORMAT,
        "version": VERSION,
        "createdAt": time.time_ns() // 1_000_000,
        "secrets": secrets,
        "person": state.call("identity.get"),
        "devices": state.call("device.list")["devices"],
        "device": {**hello["device"], **(_itself(Path(status["places"]["state"])) if secrets else {})},
        "sessions": {
            name: state.call("session.export", session=name, secrets=secrets)["document"] for name in names
        },
    }


def _itself(folder: Path) -> dict[str, object]:
    """Read what makes this device the one that it is."""
    try:
        key, trust = (folder / KEY_FILE).read_text(encoding="ascii"), (folder / TRUST_FILE).read_bytes()
    except OSError as error:
        raise Failure(
            f"the device's key cannot be read: {error.filename}: {error.strerror}",
            hint="run it as the user whose daemon it is",
        ) from error
    return {"key": key, "trust": json.loads(trust)}


def is_backup(document: object) -> bool:
    """Tell a backup of everything from a session's document."""
    return isinstance(document, dict) and document.get("format") == FORMAT


def checked(document: Backup) -> Backup:
    """Return a backup that can be read here. Raises Failure."""
    if document.get("version") != VERSION:
        raise Failure("the backup was written by a newer version of nogg", kind="invalid_params")
    sessions, person = document.get("sessions"), document.get("person")
    if (
        not isinstance(sessions, dict)
        or not isinstance(person, dict)
        or not isinstance(document.get("device"), dict)
    ):
        raise Failure("the backup is damaged: it lacks sessions, person or device", kind="invalid_params")
    return document


def chunks(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Cut a session's document into parts that fit into a request; `active` goes with the last one."""
    entries = document.get("microcosms")
    if not isinstance(entries, list) or len(entries) <= CHUNK:
        yield document
        return
    parts = [entries[at : at + CHUNK] for at in range(0, len(entries), CHUNK)]
    for part in parts[:-1]:
        yield {**document, "active": None, "microcosms": part}
    yield {**document, "microcosms": parts[-1]}


def merge(state: State, backup: Backup) -> dict[str, Any]:
    """Merge a backup into the running daemon: what is missing is added, nothing is overwritten."""
    answer: dict[str, Any] = {"sessions": {}, "imported": 0, "skipped": 0, "quarantined": []}
    for name, document in backup["sessions"].items():
        if state.session not in ("default", name):
            continue  # --session NAME takes one session out of a backup
        took = {"imported": 0, "skipped": 0}
        for part in chunks(document):
            done = state.call("session.import", session=name, document=part)
            for key in took:
                took[key] += done[key]
                answer[key] += done[key]
            answer["quarantined"] += [{"session": name, **each} for each in done["quarantined"]]
        answer["sessions"][name] = took
    answer["username"] = _fill_username(state, backup["person"].get("username"))
    return answer


def _fill_username(state: State, username: object) -> bool:
    """Give the person the name of the backup, if there is none; returns whether that was done."""
    if not isinstance(username, str) or not username or state.call("identity.get")["username"]:
        return False
    state.call("identity.set", username=username)
    return True
