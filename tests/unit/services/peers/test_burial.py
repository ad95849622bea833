"""Up to when every member has stored everything: what removals may be forgotten by."""

import asyncio
from pathlib import Path

from tests.unit.services.devices import WITHIN, Device, devices, paired, until


async def rounds(*group: Device) -> None:
    """Let everybody sum up twice: once to tell the others, once to see what they told."""
    for _ in range(2):
        for device in group:
            await device.peers._links.sum_up()
            for link in device.peers._links.chosen():
                await link.answers(10)  # so that what was told has come


async def stored(device: Device, stamp: int, *group: Device) -> None:
    """Have rounds until all have stored everything up to a stamp: one may fall into what a link still exchanges."""
    async with asyncio.timeout(WITHIN):
        while device.core.stored_by_all < stamp:
            await rounds(*group)


async def test_it_moves_on_when_all_have_told_that_they_have_all(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await paired(a, b, c)
        await a.register("one.one")
        await a.remove("one.one")
        removed = a.core.clock
        assert a.core.stored_by_all < removed
        await until(lambda: b.core.clock >= removed and c.core.clock >= removed)
        await stored(a, removed, a, b, c)
        await stored(b, removed, a, b, c)


async def test_it_stands_still_for_who_is_away_or_new(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await paired(a, b)
        await a.register("one.one")
        await b.stop()
        await until(lambda: a.linked())
        await a.remove("one.one")
        removed = a.core.clock
        await rounds(a)
        assert a.core.stored_by_all < removed, "one that is away has not stored it"
        await b.start()
        await until(lambda: a.linked(b) and b.core.clock >= removed)
        await stored(a, removed, a, b)
        await a.pair(c)
        await a.peers._links.sum_up()
        assert a.core.stored_by_all == 0, "nothing is known of a new member"
        await until(lambda: a.linked(b, c) and c.linked(a, b))
        await stored(a, removed, a, b, c)
        await c.stop()
        await a.peers.evict(c.id)
        await a.register("two.two")
        await a.remove("two.two")
        later = a.core.clock
        await until(lambda: b.core.clock >= later)
        await stored(a, later, a, b)  # an evicted one is not waited for
