"""A paired device that writes without end, nothing of which is wrong: it is kept, and named, and the others go on.

It compacts its map as it should, or its document would soon be full, and refused.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from noggd.domain.document import Document
from noggd.domain.hlc import stamp_at
from noggd.platform.clock import now_ms
from tests.daemons import running, until
from tests.hostile.group import Group, memory, words
from tests.hostile.peer import Talk, Update

CLIENT = 77
"""The flooder's Y client id."""
COMPACT_EVERY = 50
"""Updates; so many make the five thousand values after which a map is due."""
SLOWEST = 3.0
"""Seconds for a change of somebody else: a tenth is usual, and machines that run tests are busy."""
MEGABYTES = 64
NAMED = "it sends so much that it keeps this device busy"


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    with tempfile.TemporaryDirectory(prefix="nogg-") as folder, running(Path(folder)) as daemons:
        made = Group(daemons)
        made.fresh()
        yield made
        await made.member.leave()


async def flood(talk: Talk, device: str) -> None:
    """Change the views of a hundred references, again and again."""
    document, first = Document(CLIENT, device), stamp_at(now_ms())
    for stamp in itertools.count(first):
        if talk.ended:
            return
        entries = {f"v/flood.{each}": [stamp, "again"] for each in range(100)}
        update = document.write(entries) if (stamp - first) % COMPACT_EVERY else document.replace(entries)
        assert update is not None
        talk.say(Update("session/default", update))
        await talk.drained()


async def test_who_writes_without_end_is_named_and_keeps_nobody_waiting(group: Group) -> None:
    group.changes()
    before = memory(group.a)
    talk = await group.member.greet(group.a_id, group.address)
    flooding = asyncio.ensure_future(flood(talk, group.member.id))
    try:
        seconds = await asyncio.to_thread(group.changes)
        await asyncio.to_thread(until, lambda: group.row().get("fault") == NAMED, "the fault")
    finally:
        flooding.cancel()
        with suppress(asyncio.CancelledError, AssertionError, TimeoutError):
            await flooding
    grown = memory(group.a, "VmHWM") - before
    print(f"\n{words(seconds)}; memory +{grown} MB")
    assert max(seconds) < SLOWEST
    assert grown < MEGABYTES
    assert "nogg device evict" in group.row()["fix"]
    assert "Traceback" not in group.a.words()
