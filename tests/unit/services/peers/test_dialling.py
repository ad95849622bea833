"""Where a device is dialled: where it was, where it says that it is, and where somebody claims to have seen it."""

import asyncio
from pathlib import Path

import pytest

from noggd.services.peers import service
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
