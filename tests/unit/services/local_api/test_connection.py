import asyncio
import gc
import json
import socket
import weakref

import pytest

from nogg.wire import LARGE_REQUEST_LIMIT, REQUEST_LIMIT
from noggd.services.local_api import connection as connection_module
from noggd.services.local_api import server as server_module
from tests.unit.services.local_api.conftest import App, House, until

MID = "alpha.aaaaaaaaaaaaaaaa"
PARAMS: dict[str, dict[str, object]] = {
    "reference.register": {"microcosmID": "beta.bbbbbbbbbbbbbbbb"},
    "sync.wait": {"devices": "any"},
}


def request(number: int | None, method: str, **params: object) -> bytes:
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message if number is None else {**message, "id": number}).encode()


async def ids(app: App, count: int) -> list[object]:
    return [(await app.reply())["id"] for _ in range(count)]


# Framing


async def test_crlf_and_blank_lines_are_accepted(app: App) -> None:
    app.writer.write(
        b"\r\n\n  \n" + request(1, "session.keys") + b"\r\n\n" + request(2, "session.keys") + b"\n"
    )
    assert await ids(app, 2) == [1, 2]


async def test_a_line_may_come_byte_by_byte(app: App) -> None:
    for byte in request(1, "session.keys") + b"\n":
        app.writer.write(bytes([byte]))
        await app.writer.drain()
        await asyncio.sleep(0)
    assert await ids(app, 1) == [1]


async def test_replies_are_compact_single_lines(app: App) -> None:
    app.raw(request(1, "reference.register", microcosmID=MID, password="a\nb c"))
    line = await app.reader.readline()
    assert b"\\n" in line
    assert line == json.dumps(json.loads(line), separators=(",", ":")).encode() + b"\n"


async def test_broken_json_keeps_the_connection(app: App) -> None:
    app.raw(b"{nonsense")
    reply = await app.reply()
    assert (reply["id"], reply["error"]["code"]) == (None, -32700)
    assert await app.call("session.keys")


# Order


async def test_replies_come_in_the_order_of_requests(app: App) -> None:
    """Also of those that are done at once behind those that wait for the disk."""
    lines = []
    for number in range(0, 90, 3):
        lines.append(request(number, "reference.register", microcosmID=f"a.{number}"))
        lines.append(request(number + 1, "session.keys"))
        lines.append(b"broken" if number % 2 else request(number + 2, "no.such"))
    app.writer.write(b"\n".join(lines) + b"\n")
    expected = [n if n % 3 != 2 or (n - 2) % 2 == 0 else None for n in range(90)]
    assert await ids(app, 90) == expected


async def test_a_read_sees_the_own_changes_before_it_and_none_after(app: App) -> None:
    calls = [
        request(1, "reference.get", microcosmID=MID, touch=False),
        request(2, "reference.register", microcosmID=MID, view="one"),
        request(3, "reference.get", microcosmID=MID, touch=False),
        request(4, "reference.list"),
        request(5, "reference.update", microcosmID=MID, view="two"),
        request(6, "reference.get", microcosmID=MID, touch=False),
        request(7, "identity.set", username="Ada"),
        request(8, "identity.get"),
        request(9, "reference.remove", microcosmID=MID),
        request(10, "reference.list", removed=True),
        request(11, "session.get"),
    ]
    app.writer.write(b"\n".join(calls) + b"\n")
    results = {(reply := await app.reply())["id"]: reply["result"] for _ in calls}
    assert results[1] is False
    assert results[3]["view"] == "one"
    assert [one["view"] for one in results[4]["references"]] == ["one"]
    assert results[6]["view"] == "two"
    assert results[8]["username"] == "Ada"
    assert [one["view"] for one in results[10]["references"]] == ["two"]
    assert results[11]["microcosms"] == []


async def test_changes_in_a_row_share_the_disk(app: App, house: House) -> None:
    commits = []
    append = house.core._store.journal.append
    house.core._store.journal.append = lambda record: commits.append(1) or append(record)  # type: ignore[func-returns-value, method-assign]
    app.writer.write(
        b"\n".join(request(n, "reference.register", microcosmID=f"a.{n}") for n in range(100)) + b"\n"
    )
    assert await ids(app, 100) == list(range(100))
    assert len(commits) < 20


async def test_a_request_without_an_id_is_carried_out_and_not_answered(app: App) -> None:
    app.raw(request(None, "reference.register", microcosmID=MID))
    app.raw(request(None, "no.such"))
    app.raw(request(None, "reference.get", microcosmID="not valid!"))
    assert (await app.call("reference.get", microcosmID=MID, touch=False))["microcosmID"] == MID


