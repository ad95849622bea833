"""The asyncio session, against the small daemon behind a real socket."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import nogg
from nogg import errors
from nogg.client.state import Reference, SessionState
from tests.unit.nogg.client.served import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "d.sock")
    yield made
    made.stop()


@pytest.fixture
async def session(served: Served) -> AsyncIterator[nogg.AsyncSession]:
    async with nogg.AsyncSession(socket=served.path, client="test") as made:
        yield made


class Heard:
    """A listener that a test can wait for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    def __call__(self, value: Any) -> None:
        self.queue.put_nowait(value)

    async def next(self) -> Any:
        async with asyncio.timeout(10):
            return await self.queue.get()

    def nothing(self) -> bool:
        return self.queue.empty()


async def test_it_reads_like_the_seed(session: nogg.AsyncSession) -> None:
    assert session.keys == ["active", "microcosms"]
    assert session.ready.get() is True
    assert session.connected.get() is True
    assert session.get() == SessionState(None, {})
    made = await session.register_reference("b.x", view="spatial", password="p")
    assert "b.x" in session.get().microcosms, "own writes are read at once"
    await session.register_reference("A.x")
    assert [each.microcosm_id for each in session.microcosms.get()] == ["A.x", "b.x"]
    assert await session.get_reference("nobody") is False
    before = await session.get_reference("b.x")
    assert isinstance(before, Reference)
    assert before.last_accessed == made.last_accessed
    await session.set_active("b.x")
    assert session.is_active("b.x")
    assert (await session.update_reference("b.x", view=None)).view is None
    assert await session.remove_reference("b.x") is True
    assert "b.x" not in session.get().microcosms
    assert session.key("active").get() == "b.x"
    await session.reset()
    assert session.get() == SessionState(None, {})


async def test_set(session: nogg.AsyncSession) -> None:
    await session.set({"active": "x", "microcosms": [Reference("a", 1, view="v")]})
    assert session.get().microcosms["a"].view == "v"
    await session.key("active").set(None)
    assert session.get().active is None
    await session.key("microcosms").set(lambda known: [*known.values(), {"microcosmID": "b"}])
    await session.signal.set(lambda state: {"microcosms": [*state.microcosms.values(), {"microcosmID": "c"}]})
    assert list(session.get().microcosms) == ["a", "b", "c"]
    await session.user.set({"username": "Ada"})
    with pytest.raises(errors.InvalidParams):
        await session.set({"other": 1})


async def test_set_with_a_function_tries_again_when_somebody_else_was_faster(
    served: Served, session: nogg.AsyncSession
) -> None:
    calls = []

    def add(state: SessionState) -> dict[str, object]:
        calls.append(len(state.microcosms))
        if len(calls) < 3:
            served.change("reference.register", microcosmID=f"theirs{len(calls)}")
        return {"microcosms": [*state.microcosms.values(), {"microcosmID": "mine"}]}

    await session.set(add)
    assert calls == [0, 1, 2]
    assert list(session.get().microcosms) == ["mine", "theirs1", "theirs2"]


async def test_listeners_are_told_of_own_and_of_others_changes(
    served: Served, session: nogg.AsyncSession
) -> None:
    states, active, user = Heard(), Heard(), Heard()
    end = session.on(states)
    session.key("active").on(active)
    session.user.on(user)
    await session.register_reference("mine")
    assert list((await states.next()).microcosms) == ["mine"]
    served.change("active.set", microcosmID="mine")
    assert await active.next() == "mine"
    await states.next()
    end()
    served.change("identity.set", username="Ada")
    assert (await user.next()).username == "Ada"
    served.change("active.set", microcosmID=None)
    assert await active.next() is None
    assert states.nothing()


async def test_many_calls_at_once(session: nogg.AsyncSession) -> None:
    made = await asyncio.gather(*(session.register_reference(f"id.{number}") for number in range(50)))
    assert [each.microcosm_id for each in made] == [f"id.{number}" for number in range(50)]
    assert len(session.get().microcosms) == 50


async def test_after_a_restart_it_goes_on_where_it_was(served: Served, session: nogg.AsyncSession) -> None:
    states, connected = Heard(), Heard()
    await session.register_reference("before")
    session.connected.on(connected)
    served.stop()
    assert await connected.next() is False
    assert "before" in session.get().microcosms
    session.on(states)
    served.daemon.change("reference.register", microcosmID="meanwhile")
    served.start()
    assert await connected.next() is True
    while list((await states.next()).microcosms) != ["before", "meanwhile"]:
        pass
    assert await session.register_reference("after")


