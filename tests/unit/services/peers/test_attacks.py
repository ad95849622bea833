"""The peer port under attack: strangers get no byte of HTTP, wrong servers none of ours, floods are bounded."""

import asyncio
import gc
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException

from noggd.domain.addresses import parse_address
from noggd.platform import tls
from noggd.services.peers.connection import pinned
from noggd.services.peers.dialling import first_connection, open_connection
from noggd.storage.keys import make_key
from tests.unit.services.attacks import Middle, as_device, hears, upgrade
from tests.unit.services.devices import devices, paired, until


async def test_strangers_hear_not_a_byte(tmp_path: Path) -> None:
    """Unknown certificate, none at all, plain text, old TLS: silence, and the listener goes on."""
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        mallory = make_key(tmp_path / "mallory.pem")
        old = as_device(mallory.path)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        for path in ("/sync", "/pair", "/", "/sync/../sync"):
            assert await hears(a.address, as_device(mallory.path), upgrade(path)) == b""
            assert await hears(a.address, tls.stranger_context(), upgrade(path)) == b""
        assert await hears(a.address, old, upgrade("/sync")) == b""
        for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"SSH-2.0-x\r\n"):
            heard = await hears(a.address, None, junk)
            assert b"HTTP" not in heard
            assert len(heard) <= 7  # an alert of TLS at most
        refused = a.peers.listener.context.audit.refused
        assert refused["CERTIFICATE_VERIFY_FAILED"] >= 4
        assert refused["PEER_DID_NOT_RETURN_A_CERTIFICATE"] >= 4
        await a.register("still.works")
        await until(lambda: b.has() == {"still.works"})


