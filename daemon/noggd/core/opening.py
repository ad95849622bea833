"""Opening a core: from the journal on disk to documents in memory, and back to a closed journal."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from nogg.errors import ProtocolError, StorageFailed
from noggd.core.replicas import History, Replicas
from noggd.core.runs import KEY as RUNS
from noggd.core.runs import Runs
from noggd.core.writer import Core
from noggd.domain.person import PERSON
from noggd.storage.journal import Journal
from noggd.storage.judge import broken
from noggd.storage.writer import JournalWriter


def load(journal: Journal, device: str, members: frozenset[str] | None) -> tuple[Replicas, History]:
    """Build all documents from the journal. Raises StoreBroken where it does not make them."""
    loaded = journal.load()
    meta = dict(loaded.meta)
    if "clients" not in meta:
        # 32 bits: each entry names the client id, and shorter numbers are shorter there
        meta |= {"clients": str(secrets.randbits(32) | 1), "epoch": secrets.token_hex(8)}
        journal.set_meta(meta)
    try:
        history = History.read(loaded.snapshots, loaded.records, meta)
        replicas = Replicas(device, int(meta["clients"].split()[-1]), members)
        replicas.load(history, {PERSON, *history.documents()})
    except (ProtocolError, ValueError) as error:
        raise broken(journal.path, str(error)) from error
    return replicas, history


def begin_run(core: Core, journal: Journal, replicas: Replicas) -> None:
    """Note in the store that a run begins. With no room for that the run has no name, and peers note none."""
    try:
        runs = Runs.read(journal.get_meta(RUNS) or "[]")
    except ProtocolError as error:
        raise broken(journal.path, str(error)) from error
    clocks = {name: replicas.own_clock(name) for name in replicas.documents()}
    name = secrets.token_hex(8)
    runs.begin(name, replicas.client, clocks)
    with suppress(StorageFailed):
        journal.set_meta({RUNS: runs.encode()})
        core.runs, core.run = runs, name


@asynccontextmanager
async def open_core(
    journal: Journal, device: str, members: frozenset[str] | None, now: Callable[[], int]
) -> AsyncIterator[Core]:
    """Run a core over a journal, for the device of this id; drained on exit. Raises StoreBroken."""
    replicas, history = await asyncio.to_thread(load, journal, device, members)
    store = JournalWriter(journal)
    core = Core(store, replicas, history, now)
    await asyncio.to_thread(begin_run, core, journal, replicas)
    try:
        yield core
    finally:
        await core.drain()
        store.close()
