import asyncio
from pathlib import Path

import pytest

from tests.unit.services.local_api.conftest import House, until


async def test_before_the_store_is_loaded_only_hello_is_carried_out(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.started():
        early = await house.app()
        answer = await early.call("hello", client={"name": "early"})
        assert answer["ready"] is False
        assert (await early.refused("session.get")).code == 10
        assert (await early.refused("reference.get", microcosmID="not valid!")).code == 10
        early.raw({"jsonrpc": "2.0", "id": 1, "method": "no.such"})
        assert (await early.reply())["error"]["code"] == -32601
        early.raw(b"nonsense")
        assert (await early.reply())["error"]["code"] == -32700
        async with house.serving():
            assert (await early.call("hello"))["ready"] is True
            await early.call("session.subscribe")
            await early.call("reference.register", microcosmID="a.a")
            assert (await early.notification())["origin"]["client"] == "early"


async def test_what_was_accepted_is_answered_before_the_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.started():
        async with house.serving():
            app = await house.app()
            await app.call("session.subscribe")
            waiting = await house.app()
            waiting.send("sync.wait", devices="any", timeout_s=300)
            waiting.send("pair.join", code="7-a-b-c")
            waiting.send("session.keys")
            for number in range(50):
                app.send("reference.register", microcosmID=f"a.{number}")
            await until(lambda: house.peers.busy.count == house.pairing.busy.count == 1)
        # the core is closed now, the connections are not
        assert [(await waiting.reply())["error"]["code"] for _ in range(2)] == [7, 7]
        assert "result" in await waiting.reply()
        replies = [await app.reply() for _ in range(50)]
        assert all("result" in reply or reply["error"]["code"] == 7 for reply in replies)
        assert (await app.refused("reference.register", microcosmID="a.late")).code == 7
        assert (await app.call("hello"))["ready"] is True
    rest = [told["method"] for told in app.told]
    while (line := await app.reader.readline()) != b"":
        rest.append("daemon.stopping" if b"daemon.stopping" in line else "?")
    assert rest[-1] == "daemon.stopping"
    assert await waiting.reader.read() == b"", "who did not subscribe is not told"
    assert not house.server.connections


async def test_a_stuck_app_does_not_delay_the_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    loop = asyncio.get_running_loop()
    async with house.started(), house.serving():
        app = await house.app()
        entries = [{"microcosmID": f"a.{n}", "view": "v" * 255} for n in range(5000)]
        await app.call("session.set", microcosms=entries)
        app.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(20):
            app.send("session.get")
        (connection,) = house.server.connections
        await until(lambda: connection._slow)
        before = loop.time()
    assert loop.time() - before < 2.5
    assert not house.server.connections


async def test_nobody_new_is_let_in_while_it_stops(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.started():
        async with house.serving():
            app = await house.app()
            await app.call("hello")
        with pytest.raises(ConnectionRefusedError):
            await house.app()