async def test_a_member_reaches_its_path_only(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        key = b.trust.key.path
        await b.stop()
        assert await hears(a.address, as_device(key), upgrade("/")) == b""
        assert await hears(a.address, as_device(key), upgrade("/pair")) == b""
        heard = await hears(a.address, as_device(key), upgrade("/sync"), enough=b"\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 101")


async def test_an_open_window_lets_strangers_reach_pairing_only(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await a.pairing.invite(600, None)
        mallory = make_key(tmp_path / "mallory.pem")
        assert await hears(a.address, tls.stranger_context(), upgrade("/sync")) == b""
        assert await hears(a.address, as_device(mallory.path), upgrade("/pair")) == b""
        other = tls.stranger_context()
        other.set_alpn_protocols(["h2"])
        assert await hears(a.address, other, upgrade("/pair")) == b""
        heard = await hears(a.address, tls.stranger_context(), upgrade("/pair"), enough=b"\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 101")
        assert b"Server" not in heard
        assert heard.endswith(b"\r\n\r\n")
        await b.register("still.works")
        await until(lambda: a.has() == {"still.works"})


async def test_another_protocol_inside_tls_is_not_answered(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        key = b.trust.key.path
        await b.stop()
        other = as_device(key)
        other.set_alpn_protocols(["h2"])
        assert await hears(a.address, other, upgrade("/sync")) == b""


async def test_a_wrong_server_hears_nothing_from_us(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        await until(lambda: a.linked())
        mallory = make_key(tmp_path / "mallory.pem")
        async with Middle(mallory, "127.0.0.1:9").running() as middle:
            certificate = a.trust.others[b.id].der
            made, refused = await first_connection(
                [middle.address], pinned(certificate), tls.client_context(a.trust.key.path, certificate)
            )
            assert (made, refused) == (None, False)
            assert middle.read == 0


async def test_revocation_ends_open_links_and_refuses_new_ones(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        key, connection = b.trust.key.path, a.peers._links.chosen()[0].connection
        await a.peers.evict(b.id)
        await asyncio.wait_for(connection.wait_closed(), 10)
        assert await hears(a.address, as_device(key), upgrade("/sync")) == b""


async def test_the_gate_does_not_rely_on_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that TLS still trusts, of a device that is no member any more, is not let in."""
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        key = b.trust.key.path
        monkeypatch.setattr(a.peers.listener, "refresh", lambda: None)
        await a.peers.evict(b.id)
        assert await hears(a.address, as_device(key), upgrade("/sync")) == b""
        assert a.peers.listener.context.audit.refused.total() == 0


async def test_a_flood_of_dials_is_bounded_and_members_come_through(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        door = a.peers.listener.door
        host, port = parse_address(a.address)
        flood = [await asyncio.open_connection(host, port) for _ in range(60)]
        await until(lambda: door.turned_away >= 60 - door.limit_each)
        assert door.waiting <= door.limit_each
        await a.register("linked.still")
        await until(lambda: b.has() == {"linked.still"})
        for _, writer in flood:
            writer.close()
        await until(lambda: door.waiting == 0)
        await b.restart()
        await until(lambda: a.linked(b))
        del flood
        gc.collect()


async def test_redirects_and_proxies_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: wss://127.0.0.1:1/sync\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    evil, own = make_key(tmp_path / "evil.pem"), make_key(tmp_path / "own.pem")
    context = tls.server_context(evil.path, [own.certificate.der], tls.Audit())
    server = await asyncio.start_server(redirect, "127.0.0.1", 0, ssl=context)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    host, port = server.sockets[0].getsockname()
    with pytest.raises((WebSocketException, ValueError)):
        await open_connection(
            f"{host}:{port}",
            pinned(evil.certificate.der),
            tls.client_context(own.path, evil.certificate.der),
            "/sync",
        )
    assert len(asked) == 1
    assert b"user-agent" not in asked[0].lower()
    server.close()
    await server.wait_closed()


async def test_a_member_that_talks_nonsense_is_dropped_and_may_come_back(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        for frame in (b"", b"\xff" * 20, b"\x06person\x00\x02\x05abc", b"\x06person\x00\x02\x03\xff\xff\xff"):
            link = b.peers._links.chosen()[0]
            link.connection.post(frame)
            await until(lambda gone=link: not gone.is_open)  # type: ignore[misc] # mypy: defaults of lambdas
            a.peers.dial()
            b.peers.dial()
            await until(lambda: a.linked(b) and b.linked(a))
        await b.register("after.nonsense")
        await until(lambda: a.has() == {"after.nonsense"})


async def test_text_and_fragments_are_not_messages(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        for said in ("text", [b"frag", b"ments"]):
            link = b.peers._links.chosen()[0]
            with suppress(ConnectionClosed):  # it may end at the first fragment
                await link.connection.send(said)
            await until(lambda gone=link: not gone.is_open)  # type: ignore[misc] # mypy: defaults of lambdas
            a.peers.dial()
            b.peers.dial()
            await until(lambda: a.linked(b) and b.linked(a))


async def test_half_a_message_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is in the middle of a message cannot answer a ping, and is given up like everybody who does not."""
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        for name in ("PING_INTERVAL", "PING_TIMEOUT"):
            monkeypatch.setattr(f"noggd.services.peers.listener.{name}", 0.2)
        await b.stop()
        await a.restart()
        key, certificate = b.trust.key.path, b.trust.others[a.id].der
        context = tls.client_context(key, certificate)
        half = await open_connection(a.address, pinned(certificate), context, "/sync")
        half.listen(lambda message: None)
        half.transport.write(b"\x82\xff" + (17 << 20).to_bytes(8, "big") + bytes(4))
        for _ in range(100):
            half.transport.write(b"slowly")
            await asyncio.sleep(0)
        await asyncio.wait_for(half.wait_closed(), 15)
        await b.start()
        await until(lambda: a.linked(b))


async def test_a_member_that_is_kept_out_is_told_so_and_named(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        conduct = a.peers._links.conduct
        for _ in range(12):
            conduct.blame(b.id, "test")
        await b.restart()
        await until(lambda: "how it behaved" in b.peers.status()["peers"][0].get("fault", ""))
        assert not b.trust.state.refused, "it is no evicted device"
        (row,) = a.peers.status()["peers"]
        assert row["fault"] == "test"
        assert row["fix"].endswith("nogg device evict b")
        conduct.forget(b.id)
        a.peers.dial()
        await until(lambda: a.linked(b))
