"""The asyncio session against a real daemon."""

import asyncio
from typing import Any

import nogg
from nogg.client.state import SessionState
from tests.daemons import PATIENCE, Daemon

GARDEN, STUDIO = "garden.k3v9x2m7q4w8z1pd", "Studio.h5t8r2y6n1c4b7fs"


async def until(session: nogg.AsyncSession, holds: Any) -> SessionState:
    """Wait for a state."""
    come: asyncio.Future[SessionState] = asyncio.get_running_loop().create_future()
    end = session.on(lambda state: come.set_result(state) if holds(state) and not come.done() else None)
    if holds(session.get()) and not come.done():
        come.set_result(session.get())
    async with asyncio.timeout(PATIENCE):
        state = await come
    end()
    return state


async def test_a_session_as_in_the_seed(daemon: Daemon) -> None:
    async with nogg.AsyncSession(socket=daemon.socket) as session:
        assert session.get() == SessionState(None, {})
        await session.register_reference(STUDIO, view="spatial", password="secret")
        await session.register_reference(GARDEN)
        assert list(session.get().microcosms) == [GARDEN, STUDIO]
        before = await session.get_reference(STUDIO)
        assert before
        assert before.view == "spatial"
        await session.set_active(STUDIO)
        assert session.is_active(STUDIO)
        await session.remove_reference(STUDIO)
        assert list(session.get().microcosms) == [GARDEN]
        await session.set(lambda state: {"active": None, "microcosms": []})
        assert session.get() == SessionState(None, {})


async def test_two_apps_and_a_restart_in_the_middle(daemon: Daemon) -> None:
    async with (
        nogg.AsyncSession(socket=daemon.socket, client="one") as one,
        nogg.AsyncSession(socket=daemon.socket, client="two") as two,
    ):
        await one.register_reference(GARDEN)
        await until(two, lambda state: GARDEN in state.microcosms)
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)
        await two.register_reference(STUDIO)
        await until(one, lambda state: STUDIO in state.microcosms)
        assert one.get().microcosms == two.get().microcosms


async def test_a_hundred_calls_at_once(daemon: Daemon) -> None:
    async with nogg.AsyncSession(socket=daemon.socket) as session:
        await asyncio.gather(*(session.register_reference(f"id.{number}") for number in range(100)))
        assert len(session.get().microcosms) == 100
