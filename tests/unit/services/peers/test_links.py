"""Between two links to one device, and when a peer is slow, silent or gone."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from noggd.platform.clock import monotonic
from noggd.services.peers import dialling, service
from noggd.services.peers.link import Link
from noggd.services.peers.links import Links
from tests.unit.services.devices import Device, devices, paired, until


async def links_of(device: Device) -> Links:
    return device.peers._links


async def test_both_sides_keep_the_same_one_of_two_links(tmp_path: Path) -> None:
    """Both dial at the same moment, again and again: one link stays, and it carries."""
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        for round_ in range(4):
            for link in [*a.peers._links.chosen(), *b.peers._links.chosen()]:
                link.abort("test")
            a.peers.dial()
            b.peers.dial()
            await until(lambda: a.linked(b) and b.linked(a))
            await a.register(f"round.{round_}")
            await until(lambda n=round_: f"round.{n}" in b.has())  # type: ignore[misc] # mypy: defaults of lambdas
        await until(lambda: len(a.peers._links._all) == len(b.peers._links._all) == 1)


async def test_a_newer_link_replaces_an_older_one(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        old = {device.id: device.peers._links.chosen()[0] for device in (a, b)}
        dialled = a if old[a.id].dialled else b
        other = b if dialled is a else a
        asyncio.ensure_future(dialled.peers._dialler._attempt(other.id))  # noqa: RUF006  # ends with the link
        await until(lambda: not old[a.id].is_open and not old[b.id].is_open)
        await until(lambda: a.linked(b) and b.linked(a))
        await a.register("over.the.new.one")
        await until(lambda: b.has() == {"over.the.new.one"})


async def test_a_peer_that_takes_nothing_is_dropped_and_comes_back_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        monkeypatch.setattr("noggd.services.peers.connection.MAX_OUTBOX", 50_000)
        link = a.peers._links.chosen()[0]
        await until(lambda: link.ready and link.documents.replica._documents["person"].live)
        b.peers._links.chosen()[0].connection.transport.pause_reading()
        for _ in range(400):  # the sockets between them take some megabytes
            link.changed("person", bytes(50_000))
        assert link.connection.dropped
        monkeypatch.undo()
        await a.register("after.all")
        await until(lambda: a.linked(b) and b.has() == {"after.all"})


async def test_reading_pauses_while_too_much_waits_to_be_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("noggd.services.peers.documents.MAX_IN_FLIGHT", 100)
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        paused: list[bool] = []
        documents = b.peers._links.chosen()[0].documents
        pause = documents._pause

        def note(on: bool) -> None:
            paused.append(on)
            pause(on)

        documents._pause = note
        await asyncio.gather(*(a.register(f"one.{number}", view="x" * 200) for number in range(30)))
        await until(lambda: len(b.has()) == 30)
        assert paused
        assert paused == [True, False] * (len(paused) // 2)


def cut(link: Link) -> None:
    """End a link at once."""
    link.abort("test")


def break_off(link: Link) -> None:
    """Let the next write of a link fail."""
    link.connection.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
    link.say_hello()


async def for_ever(call: object, seconds: float) -> None:
    """Stand in for a pause until the next attempt."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("end", [cut, break_off])
async def test_a_link_that_ended_is_freed_with_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Callable[[Link], None]
) -> None:
    """A connection holds a third of a megabyte, which must not wait for the collector, nor for the next link."""
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        for device in (a, b):
            device.peers.dial()  # so that both diallers see the link while the change travels
        await a.register("over.it")
        await until(lambda: b.has() == {"over.it"})
        monkeypatch.setattr(dialling._Call, "pause", for_ever)
        ended = [device.peers._links.chosen()[0] for device in (a, b)]
        gone = [weakref.ref(each) for link in ended for each in (link, link.connection)]
        gc.collect()
        gc.disable()
        try:
            end(ended.pop())
            ended.clear()
            await until(lambda: not any(each() for each in gone))
        finally:
            gc.enable()


async def test_an_address_that_changed_is_learned_over_the_link(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        b.listen = "127.0.0.2:0"
        await b.start()
        await until(lambda: a.linked(b))
        await until(lambda: a.trust.peers[b.id].addresses[0] == b.address)
        assert b.address.startswith("127.0.0.2:")


async def test_a_port_of_its_own_choice_is_kept_while_it_is_free(tmp_path: Path) -> None:
    async with devices(tmp_path, "a") as (a,):
        address = a.address
        await a.restart()
        assert a.address == address
        await a.stop()
        host, port = address.split(":")
        taken = await asyncio.start_server(lambda *_: None, host, int(port))
        await a.start()
        assert a.address != address
        taken.close()
        await taken.wait_closed()


async def test_a_link_whose_greeting_does_not_come_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noggd.platform import tls
    from noggd.services.peers.connection import pinned
    from noggd.services.peers.dialling import open_connection

    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        certificate = a.trust.others[b.id]
        await a.stop()
        monkeypatch.setattr("noggd.services.peers.link.GREETING_TIMEOUT", 0.1)
        context = tls.client_context(a.trust.key.path, certificate.der)
        silent = await open_connection(b.address, pinned(certificate.der), context, "/sync")
        silent.listen(lambda message: None)
        await asyncio.wait_for(silent.wait_closed(), 10)
        assert silent.close_code == 4500
        assert b.linked()


async def test_what_came_early_waits_for_its_turn(tmp_path: Path) -> None:
    """Frames about documents before the greeting is through are not lost, but they are bounded."""
    from noggd.domain.frames import Step1, Update, write_frame
    from noggd.platform import tls
    from noggd.services.peers.connection import pinned
    from noggd.services.peers.dialling import open_connection

    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        certificate = a.trust.others[b.id]
        greeting = a.peers._links.greeting(b.id, first=True)
        await a.stop()
        context = tls.client_context(a.trust.key.path, certificate.der)
        for early, code in (
            (write_frame(Step1("person", b"\0")), 4400),  # before a hello
            (b"\0\x42" + bytes([1]) + b"x", 4400),  # no hello at all
        ):
            raw = await open_connection(b.address, pinned(certificate.der), context, "/sync")
            raw.listen(lambda message: None)
            raw.post(early)
            await asyncio.wait_for(raw.wait_closed(), 10)
            assert raw.close_code == code
            await until(lambda: not b.peers._links.conduct.kept_out(a.trust.device))
        from noggd.domain.frames import Hello

        heard: list[bytes] = []
        raw = await open_connection(b.address, pinned(certificate.der), context, "/sync")
        raw.listen(heard.append)
        raw.post(write_frame(Hello(greeting.encode())))
        raw.post(write_frame(Step1("person", b"\0")))
        await until(lambda: any(m.startswith(b"\x06person\0\1") for m in heard))
        raw.post(write_frame(Update("session/no good name", b"\0\0")))
        await asyncio.wait_for(raw.wait_closed(), 10)
        assert raw.close_code == 4400


async def test_after_sleep_all_links_are_made_anew_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side gave them up meanwhile, and this one would wait for an answer for many seconds."""
    slept = [0.0]
    monkeypatch.setattr(service, "awake_and_asleep", lambda: monotonic() + slept[0])
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        (former,) = a.peers._links.chosen()
        slept[0] += 3600
        began = monotonic()
        await until(lambda: a.peers._links.chosen() not in ([], [former]) and a.linked(b) and b.linked(a))
        assert monotonic() - began < 10
