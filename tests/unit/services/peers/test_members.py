"""Who belongs, over real links: eviction, leaving, coming back, and who hears of it when."""

from pathlib import Path

import pytest

from nogg.errors import NotPaired, PairingFailed
from tests.unit.services.devices import Device, devices, paired, until


def states(device: Device) -> dict[str, str]:
    return {row["id"]: row["state"] for row in device.peers.devices()}


async def test_an_evicted_device_is_out_on_all_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await b.register("of.b", password="shared")
        await paired(a, b, c)
        await until(lambda: a.has() == c.has() == {"of.b"})
        result = await a.peers.evict(b.id)
        assert result == {
            "passwords_to_change": [{"session": "default", "microcosmID": "of.b"}],
            "unaware": [],
        }
        await until(lambda: a.linked(c) and c.linked(a) and b.trust.removed)
        assert states(a) == {a.id: "online", c.id: "online", b.id: "evicted"}
        assert states(c) == {a.id: "online", c.id: "online", b.id: "evicted"}
        assert states(b)[b.id] == "evicted"
        await a.register("after.eviction")
        await until(lambda: c.has() == {"of.b", "after.eviction"})
        await b.register("alone.now")
        assert b.has() == {"of.b", "alone.now"}
        for device in (a, c):
            await device.restart()
            assert device.has() == {"of.b", "after.eviction"}  # what it wrote stays
        await b.restart()
        assert b.has() == {"of.b", "alone.now"}


async def test_who_is_away_is_named_and_learns_of_it_later(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await paired(a, b, c)
        await c.stop()
        await until(lambda: a.linked(b))
        assert (await a.peers.evict(b.id))["unaware"] == [c.id]
        await b.stop()
        await c.start()
        await until(lambda: c.linked(a) and states(c).get(b.id) == "evicted")


async def test_an_evicted_device_that_was_away_gets_nothing(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        await a.peers.evict(b.id)
        await a.register("after.eviction")
        await b.start()
        await until(lambda: b.trust.state.refused)
        assert b.has() == set()
        assert b.linked()


async def test_strangers_and_this_device_cannot_be_evicted(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        with pytest.raises(NotPaired):
            await a.peers.evict(b.id)
        with pytest.raises(NotPaired):
            await a.peers.evict(a.id)


async def test_who_leaves_goes_on_alone_and_can_come_back_as_the_same_device(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await a.register("of.a")
        await b.register("of.b", view="map")
        await paired(a, b, c)
        await until(lambda: all(d.has() == {"of.a", "of.b"} for d in (a, b, c)))
        identity, device = b.core.identity_id, b.id
        await b.peers.leave()
        assert b.id == device
        assert states(b) == {b.id: "online"}
        assert b.core.identity_id == identity
        await until(lambda: a.linked(c) and c.linked(a) and b.id not in states(a) and b.id not in states(c))
        await b.register("alone.b")
        await a.register("without.b")
        assert b.has() == {"of.a", "of.b", "alone.b"}
        await until(lambda: c.has() == {"of.a", "of.b", "without.b"})
        await b.restart()
        assert b.has() == {"of.a", "of.b", "alone.b"}
        await c.pair(b)
        everything = {"of.a", "of.b", "alone.b", "without.b"}
        await until(lambda: all(d.has() == everything for d in (a, b, c)))
        assert b.id == device
        assert b.core.view("default").references["of.b"].view == "map"


async def test_who_is_alone_has_nothing_to_leave(tmp_path: Path) -> None:
    async with devices(tmp_path, "a") as (a,):
        group = a.trust.group
        await a.peers.leave()
        assert a.trust.group == group


@pytest.mark.parametrize("away", [False, True], ids=["told", "away"])
async def test_an_evicted_device_comes_back_with_a_new_key_after_leaving(tmp_path: Path, away: bool) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await b.register("of.b", password="p")
        await paired(a, b)
        await until(lambda: a.has() == {"of.b"})
        old = b.id
        if away:
            await b.stop()
        await a.peers.evict(old)
        if away:
            await b.start()
            await until(lambda: b.trust.state.refused)
        else:
            await until(lambda: b.trust.removed)
        with pytest.raises(PairingFailed) as caught:
            await a.pair(b)
        assert "leave" in (caught.value.hint or "")
        await b.register("alone.b")
        await b.peers.leave()
        assert b.id != old
        assert b.core.device == b.id
        assert b.has() == {"of.b", "alone.b"}
        await a.pair(b)
        await until(lambda: a.has() == b.has() == {"of.b", "alone.b"})
        assert states(a) == {a.id: "online", b.id: "online", old: "evicted"}
        await b.restart()
        await until(lambda: b.linked(a))
        await b.register("later.b")
        await until(lambda: a.has() == {"of.b", "alone.b", "later.b"})


async def test_a_device_that_does_not_know_of_its_eviction_learns_it_when_it_pairs(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        await a.peers.evict(b.id)
        await a.stop()
        await b.start()
        await b.peers.leave()  # nobody can be reached, so nothing is known: the key stays
        old = b.id
        await a.start()
        with pytest.raises(PairingFailed, match="removed"):
            await a.pair(b)
        await b.peers.leave()
        assert b.id != old
        await a.pair(b)
        await until(lambda: a.linked(b) and b.linked(a))


async def test_the_founder_can_be_evicted_and_the_others_stay_together(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await paired(a, b, c)
        await b.peers.evict(a.id)
        await until(lambda: b.linked(c) and c.linked(b) and a.trust.removed)


async def test_a_crash_before_the_writings_were_taken_over_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await b.register("of.b")
        await paired(a, b)
        await until(lambda: a.has() == {"of.b"})

        async def crash() -> None:
            return

        monkeypatch.setattr(a.peers._members, "apply", crash)
        await a.peers.evict(b.id)
        await a.restart()
        assert a.has() == {"of.b"}
        await until(lambda: not a.trust.to_take_over)
        assert a.has() == {"of.b"}
        await a.restart()
        assert a.has() == {"of.b"}


async def test_devices_without_each_others_addresses_meet_through_a_third(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await paired(a, b)
        await a.pair(c)
        await until(lambda: b.linked(a, c) and c.linked(a, b))
        assert c.address in b.trust.peers[c.id].addresses
