"""When a device is dialled, and where: where it was, where it says that it is, where somebody saw it."""

import asyncio
import random
import ssl
from pathlib import Path

import pytest

from noggd.platform import tls
from noggd.services.peers import dialling, service
from noggd.services.peers.connection import WrongDevice, pinned
from noggd.services.peers.dialling import Dialler, first_connection
from noggd.services.peers.link import CLONE, Link
from noggd.storage.keys import make_key
from tests.unit.services.devices import devices, paired, until

NOWHERE = "127.0.0.1:9"


async def test_a_claimed_address_is_dialled_at_once_and_kept_only_if_it_was_true(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        where = a.address
        for device in (a, b):
            device.trust.peers.clear()
            device.trust._unsaved = True
        await a.stop()
        await until(lambda: not b.linked(a))
        await a.start()
        for device in (a, b):
            assert not any(peer.addresses for peer in device.trust.peers.values()), (
                "nobody knows where to dial"
            )
        b.peers.found(a.id, [NOWHERE, where])
        await until(lambda: b.linked(a))
        assert NOWHERE not in b.trust.peers[a.id].addresses
        assert where in b.trust.peers[a.id].addresses


async def test_why_a_device_is_not_reached_is_told_until_it_is(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        assert "fault" not in b.peers.status()["peers"][0]
        where = a.address
        await a.stop()
        await until(lambda: "fault" in b.peers.status()["peers"][0])
        assert f"{where}: connection refused" in b.peers.status()["peers"][0]["fault"]
        await a.start()
        await until(lambda: b.linked(a))
        assert "fault" not in b.peers.status()["peers"][0]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer"),
        (ConnectionRefusedError(111, "Connect call failed ('::1', 9)"), "connection refused"),
        (OSError(113, "x"), "no route to host"),
        (OSError("Multiple exceptions: …"), "it cannot be reached"),
        (WrongDevice(), "another device answers there"),
        (ssl.SSLError(1, "x"), "what answers there is no device of this group"),
    ],
)
def test_reasons_are_words(error: Exception, words: str) -> None:
    assert dialling.reason(error) == words


async def test_a_claim_about_a_stranger_is_left(tmp_path: Path) -> None:
    async with devices(tmp_path, "a") as (a,):
        a.peers.found("STRANGER", [NOWHERE])
        assert not a.peers._dialler._seen


async def test_another_address_ends_links_that_it_cut_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loopback interface plays the network: its address goes, and comes again."""
    addresses = ["127.0.0.1"]
    monkeypatch.setattr(service, "local_addresses", lambda: list(addresses))
    monkeypatch.setattr(service, "LOOK_AT_ADDRESSES", 0.01)
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        watching = asyncio.create_task(a.peers._watch_addresses())  # not done for loopback listeners
        await asyncio.sleep(0)  # it has seen the address
        told: list[int] = []
        a.peers.moved = lambda: told.append(len(addresses))
        link = a.peers._links.of(b.id)
        assert link is not None
        addresses.clear()
        await until(lambda: told == [0])
        assert not link.is_open
        addresses.append("127.0.0.1")
        await until(lambda: told == [0, 1])
        await until(lambda: a.linked(b) and b.linked(a))
        watching.cancel()


async def test_the_first_address_that_answers_is_taken(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        certificate = a.trust.others[b.id].der
        context = tls.client_context(a.trust.key.path, certificate)
        made, refused = await first_connection(
            ["127.0.0.1:9", "no such host.:1", b.address], pinned(certificate), context
        )
        assert made is not None
        assert (made[1], refused) == (b.address, False)
        made[0].transport.abort()


async def test_who_does_not_trust_us_is_told_apart_from_who_is_not_there(tmp_path: Path) -> None:
    async with devices(tmp_path, "a") as (a,):
        stranger = make_key(tmp_path / "stranger.pem")
        certificate = a.trust.key.certificate.der
        context = tls.client_context(stranger.path, certificate)
        assert await first_connection([a.address], pinned(certificate), context) == (None, True)
        assert await first_connection(["127.0.0.1:9"], pinned(certificate), context) == (None, False)
        other = make_key(tmp_path / "other.pem").certificate.der
        wrong = tls.client_context(stranger.path, other)
        assert await first_connection([a.address], pinned(other), wrong) == (None, False)


class Pauses:
    """Stands in for time: notes how long a dialler would have waited, and lets it go on at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, enough: int) -> None:
        self.taken: list[float] = []
        self.enough = enough
        monkeypatch.setattr(dialling._Call, "pause", self.pause)
        monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)

    async def pause(self, seconds: float) -> None:
        self.taken.append(seconds)
        if len(self.taken) >= self.enough:
            await asyncio.Event().wait()


async def test_failures_are_spaced_further_and_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        await until(lambda: a.linked())
        await a.peers._dialler.close()
        a.trust.note(b.id, addresses=["127.0.0.1:9"])
        pauses = Pauses(monkeypatch, 10)
        dialler = Dialler(a.trust, a.peers._links)
        dialler.update()
        await until(lambda: len(pauses.taken) == 10)
        polite = dialling.POLITE if b.id < a.id else 0
        assert pauses.taken == [polite, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        await dialler.close()


async def test_a_refusal_is_answered_by_more_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.peers.evict(a.id)
        await until(lambda: a.linked())
        await a.peers._dialler.close()
        monkeypatch.setattr(type(a.trust), "others", {b.id: b.trust.key.certificate})
        pauses = Pauses(monkeypatch, 10)
        dialler = Dialler(a.trust, a.peers._links)
        dialler.update()
        await until(lambda: len(pauses.taken) == 10)
        assert pauses.taken[-2:] == [60, 60]
        assert a.trust.state.refused
        await dialler.close()


async def test_links_that_break_at_once_are_not_made_in_a_rush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        pauses = Pauses(monkeypatch, 1000)
        monkeypatch.setattr(b.peers._links, "settle", _refuse)
        a.peers._links.chosen()[0].abort("test")
        await until(lambda: len(pauses.taken) >= 6)
        assert max(pauses.taken) >= 4


async def _refuse(link: object) -> bool:
    assert isinstance(link, Link)
    link.end(CLONE, "test")
    return False
