import asyncio
from collections.abc import Callable

import pytest

from noggd.services.lifeline import Done, lifeline

pytestmark = pytest.mark.anyio


class Store:
    """Keeps what `prove` is to call when the write ended."""

    def __init__(self) -> None:
        self.asked: list[Done] = []
        self.told = 0
        self.news = asyncio.Event()

    def prove(self, done: Done) -> None:
        self.asked.append(done)
        self.news.set()

    def tell(self) -> None:
        self.told += 1
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_life_is_told_after_a_write_and_not_before() -> None:
    store = Store()
    async with lifeline(store.prove, store.tell, 0.001):
        await store.until(lambda: len(store.asked) == 1)
        await turns()
        assert store.told == 0, "a disk that hangs is no life"
        store.asked[0](None)
        await store.until(lambda: store.told == 1)
        await store.until(lambda: len(store.asked) == 2)
        assert store.told == 1


async def test_a_disk_that_refuses_is_alive() -> None:
    store = Store()
    async with lifeline(store.prove, store.tell, 0.001):
        await store.until(lambda: len(store.asked) == 1)
        store.asked[0](OSError("no room"))
        await store.until(lambda: store.told == 1)


async def test_without_a_watchdog_nothing_is_written() -> None:
    store = Store()
    async with lifeline(store.prove, store.tell, None):
        await turns()
    assert store.asked == []


async def test_it_ends_while_it_waits_for_the_disk() -> None:
    store = Store()
    async with lifeline(store.prove, store.tell, 0.001):
        await store.until(lambda: len(store.asked) == 1)
    store.asked[0](None)
    await turns()
    assert store.told == 0
