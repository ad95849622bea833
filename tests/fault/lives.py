"""Short lives of a device's state folder, made of the real parts, to be recorded call by call or killed.

    python -m tests.fault.lives LIFE FOLDER SEED

After each change that was answered it says what is visible, as a line of JSON; what was removed for good and must
have left the disk is named beside it. `survey` reads the same from a disk. Not here: what is done to the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from noggd.cli.reinstall import reinstall
from noggd.core import Core, SessionView, open_core
from noggd.core.asking import ask
from noggd.core.opening import load
from noggd.domain.changes import Origin
from noggd.platform.clock import now_ms
from noggd.platform.files import InstanceLock, private_directory, sweep
from noggd.storage.journal import STORE, Journal
from noggd.storage.trust import Trust, open_trust
from noggd.storage.unfinished import check_finished
from tests.fault.hurried import hurry
from tests.unit.domain.group import Device
from tests.version_0 import make_tables

Visible = dict[str, Any]


def visible(trust: Trust, views: dict[str, SessionView], username: str | None, clients: str) -> Visible:
    """What of a device can be seen and must survive."""
    return {
        "device": trust.device,
        "group": trust.group.id,
        "statements": sorted(trust.state.statements),
        "left to do": [trust.state.joining, *sorted(trust.state.excluded), *sorted(trust.state.inherit)],
        "port": trust.state.port,
        "username": username,
        "clients": clients,
        "sessions": {
            name: [
                view.revision,
                view.active,
                {each: view.references[each].value() for each in view.references},
            ]
            for name, view in sorted(views.items())
            if view.revision
        },
    }


def survey(folder: Path) -> Visible:
    """Open what is in a folder as a start does, write to it once, and return what is visible."""
    check_finished(folder)
    sweep(folder)
    trust = open_trust(folder, "device")
    try:
        with closing(Journal(folder / STORE)) as journal:
            replicas, history = load(journal, trust.device, trust.counted)
            journal.prove()
            views = {name: SessionView.of(session) for name, session in replicas.sessions.items()}
            return visible(trust, views, replicas.person.username, str(history.meta["clients"]))
    finally:
        asyncio.run(trust.close())


class Living:
    """An open device, and what it says of itself."""

    def __init__(self, trust: Trust, core: Core, journal: Journal) -> None:
        self.trust = trust
        self.core = core
        self.journal = journal
        self.gone: list[str] = []
        self.quiet = False

    def say(self) -> None:
        """Say what is visible now."""
        if self.quiet:
            return
        core = self.core
        clients = " ".join(map(str, core.clients))
        shown = visible(self.trust, core.views, core.username, clients)
        line = json.dumps({"visible": shown, "gone": self.gone}) + "\n"
        os.write(1, line.encode())  # in one call

    async def change(self, operation: Callable[[Any], object], session: str = "default") -> Any:
        """Change a session, and say so."""
        result = await ask(
            lambda reply: self.core.change(session, operation, reply, Origin(self.core.device))
        )
        self.say()
        return result

    async def compacted(self) -> None:
        """Wait until the journal was compacted once more, by itself."""
        loop, compacted, compact = asyncio.get_running_loop(), asyncio.Event(), self.journal.compact

        def tell(*arguments: Any) -> None:
            compact(*arguments)
            loop.call_soon_threadsafe(compacted.set)

        self.journal.compact = tell  # type: ignore[method-assign, assignment] # it does the same, and tells
        async with asyncio.timeout(20):
            await compacted.wait()
        self.journal.compact = compact  # type: ignore[method-assign]


@asynccontextmanager
async def living(folder: Path, *, quiet: bool = False) -> AsyncIterator[Living]:
    """Open a device."""
    private_directory(folder)
    with InstanceLock(folder):
        trust = open_trust(folder, "device")
        journal = Journal(folder / STORE)
        try:
            async with open_core(journal, trust.device, trust.counted, now_ms) as core:
                life = Living(trust, core, journal)
                life.quiet = quiet
                life.say()
                yield life
        finally:
            journal.close()
            await trust.close()


async def writing(folder: Path, dice: random.Random) -> None:
    """All kinds of changes, with compactions of map and journal by the way, and a restart in the middle."""
    gone: list[str] = []
    for part in range(2):
        async with living(folder) as life:
            life.gone = gone
            for number in range(100 * part, 100 * part + 100):
                await _write(life, dice, number)
            name = f"secret.{part}"
            secret = f"top secret {dice.random()}"
            await life.change(lambda each, n=name, s=secret: each.register(now_ms(), n, None, s))  # type: ignore[misc] # bound
            await life.change(lambda each, n=name: each.forget(now_ms(), n))  # type: ignore[misc] # bound here
            await life.compacted()
            gone.append(secret)
            life.say()


async def _write(life: Living, dice: random.Random, number: int) -> None:
    now = now_ms()
    name = f"w.{dice.randrange(12)}"
    password = f"p{number} " * dice.randint(1, 60)
    session = dice.choice(("default", "default", "work"))
    fields: dict[str, Any] = {"view": f"v{number}", "password": password}
    ops = [{"op": "register", "microcosmID": f"{name}.{n}", **fields} for n in range(3)]
    choices: list[Callable[[Any], object]] = [
        lambda each: each.register(now, name, **fields),
        lambda each: each.remove(now, name),
        lambda each: each.forget(now, name),
        lambda each: each.transact(now, ops),
        lambda each: each.set_active(now, name),
        lambda each: each.import_entries(now, [{"microcosmID": f"{name}.i{n}", **fields} for n in range(9)]),
        lambda each: each.reset(now),
    ]
    operation = dice.choices(choices, weights=(40, 10, 5, 10, 10, 3, 1))[0]
    await life.change(operation, session)


async def trusting(folder: Path, dice: random.Random) -> None:
    """Devices that come and go, notes about them, a new key; and a restart in the middle."""
    devices = [Device(dice.randrange(1 << 30)) for _ in range(6)]
    for part in range(2):
        async with living(folder) as life:
            trust = life.trust
            for device in devices[3 * part : 3 * part + 3]:
                await trust.add(device.certificate, device.name, [])
                life.say()
                trust.note(device.id, name="phone", addresses=["127.0.0.1:4711"], last_seen=now_ms())
                await trust.flush()
                life.say()
            await trust.note_port(5000 + part)
            life.say()
            await trust.remove(devices[3 * part].id)
            life.say()
            await trust.note_taken_over(frozenset([devices[3 * part].id]))
            life.say()
            await trust.found("anew", new_key=True)
            life.say()
            await ask(lambda reply: life.core.become(life.trust.device, life.trust.counted, reply))
            await life.change(lambda each, n=part: each.register(now_ms(), f"after.{n}"))  # type: ignore[misc] # bound


async def migrating(folder: Path, _dice: random.Random) -> None:
    """The first start of this version on a store of an older one (see `make_older`)."""
    async with living(folder) as life:
        await life.change(lambda each: each.register(now_ms(), "after.migration"))


def reinstalling(folder: Path, dice: random.Random) -> None:
    """A device that is set up from a backup, and its first start."""
    reinstall(folder, backup(dice))

    async def start() -> None:
        async with living(folder):
            pass

    asyncio.run(start())


def backup(dice: random.Random) -> dict[str, Any]:
    """Return a backup of a person with two sessions, without the device itself."""
    entries = [{"microcosmID": f"b.{n}", "view": f"v{dice.random()}"} for n in range(30)]
    document = {"format": "nogg.session", "version": 1, "active": "b.1", "microcosms": entries}
    person: dict[str, Any] = {"identityID": None, "username": "Ada", "aliases": []}
    sessions = {"default": document, "work": document}
    return {
        "format": "nogg.backup", "version": 1, "createdAt": now_ms(), "secrets": False,
        "person": person, "devices": [], "device": {"name": "again"}, "sessions": sessions,
    }  # fmt: skip


def make_older(folder: Path, dice: random.Random) -> None:
    """Make a state folder whose store is of version 0 and was not closed: without checksums, with a log."""

    async def fill() -> None:
        async with living(folder, quiet=True) as life:
            for number in range(25):
                await _write(life, dice, number)

    asyncio.run(fill())
    with closing(sqlite3.connect(folder / STORE)) as new:
        rows = {
            table: new.execute(f"SELECT {names} FROM {table}").fetchall()
            for table, names in (
                ("log", "seq, record"),
                ("snapshot", "document, state"),
                ("meta", "key, value"),
            )
        }
    for path in folder.glob(f"{STORE}*"):
        path.unlink()
    path = folder / STORE
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        make_tables(old)
        for table, found in rows.items():
            old.executemany(f"INSERT INTO {table} VALUES (?, ?)", found)
        left = {each.name: each.read_bytes() for each in folder.glob(f"{STORE}*") if "-shm" not in each.name}
    for name, data in left.items():
        (folder / name).write_bytes(data)


LIVES: dict[str, Callable[[Path, random.Random], Coroutine[Any, Any, None] | None]] = {
    each.__name__: each for each in (writing, trusting, migrating, reinstalling)
}

if __name__ == "__main__":
    hurry()
    lived = LIVES[sys.argv[1]](Path(sys.argv[2]), random.Random(int(sys.argv[3])))
    if lived is not None:
        asyncio.run(lived)