async def test_a_call_waits_for_the_daemon_to_come_back(served: Served, session: nogg.AsyncSession) -> None:
    connected = Heard()
    session.connected.on(connected)
    served.stop()
    await connected.next()
    timer = threading.Timer(0.1, served.start)
    timer.start()
    assert await session.register_reference("a")
    timer.join()


async def test_but_not_for_ever(served: Served) -> None:
    async with nogg.AsyncSession(socket=served.path, timeout=0.2) as session:
        connected = Heard()
        session.connected.on(connected)
        served.stop()
        await connected.next()
        with pytest.raises(errors.NotRunning):
            await session.register_reference("a")
        served.start()
        assert await connected.next() is True
        await session.get_reference("a")
        assert "reference.register" not in served.daemon.seen, "a call that was given up is not made later"
        assert session._shell.link._backoff.next() == 0, "and the connection that stands counts"


async def test_a_deaf_daemon_is_a_timeout(served: Served) -> None:
    async with nogg.AsyncSession(socket=served.path, timeout=0.1) as session:
        served.deaf = True
        with pytest.raises(errors.Timeout):
            await session.get_reference("a")


async def test_a_caller_may_bring_a_shorter_deadline(served: Served, session: nogg.AsyncSession) -> None:
    served.deaf = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await session.get_reference("a")
    served.deaf = False
    assert await session.get_reference("a") is False


async def test_without_reconnecting_the_end_is_the_end(served: Served) -> None:
    async with nogg.AsyncSession(socket=served.path, reconnect=False) as session:
        connected = Heard()
        session.connected.on(connected)
        served.cut()
        await connected.next()
        with pytest.raises(errors.ConnectionLost):
            await session.call("session.get")


async def test_garbage_ends_the_connection_and_the_next_one_is_taken(
    served: Served, session: nogg.AsyncSession
) -> None:
    connected = Heard()
    session.connected.on(connected)
    served.say(b"garbage\n")
    assert await connected.next() is False
    assert await session.register_reference("a")


async def test_an_ephemeral_session_ends_with_its_connection(served: Served) -> None:
    async with nogg.AsyncSession(None, socket=served.path) as session:
        assert session.name == "private-1"
        connected = Heard()
        session.connected.on(connected)
        served.cut()
        await connected.next()
        with pytest.raises(errors.ConnectionLost):
            await session.call("session.get")


async def test_before_it_is_opened_there_is_nothing_to_read(served: Served) -> None:
    session = nogg.AsyncSession(socket=served.path)
    assert session.ready.get() is False
    with pytest.raises(errors.NotRunning):
        session.get()
    await session.open()
    assert session.ready.get() is True
    await session.dispose()


async def test_disposing(served: Served) -> None:
    called: list[str] = []
    heard = Heard()
    session = nogg.AsyncSession(socket=served.path)
    await session.open()
    session.on(heard)
    session.use(lambda: called.append("first"), lambda: called.append("second"))
    served.deaf = True
    waiting = asyncio.ensure_future(session.call("session.get"))
    await asyncio.sleep(0)
    await session.dispose()
    await session.dispose()
    with pytest.raises(errors.Disposed):
        await waiting
    assert called == ["second", "first"]
    with pytest.raises(errors.Disposed):
        await session.register_reference("a")
    assert heard.nothing()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "nogg reconnect"]


async def test_after_disposing_nothing_is_opened(served: Served) -> None:
    session = nogg.AsyncSession(socket=served.path)
    await session.dispose()
    with pytest.raises(errors.Disposed):
        await session.open()
    await asyncio.to_thread(served.wait_until_alone)
    assert served.daemon.seen == []


async def test_disposing_while_the_daemon_is_away(served: Served, session: nogg.AsyncSession) -> None:
    connected = Heard()
    session.connected.on(connected)
    served.stop()
    await connected.next()
    await session.dispose()
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "nogg reconnect"]


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(errors.NotRunning):
        async with nogg.AsyncSession(socket=tmp_path / "none.sock"):
            pass


async def test_a_daemon_that_is_still_loading_is_waited_for(served: Served) -> None:
    served.daemon.ready = False
    timer = threading.Timer(0.15, lambda: setattr(served.daemon, "ready", True))
    timer.start()
    async with nogg.AsyncSession(socket=served.path) as session:
        assert session.get() == SessionState(None, {})
    timer.join()


async def test_but_not_for_ever_either(served: Served) -> None:
    served.daemon.ready = False
    with pytest.raises(errors.Timeout):
        await nogg.AsyncSession(socket=served.path, timeout=0.2).open()


async def test_large_requests_and_replies(session: nogg.AsyncSession) -> None:
    many = [{"microcosmID": f"id.{number}", "view": "v" * 200} for number in range(8000)]
    await session.set({"microcosms": many})
    assert len(session.get().microcosms) == 8000
