"""Setting a device up from a backup, before its daemon's first start: the same device again, or the same person's.

With the backup's secrets it has the key and the group that it had: the other devices know it, nothing is paired
anew. Without them it is a new device of the same person. All that is written bears the time of the backup, and so
gives way to what was changed or removed elsewhere since. Works on the files, holding the daemon's lock; an existing
state is never touched. What a kill or a power cut leaves half filled is no state: no daemon starts on it, and the
next run begins anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from noggd.cli.backup import KEY_FILE, TRUST_FILE, Backup, chunks
from noggd.cli.exits import STORAGE, Failure
from noggd.core import Core, open_core
from noggd.domain.changes import Origin
from noggd.domain.person import Person
from noggd.platform.clock import now_ms
from noggd.platform.files import AlreadyRunning, InstanceLock, private_directory, sweep, write_private
from noggd.services.local_api import formats
from noggd.storage import unfinished
from noggd.storage.journal import STORE, Journal
from noggd.storage.schema import StoreBroken
from noggd.storage.trust import Trust, open_trust
from noggd.storage.trust_file import CHECKED, NEXT_KEY_FILE


def reinstall(folder: Path, backup: Backup) -> dict[str, Any]:
    """Fill an empty state folder from a backup; return what came in. Raises Failure, and leaves nothing then."""
    for name in (STORE, KEY_FILE, TRUST_FILE):
        if os.path.lexists(folder / name) and not unfinished.is_unfinished(folder):
            raise Failure(
                f"this device has a state already: {folder / name}",
                hint="without --reinstall the backup is merged into it",
            )
    private_directory(folder)
    try:
        with InstanceLock(folder):
            return _whole_or_not_at_all(folder, backup)
    except AlreadyRunning as error:
        raise Failure(str(error), hint="nogg daemon stop") from error
    except StoreBroken as error:
        raise Failure(f"the backup is damaged: {error}", status=STORAGE) from error


def _whole_or_not_at_all(folder: Path, backup: Backup) -> dict[str, Any]:
    if unfinished.is_unfinished(folder):
        _leave_nothing(folder)
    unfinished.begin(folder)
    try:
        answer = asyncio.run(_fill(folder, backup))
    except BaseException:
        _leave_nothing(folder)
        raise
    unfinished.end(folder)
    return answer


def _leave_nothing(folder: Path) -> None:
    for name in (KEY_FILE, TRUST_FILE, NEXT_KEY_FILE, STORE, f"{STORE}-wal"):
        (folder / name).unlink(missing_ok=True)
    sweep(folder)
    unfinished.end(folder)


async def _fill(folder: Path, backup: Backup) -> dict[str, Any]:
    device, person = backup["device"], backup["person"]
    name = str(device.get("name") or socket.gethostname())
    same = "key" in device and "trust" in device
    if same:
        write_private(folder / KEY_FILE, str(device["key"]).encode("ascii"))
        group = device["trust"]
        if isinstance(group, dict):
            group.pop(CHECKED, None)  # a backup comes from anywhere: all signatures are checked
        write_private(folder / TRUST_FILE, json.dumps(group, indent=1).encode("ascii") + b"\n")
    trust = open_trust(folder, name, identity=person.get("identityID"))
    try:
        answer = await _store(folder, trust, backup, name)
    finally:
        await trust.close()
    identity = {"identityID": trust.group.identity}
    return {**answer, "same_device": same, "device": {"id": trust.device, "name": name}, **identity}


async def _store(folder: Path, trust: Trust, backup: Backup, name: str) -> dict[str, Any]:
    journal = Journal(folder / STORE)
    then = min(backup["createdAt"], now_ms())
    answer: dict[str, Any] = {"sessions": {}, "imported": 0, "skipped": 0, "quarantined": []}
    try:
        async with open_core(journal, trust.device, trust.counted, lambda: then) as core:
            username = str(backup["person"].get("username") or "")
            await _changed(
                lambda reply: core.change_person(_named(then, name, username), reply, Origin(core.device))
            )
            for session, document in backup["sessions"].items():
                took = {"imported": 0, "skipped": 0}
                for part in chunks(document):
                    done = await _import(core, session, part, answer["quarantined"])
                    for key in took:
                        took[key] += done[key]
                        answer[key] += done[key]
                answer["sessions"][session] = took
    finally:
        journal.close()
    return answer


def _named(then: int, device: str, username: str) -> Callable[[Person], None]:
    def name(person: Person) -> None:
        person.rename_device(then, device)
        if username:
            person.set_username(then, username)

    return name


async def _import(core: Core, session: str, document: object, quarantined: list[Any]) -> dict[str, int]:
    parsed = formats.parse(document)
    quarantined += [{"session": session, **each} for each in parsed.quarantined]
    done = await _changed(
        lambda reply: core.change(
            session,
            lambda each: each.import_entries(core.now(), parsed.entries, parsed.active),
            reply,
            Origin(core.device),
        )
    )
    assert isinstance(done, dict)
    return done


async def _changed(change: Any) -> object:
    """Make one change and wait until it is on disk; raises what it was refused with."""
    done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    change(done.set_result)
    result = await done
    if isinstance(result, Exception):
        raise result
    return result