async def test_a_waiting_call_holds_back_replies_of_its_own_connection_only(app: App, house: House) -> None:
    other = await house.app()
    app.raw(request(1, "sync.wait", devices="any", timeout_s=300))
    app.raw(request(2, "reference.register", microcosmID=MID))
    app.raw(request(3, "session.keys"))
    app.raw(request(4, "pair.join", code="7-a-b-c"))
    await until(lambda: MID in house.core.view("default").references)  # carried out all the same
    assert await other.call("session.keys")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(app.reader.readline(), 0.05)
    house.peers.gate.set()
    assert await ids(app, 3) == [1, 2, 3]
    house.pairing.gate.set()
    assert await ids(app, 1) == [4]


async def test_an_unanswered_wait_ends_with_its_connection(app: App, house: House) -> None:
    app.raw(request(1, "sync.wait", devices="any", timeout_s=300))
    app.raw(request(2, "pair.join", code="7-a-b-c"))
    await until(lambda: house.peers.busy.count == house.pairing.busy.count == 1)
    app.writer.transport.abort()
    await until(lambda: house.peers.busy.count == 0)
    assert house.pairing.busy.count == 1, "a pairing is carried out to its end"
    house.pairing.gate.set()
    await until(lambda: house.pairing.busy.count == 0)


