"""Documents over real links: what is written on one device is on the others, whatever happens in between."""

from pathlib import Path

import pytest

from nogg.errors import NotPaired, Timeout
from tests.unit.services.devices import devices, paired, until


async def test_two_devices_have_the_same_references(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await a.register("before.a", password="secret")
        await b.register("before.b")
        await paired(a, b)
        await until(lambda: a.has() == b.has() == {"before.a", "before.b"})
        await a.register("after.a", view="map")
        await b.register("after.b")
        await until(lambda: a.has() == b.has() and len(a.has()) == 4)
        assert b.core.view("default").references["before.a"].password == "secret"
        await a.remove("before.b")
        await until(lambda: b.has() == {"before.a", "after.a", "after.b"})


async def test_a_change_says_which_device_made_it(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        changes: list[object] = []
        b.core.listen(changes.append)
        await a.register("one.one")
        await until(lambda: changes)
        assert changes[0].origin.device == a.id  # type: ignore[attr-defined]


async def test_a_device_that_was_away_catches_up_by_itself(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        await until(lambda: a.linked())
        for number in range(20):
            await a.register(f"while.away{number}")
        await b.start()
        await until(lambda: len(b.has()) == 20)
        assert a.peers.status()["peers"][0]["address"] == b.address  # the same port again


async def test_a_third_device_is_known_to_all_and_devices_relay_for_each_other(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        await paired(a, b)
        await b.pair(c)
        await until(lambda: a.linked(b, c) and b.linked(a, c) and c.linked(a, b))
        await a.register("from.a")
        await until(lambda: c.has() == {"from.a"} == b.has())
        await a.stop()
        await until(lambda: b.linked(c))
        await b.register("from.b")
        await b.stop()
        await a.start()
        await until(lambda: a.linked(c))
        await until(lambda: a.has() == {"from.a", "from.b"})  # by way of c


async def test_waiting_until_others_have_stored_a_revision(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b", "c") as (a, b, c):
        assert await a.peers.wait("default", 0, "all", 1) == []
        await paired(a, b, c)
        await a.register("one.one")
        revision = a.core.view("default").revision
        synced = await a.peers.wait("default", revision, "all", 10)
        assert {row["device"] for row in synced} == {b.id, c.id}
        assert b.has() == c.has() == {"one.one"}
        assert all(abs(row["at"] - a.now()) < 60_000 for row in synced)
        assert [row["device"] for row in await a.peers.wait("default", revision, [b.id, a.id], 10)] == [b.id]
        with pytest.raises(NotPaired):
            await a.peers.wait("default", revision, ["nobody"], 1)
        await b.stop()
        await c.stop()
        await a.register("two.two")
        with pytest.raises(Timeout) as caught:
            await a.peers.wait("default", a.core.view("default").revision, "any", 0.05)
        assert caught.value.data["synced"] == []
        older = await a.peers.wait("default", revision, "all", 1)
        assert {row["device"] for row in older} == {b.id, c.id}


async def test_a_touch_is_waited_for_too(tmp_path: Path) -> None:
    from noggd.domain.changes import Origin

    async with devices(tmp_path, "a", "b") as (a, b):
        await a.register("one.one")
        await paired(a, b)
        await until(lambda: b.has() == {"one.one"})
        before = b.core.view("default").references["one.one"].last_accessed
        await until(lambda: a.now() > before)
        a.core.touch("default", "one.one", Origin(a.id))
        await a.peers.wait("default", a.core.view("default").revision, "all", 10)
        assert b.core.view("default").references["one.one"].last_accessed > before


async def test_status_says_how_the_links_stand(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        assert a.peers.status() == {"listen": a.address, "peers": []}
        await paired(a, b)
        await a.register("one.one")
        await a.peers.wait("default", a.core.view("default").revision, "all", 10)
        (row,) = a.peers.status()["peers"]
        assert (row["device"], row["name"], row["state"], row["behind"]) == (b.id, "b", "online", 0)
        assert row["held_back"] is False
        assert row["last_sync"] is not None
        await b.stop()
        await until(lambda: a.linked())
        await a.register("two.two")
        (row,) = a.peers.status()["peers"]
        assert row["state"] == "offline"
        assert row["behind"] > 0


async def test_the_list_of_devices(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        (row,) = a.peers.devices()
        assert (row["id"], row["self"], row["state"], row["address"]) == (a.id, True, "online", a.address)
        await paired(a, b)
        own, other = a.peers.devices()
        assert (own["id"], other["id"], other["self"], other["name"]) == (a.id, b.id, False, "b")
        assert other["state"] == "online"
        assert other["address"] == b.address
        assert other["last_seen"] is not None


async def test_a_clock_far_ahead_holds_its_changes_back_until_it_is_mended(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        b.skew = 20 * 60 * 1000
        await b.start()
        await until(lambda: a.linked(b) and b.linked(a))
        await until(lambda: b.peers.status()["peers"][0]["held_back"])
        assert not a.peers.status()["peers"][0]["held_back"]
        await b.register("from.the.future")
        await a.register("from.now")
        await until(lambda: b.has() == {"from.the.future", "from.now"})
        assert a.has() == {"from.now"}
        b.skew = 0
        a.peers._links.chosen()[0].say_hello()
        await until(lambda: a.has() == b.has())
        for device in (a, b):
            stamped = device.core.view("default").references["from.the.future"].last_accessed
            assert stamped <= a.now()


async def test_a_clock_that_is_set_while_linked_is_noticed_before_anything_goes_out(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        b.skew = 20 * 60 * 1000
        await b.register("from.the.future")
        await until(lambda: b.peers.status()["peers"][0]["held_back"])
        await a.register("from.now")
        await until(lambda: b.has() == {"from.the.future", "from.now"})
        assert a.has() == {"from.now"}
        await until(lambda: a.peers.status()["peers"][0]["clock_ahead_ms"] < -10 * 60 * 1000)
        b.skew = 0
        await until(lambda: a.has() == b.has())
        assert a.core.view("default").references["from.the.future"].last_accessed <= a.now()
        await until(lambda: abs(a.peers.status()["peers"][0]["clock_ahead_ms"]) < 10_000)


async def test_a_clock_that_is_mended_while_the_daemon_is_down(tmp_path: Path) -> None:
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await b.stop()
        b.skew = 20 * 60 * 1000
        await b.start()
        await b.register("from.the.future")
        await b.stop()
        b.skew = 0
        await b.start()
        await until(lambda: a.has() == {"from.the.future"})
        assert a.core.view("default").references["from.the.future"].last_accessed <= a.now()
        assert b.core.view("default").references["from.the.future"].last_accessed <= a.now()


async def test_summaries_repair_what_was_lost_without_a_trace(tmp_path: Path) -> None:
    """A change that never reached the link (as a defect would lose it) arrives with the next rounds."""
    async with devices(tmp_path, "a", "b") as (a, b):
        await paired(a, b)
        await a.register("one.one")
        await a.peers.wait("default", a.core.view("default").revision, "all", 10)
        link = a.peers._links.chosen()[0]
        link.ready = False
        await a.register("lost.one")
        link.ready = True
        assert b.has() == {"one.one"}
        for _ in range(2):
            await b.peers._links.sum_up()
            await until(lambda: link.documents.replica._documents["session/default"].quiet)
            await a.peers._links.sum_up()
        await until(lambda: b.has() == {"one.one", "lost.one"})
