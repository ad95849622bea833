"""Pairing under attack, over real connections: a man in the middle, guesses, stallers, floods."""

import asyncio
from pathlib import Path

import pytest

from nogg.errors import PairingFailed
from noggd.domain.devices import Certificate
from noggd.platform import tls
from noggd.storage.keys import make_key
from tests.unit.services.attacks import Middle, hears, upgrade
from tests.unit.services.devices import Device, devices, until


async def through_mallory(tmp_path: Path, a: Device, b: Device) -> tuple[str, Middle]:
    """B types the right code, but the address leads to Mallory, who relays everything between two TLS sessions."""
    mallory = make_key(tmp_path / "mallory.pem")
    code = (await a.pairing.invite(600, None))["code"]
    async with Middle(mallory, a.address).running() as middle:
        try:
            await b.pairing.join(code=code, ticket=None, address=middle.address)
        finally:
            await until(lambda: middle.read > 0)
    return code, middle


async def test_a_man_in_the_middle_with_both_connections_is_refused(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        with pytest.raises(PairingFailed, match="wrong code"):
            await through_mallory(tmp_path, a, b)
        assert len(a.trust.group.members) == len(b.trust.group.members) == 1
        assert a.pairing._inviting._invitation is not None
        assert a.pairing._inviting._invitation.guesses == 2


async def test_without_the_binding_he_would_get_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: a joiner that believes a claimed certificate instead of the connection's pairs through him."""
    async with devices(tmp_path, "a", "b") as (a, b):

        def believe(shown: bytes) -> Certificate:
            return a.trust.key.certificate

        monkeypatch.setattr("noggd.services.pairing.joining.check_certificate", believe)
        await through_mallory(tmp_path, a, b)
        assert len(a.trust.group.members) == 2


async def test_a_relay_that_sees_no_plaintext_is_just_a_longer_wire(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        async with Middle(None, a.address, blind=True).running() as relay:
            await b.pairing.join(code=code, ticket=None, address=relay.address)
        assert len(b.trust.group.members) == 2


async def test_a_ticket_knows_its_device_before_a_byte_of_the_exchange(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        ticket = (await a.pairing.invite(600, None))["ticket"]
        async with Middle(make_key(tmp_path / "mallory.pem"), a.address).running() as middle:
            with pytest.raises(PairingFailed, match="could not be reached"):
                await b.pairing.join(code=None, ticket=ticket, address=middle.address)
            assert middle.read == 0


async def test_stallers_do_not_hold_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noggd.services.pairing.inviting.MESSAGE_TIMEOUT", 0.3)
    async with devices(tmp_path, "a", "b") as (a, b):
        code = (await a.pairing.invite(600, None))["code"]
        stalling = [
            asyncio.ensure_future(hears(a.address, tls.stranger_context(), upgrade("/pair")))
            for _ in range(4)
        ]
        invitation = a.pairing._inviting._invitation
        assert invitation is not None
        await until(lambda: invitation.running == 4)
        with pytest.raises(PairingFailed, match="too many"):
            await b.pairing.join(code=code, ticket=None, address=a.address)
        await until(lambda: invitation.running == 0)
        assert invitation.guesses == 3
        monkeypatch.undo()
        await b.pairing.join(code=code, ticket=None, address=a.address)
        await asyncio.gather(*stalling)


async def test_runs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty strangers who talk nonsense, and the window is closed: each of them costs computing time."""
    monkeypatch.setattr("noggd.services.peers.listener.CLOSE_TIMEOUT", 0.05)
    async with devices(tmp_path, "a") as (a,):
        await a.pairing.invite(600, None)
        invitation = a.pairing._inviting._invitation
        assert invitation is not None
        junk = b"\x82\x82abcdXX"  # a masked binary frame of two bytes
        for _ in range(20):
            await hears(a.address, tls.stranger_context(), upgrade("/pair") + junk)
            await until(lambda: invitation.running == 0)
        assert invitation.closed == "runs"
        assert [told["state"] for told in a.told] == ["open", "failed"]
        assert await hears(a.address, tls.stranger_context(), upgrade("/pair")) == b""


async def test_huge_messages_end_the_connection(tmp_path: Path) -> None:
    async with devices(tmp_path, "a") as (a,):
        await a.pairing.invite(600, None)
        huge = b"\x82\xff" + (1 << 20).to_bytes(8, "big") + b"abcd"
        heard = await hears(a.address, tls.stranger_context(), upgrade("/pair"), huge)
        assert b"HTTP/1.1 101" in heard
        assert b"\x03\xf1" in heard  # close code 1009: too big
        assert a.pairing._inviting._invitation is not None
        assert a.pairing._inviting._invitation.guesses == 3