async def test_a_fault_of_the_daemon_is_answered_and_nothing_else_suffers(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    error = await app.refused("daemon.status")
    assert error.code == -32603
    assert "fault of the daemon" in caplog.text
    assert "fault of the daemon" not in error.message
    assert await app.call("session.keys")


async def test_a_result_that_is_no_json_costs_its_call_only(
    app: App, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.peers.status = lambda: {"listen": "\ud800", "peers": []}  # type: ignore[method-assign]
    assert (await app.refused("sync.status")).code == -32603
    house.peers.status = lambda: {"listen": object(), "peers": []}  # type: ignore[method-assign]
    assert (await app.refused("sync.status")).code == -32603
    assert "not JSON" in caplog.text
    assert await app.call("session.keys")


# Half-close


async def test_a_half_closed_connection_gets_all_its_replies(app: App) -> None:
    app.raw(request(1, "reference.register", microcosmID=MID))
    app.raw(request(2, "device.evict", device="NONSENSE"))
    app.raw(request(3, "session.get"))
    app.writer.write_eof()
    assert await ids(app, 3) == [1, 2, 3]
    assert await app.reader.read() == b""


async def test_a_last_line_may_lack_its_newline(app: App) -> None:
    app.writer.write(request(1, "reference.register", microcosmID=MID))
    app.writer.write_eof()
    assert await ids(app, 1) == [1]
    assert await app.reader.read() == b""


async def test_an_app_that_is_gone_still_had_its_requests_carried_out(app: App, house: House) -> None:
    for number in range(600):
        app.raw(request(None, "reference.register", microcosmID=f"a.{number}"))
        app.raw(request(None, "reference.get", microcosmID=f"a.{number}"))
    app.writer.close()
    await until(lambda: len(house.core.view("default").references) == 600)
    await until(lambda: not house.server.connections)


@pytest.mark.parametrize("last", ["session.get", "reference.register", "sync.wait", "no.such"])
async def test_an_app_that_is_gone_leaves_nothing_for_the_collector(
    app: App, house: House, last: str
) -> None:
    await app.call("session.subscribe")
    (served,) = house.server.connections
    gone = weakref.ref(served)
    del served
    gc.collect()
    gc.disable()
    try:
        app.raw(request(1, "reference.register", microcosmID=MID))
        await until(lambda: MID in house.core.view("default").references)
        app.raw(request(2, last, **PARAMS.get(last, {})))
        app.writer.close()
        await until(lambda: not house.server.connections)
        await until(lambda: gone() is None)
    finally:
        gc.enable()


# Limits


async def test_a_line_of_the_limit_is_taken(app: App) -> None:
    line = request(1, "reference.get", microcosmID="x" * 300)
    padding = b" " * (REQUEST_LIMIT - len(line))
    app.raw(padding + line)
    assert (await app.reply())["error"]["code"] == -32602
    assert await app.call("session.keys")


@pytest.mark.parametrize("ending", [b"\n", b""])
async def test_a_line_over_the_limit_ends_the_connection(app: App, ending: bytes) -> None:
    app.raw(request(1, "session.keys"))
    app.writer.write(request(2, "reference.get", microcosmID="x" * REQUEST_LIMIT) + ending)
    app.raw(request(3, "session.keys"))
    assert (await app.reply())["id"] == 1
    reply = await app.reply()
    assert reply["id"] is None
    assert reply["error"]["code"] == 5
    assert reply["error"]["data"] == {
        "type": "limit_exceeded",
        "limit": "request_line_bytes",
        "max": REQUEST_LIMIT,
    }
    assert await app.reader.read() == b""


async def test_garbage_without_end_is_refused_at_the_small_limit(app: App) -> None:
    app.writer.write(b"a" * (REQUEST_LIMIT + 4096))
    assert (await app.reply())["error"]["code"] == 5


@pytest.mark.parametrize("method_first", [True, False])
async def test_the_large_methods_may_send_large_lines(app: App, method_first: bool) -> None:
    document = {"active": None, "microcosms": [{"microcosmID": f"a.{'x' * 200}{n}"} for n in range(6000)]}
    parts = {"method": "session.import", "params": {"document": document}}
    ordered = parts if method_first else dict(reversed(parts.items()))
    line = json.dumps({"jsonrpc": "2.0", "id": 1, **ordered}).encode()
    assert len(line) > REQUEST_LIMIT
    app.raw(line)
    assert (await app.reply())["result"]["imported"] == 6000
    assert await app.call("session.keys")


async def test_the_large_limit_holds_too(app: App) -> None:
    line = request(1, "session.import", document="x" * LARGE_REQUEST_LIMIT)
    app.writer.write(line)
    reply = await app.reply()
    assert reply["error"]["data"]["max"] == LARGE_REQUEST_LIMIT
    assert await app.reader.read() == b""


async def test_a_large_line_of_another_method_is_refused_when_its_name_comes_last(app: App) -> None:
    params = {"microcosmID": "x" * REQUEST_LIMIT}
    app.raw(json.dumps({"jsonrpc": "2.0", "id": 1, "params": params, "method": "reference.get"}).encode())
    assert (await app.reply())["error"]["code"] == 5


async def test_a_refused_app_that_goes_on_sending_can_read_why(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(64):
        app.writer.write(b"a" * (1 << 16))
    await app.writer.drain()
    assert (await app.reply())["error"]["code"] == 5


async def test_a_refused_app_that_stays_is_dropped(
    app: App, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "LINGER", 0.01)
    app.writer.write(b"a" * (REQUEST_LIMIT + 1))
    await until(lambda: not house.server.connections)


async def test_someone_elses_connection_is_refused_and_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "peer_uid", lambda _: 12345)
    app = await house.app()
    app.send("session.get")
    reply = await app.reply()
    assert reply["id"] is None
    assert reply["error"]["code"] == 2
    assert await app.reader.read() == b""


# Back-pressure


async def test_too_many_outstanding_requests_stop_the_reading(house: House) -> None:
    before = len(house.server.connections)
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        client.connect(str(house.path))
        loop = asyncio.get_running_loop()
        waits = b"".join(request(n, "sync.wait", devices="any", timeout_s=300) + b"\n" for n in range(2000))
        sending = asyncio.create_task(loop.sock_sendall(client, waits * 20))
        await until(lambda: len(house.server.connections) == before + 1)
        connection = list(house.server.connections)[-1]
        await until(lambda: connection._paused)
        assert not sending.done()
        assert connection.pipeline.outstanding <= connection_module.MAX_OUTSTANDING + 1
        sending.cancel()
    house.peers.gate.set()
    await until(lambda: len(house.server.connections) == before)


async def test_an_app_that_does_not_read_costs_bounded_memory(house: House, app: App) -> None:
    entries = [{"microcosmID": f"a.{'x' * 100}{n}"} for n in range(2000)]
    await app.call("session.set", microcosms=entries)
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        client.connect(str(house.path))
        loop = asyncio.get_running_loop()
        asking = b"".join(request(n, "session.get") + b"\n" for n in range(3000))
        sending = asyncio.create_task(loop.sock_sendall(client, asking))
        await until(lambda: len(house.server.connections) == 2)
        connection = list(house.server.connections)[-1]
        await until(lambda: connection._paused)
        one_reply = 400_000
        assert connection._transport.get_write_buffer_size() < connection_module.MAX_UNSENT + 2 * one_reply
        received = 0
        async with asyncio.timeout(60):
            while received < 40:  # reading goes on where it stopped
                received += (await loop.sock_recv(client, 1 << 20)).count(b"\n")
        sending.cancel()
