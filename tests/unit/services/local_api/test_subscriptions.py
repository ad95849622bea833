import asyncio
import json
import socket
from typing import Any

import pytest

from noggd.domain.changes import ABSENT, Change, DevicesChange, IdentityChange, Origin
from noggd.domain.reference import Reference
from noggd.services.local_api import subscriptions
from noggd.services.local_api.subscriptions import Hub, Outlet, Subscription
from tests.unit.services.local_api.conftest import DEVICE, App, House, until

BOTH = frozenset({"active", "microcosms"})


class Reader:
    """An outlet whose reader can be stopped."""

    def __init__(self, hub: Hub) -> None:
        self.clear = True
        self.lines: list[dict[str, Any]] = []
        self.outlet = Outlet(hub, self._write, lambda: self.clear)

    def _write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        self.lines.append(json.loads(line))

    def params(self) -> list[dict[str, Any]]:
        lines, self.lines = self.lines, []
        return [line["params"] for line in lines]


def change(revision: int, *names: str, removed: tuple[str, ...] = (), **more: Any) -> Change:
    changed = {name: Reference(name, revision, None, None, revision) for name in names}
    active = more.pop("active", ABSENT)
    return Change("default", revision - 1, revision, active, changed, removed, Origin("D", "app"), **more)


def subscribed(told: int = 0, keys: frozenset[str] = BOTH) -> tuple[Hub, Reader, Subscription]:
    hub = Hub()
    reader = Reader(hub)
    subscription = Subscription("s1", "default", "default", keys, told, reader.outlet)
    hub.add(subscription)
    return hub, reader, subscription


# The rules, without a socket


def test_a_change_is_told_with_where_it_starts_and_ends() -> None:
    hub, reader, _ = subscribed(told=4)
    hub.changed(change(5, "a.b", removed=("a.c",), active="a.b"))
    assert reader.params() == [
        {
            "subscription": "s1",
            "session": "default",
            "from": 4,
            "revision": 5,
            "active": "a.b",
            "set": {"a.b": Reference("a.b", 5, None, None, 5).value()},
            "removed": ["a.c"],
            "origin": {"device": "D", "client": "app"},
        }
    ]


def test_null_is_cleared_and_absent_is_unchanged() -> None:
    hub, reader, _ = subscribed()
    hub.changed(change(1, active=None))
    hub.changed(change(2, "a.b"))
    first, second = reader.params()
    assert first["active"] is None
    assert "active" not in second


def test_what_the_snapshot_had_is_not_told_again() -> None:
    hub, reader, _ = subscribed(told=7)
    hub.changed(change(6, "a.b"))
    hub.changed(change(7, "a.b"))
    assert reader.params() == []
    hub.changed(change(8, "a.b"))
    assert [params["from"] for params in reader.params()] == [7]


def test_only_what_was_asked_for_is_told_and_from_follows() -> None:
    hub, reader, _ = subscribed(keys=frozenset({"active"}))
    hub.changed(change(1, "a.b"))
    hub.changed(change(2, "a.c", active="a.c"))
    hub.changed(change(3, "a.d"))
    hub.changed(change(4, active=None))
    assert [(params["from"], params["revision"], params["set"]) for params in reader.params()] == [
        (0, 2, {}),
        (2, 4, {}),
    ]


def test_a_slow_reader_gets_one_change_with_the_latest_of_each() -> None:
    hub, reader, _ = subscribed(told=1)
    hub.changed(change(2, "a.a"))
    reader.clear = False
    hub.changed(change(3, "a.b", "a.c", active="a.b"))
    hub.changed(change(4, "a.b", removed=("a.c",)))
    hub.changed(change(5, "a.d", active=None))
    reader.clear = True
    hub.changed(change(6, "a.e"))  # still folded: what was kept goes first
    assert [params["revision"] for params in reader.params()] == [2]
    reader.outlet.release()
    hub.changed(change(7, "a.f"))
    folded, next_one = reader.params()
    assert (folded["from"], folded["revision"]) == (2, 6)
    assert {name: one["lastAccessed"] for name, one in folded["set"].items()} == {
        "a.b": 4,
        "a.d": 5,
        "a.e": 6,
    }
    assert folded["removed"] == ["a.c"]
    assert folded["active"] is None
    assert (next_one["from"], next_one["revision"], list(next_one["set"])) == (6, 7, ["a.f"])
    assert not reader.outlet.waiting


def test_a_stuck_reader_costs_what_the_keys_cost() -> None:
    hub, reader, subscription = subscribed()
    reader.clear = False
    for revision in range(1, 10_000):
        hub.changed(change(revision, f"a.{revision % 10}"))
    assert len(subscription._kept) == 10
    assert len(reader.outlet._late) == 1


def test_past_a_bound_a_stuck_reader_is_told_to_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "KEPT_KEYS", 100)
    hub, reader, subscription = subscribed()
    reader.clear = False
    for revision in range(1, 300):
        hub.changed(change(revision, f"a.{revision}"))
    assert subscription._kept == {}
    reader.clear = True
    reader.outlet.release()
    assert reader.lines == [
        {"jsonrpc": "2.0", "method": "subscription.resync", "params": {"subscription": "s1"}}
    ]
    hub.changed(change(300, "a.b"))
    assert len(reader.lines) == 1, "it has ended"


@pytest.mark.parametrize("clear", [True, False])
def test_with_a_new_life_of_the_store_every_subscription_starts_again(clear: bool) -> None:
    hub, reader, _ = subscribed()
    reader.clear = clear
    hub.changed(change(1, "a.b"))
    hub.start_again()
    hub.changed(change(2, "a.b"))
    reader.clear = True
    reader.outlet.release()
    assert [line["method"] for line in reader.lines][-1] == "subscription.resync"
    assert len(reader.lines) == 1 + clear
    assert len(hub) == 0


def test_a_change_is_encoded_once_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    real = subscriptions.mapping

    def mapping(references: Any) -> bytes:
        encoded.append(1)
        return real(references)

    monkeypatch.setattr(subscriptions, "mapping", mapping)
    hub = Hub()
    readers = [Reader(hub) for _ in range(100)]
    for number, reader in enumerate(readers):
        hub.add(Subscription(f"s{number}", "default", "default", BOTH, 0, reader.outlet))
    hub.changed(change(1, "a.b"))
    assert len(encoded) == 1
    assert all(len(reader.lines) == 1 for reader in readers)


def test_conflicts_are_told_once_to_a_connection() -> None:
    hub, reader, _ = subscribed()
    hub.add(Subscription("s2", "default", "default", BOTH, 0, reader.outlet))
    hub.changed(change(1, "a.b", conflicts=("a.b",)))
    told = [line["params"] for line in reader.lines if line["method"] == "reference.conflict"]
    assert told == [{"session": "default", "microcosmID": "a.b", "field": "password"}]


def test_a_conflict_alone_is_no_change() -> None:
    hub, reader, _ = subscribed(told=3)
    hub.changed(Change("default", 3, 3, ABSENT, {}, (), Origin("D"), conflicts=("a.b",)))
    assert [line["method"] for line in reader.lines] == ["reference.conflict"]


def test_other_sessions_are_not_told() -> None:
    hub, reader, _ = subscribed()
    hub.changed(Change("other", 0, 1, "a.b", {}, (), Origin("D")))
    assert reader.lines == []


def test_a_closed_outlet_takes_no_subscription() -> None:
    hub, reader, subscription = subscribed()
    reader.outlet.close()
    assert len(hub) == 0
    hub.add(subscription)
    assert len(hub) == 0


# Through a socket


async def test_a_snapshot_then_every_change(app: App, house: House) -> None:
    other = await house.app()
    await other.call("reference.register", microcosmID="b.b", password="secret")
    await other.call("reference.register", microcosmID="a.a")
    await other.call("active.set", microcosmID="b.b")
    answer = await app.call("session.subscribe")
    assert answer["fresh"] is True
    assert list(answer["set"]) == ["a.a", "b.b"], "in seed order"
    assert (answer["active"], answer["removed"], answer["revision"]) == ("b.b", [], 3)
    await other.call("hello", client={"name": "other app"})
    await other.call("reference.remove", microcosmID="b.b")
    told = await app.notification()
    assert (told["from"], told["revision"], told["removed"]) == (3, 4, ["b.b"])
    assert told["origin"] == {"device": DEVICE, "client": "other app"}


async def test_own_changes_are_told_after_the_reply(app: App) -> None:
    await app.call("session.subscribe")
    for number in range(20):
        app.send("reference.register", microcosmID=f"a.{number}")
    lines = [await app.line() for _ in range(40)]
    replied: set[int] = set()
    revisions = []
    for line in lines:
        if "id" in line:
            replied.add(line["result"]["revision"])
        else:
            assert line["params"]["revision"] in replied
            revisions.append((line["params"]["from"], line["params"]["revision"]))
    assert revisions == [(n, n + 1) for n in range(20)], "one revision, one event"


async def test_own_changes_behind_a_held_reply_are_told_after_it(app: App, house: House) -> None:
    await app.call("session.subscribe")
    app.send("sync.wait", devices="any", timeout_s=300)
    app.send("reference.register", microcosmID="a.a")
    app.send("reference.register", microcosmID="a.b")
    await until(lambda: house.core.view("default").revision == 2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(app.reader.readline(), 0.05)
    house.peers.gate.set()
    lines = [await app.line() for _ in range(4)]
    assert ["id" in line for line in lines] == [True, True, True, False]
    assert (lines[3]["params"]["from"], lines[3]["params"]["revision"]) == (0, 2)


async def test_changes_by_others_are_told_while_a_call_waits(app: App, house: House) -> None:
    other = await house.app()
    await app.call("session.subscribe")
    app.send("sync.wait", devices="any", timeout_s=300)
    app.send("session.keys")
    await other.call("reference.register", microcosmID="a.a")
    assert (await app.notification())["revision"] == 1


async def test_since_gives_the_exact_difference(app: App) -> None:
    for name in ("a.a", "a.b", "a.c"):
        await app.call("reference.register", microcosmID=name)
    first = await app.call("session.subscribe")
    since = {"epoch": first["epoch"], "revision": first["revision"]}
    await app.call("session.unsubscribe", subscription=first["subscription"])
    await app.call("reference.update", microcosmID="a.b", view="x")
    await app.call("reference.remove", microcosmID="a.c")
    again = await app.call("session.subscribe", since=since)
    assert again["fresh"] is False
    assert list(again["set"]) == ["a.b"]
    assert again["removed"] == ["a.c"]
    assert "active" not in again
    assert again["subscription"] != first["subscription"]
    await app.call("active.set", microcosmID="a.a")
    third = await app.call("session.subscribe", since={**since, "revision": again["revision"]})
    assert (third["fresh"], third["set"], third["active"]) == (False, {}, "a.a")
    now = {**since, "revision": third["revision"]}
    fourth = await app.call("session.subscribe", since=now)
    assert (fourth["fresh"], fourth["set"], fourth["removed"]) == (False, {}, [])


@pytest.mark.parametrize("wrong", [{"epoch": "other"}, {"revision": 99}])
async def test_a_since_that_was_never_issued_is_answered_fresh(app: App, wrong: dict[str, Any]) -> None:
    registered = await app.call("reference.register", microcosmID="a.a")
    epoch = (await app.call("session.get"))["epoch"]
    since = {"epoch": epoch, "revision": registered["revision"], **wrong}
    answer = await app.call("session.subscribe", since=since)
    assert answer["fresh"] is True
    assert list(answer["set"]) == ["a.a"]


async def test_keys_choose_what_comes(app: App) -> None:
    await app.call("reference.register", microcosmID="a.a")
    answer = await app.call("session.subscribe", keys=["active"])
    assert (answer["set"], answer["active"]) == ({}, None)
    answer = await app.call("session.subscribe", keys=["microcosms"])
    assert "active" not in answer
    answer = await app.call("session.subscribe", keys=["identity", "devices"])
    assert answer["identity"]["username"] is None
    assert answer["devices"][0]["id"] == DEVICE
    error = await app.refused("session.subscribe", keys=["colour"])
    assert error.code == -32602


async def test_who_wants_to_know_is_told_of_the_person_and_the_devices(app: App, house: House) -> None:
    other = await house.app()
    await app.call("session.subscribe", keys=["identity", "devices"])
    await other.call("session.subscribe")
    await other.call("identity.set", username="Ada")
    told = await app.notification()
    assert (told["method"], told["identity"]["username"]) == ("identity.changed", "Ada")
    await other.call("device.rename", name="here")
    told = await app.notification()
    assert (told["method"], told["devices"][0]["id"]) == ("device.changed", DEVICE)
    await other.quiet()


async def test_the_core_tells_of_devices_and_identity_too(app: App, house: House) -> None:
    await app.call("session.subscribe", keys=["identity", "devices"])
    house.server._changed(IdentityChange("x", "y"))
    house.server._changed(DevicesChange())
    assert [(await app.notification())["method"] for _ in range(2)] == ["identity.changed", "device.changed"]


async def test_pairing_is_told_to_subscribers_only(app: App, house: House) -> None:
    bystander = await house.app()
    await app.call("session.subscribe")
    house.pairing.tell({"state": "paired", "device": {"id": "X", "name": "phone"}})
    assert (await app.notification())["state"] == "paired"
    await bystander.quiet()


async def test_an_ended_subscription_is_told_nothing(app: App) -> None:
    answer = await app.call("session.subscribe")
    assert await app.call("session.unsubscribe", subscription=answer["subscription"]) == {}
    await app.call("reference.register", microcosmID="a.a")
    await app.quiet()
    error = await app.refused("session.unsubscribe", subscription=answer["subscription"])
    assert error.code == 4


async def test_subscriptions_end_with_their_connection(app: App, house: House) -> None:
    await app.call("session.subscribe")
    app.writer.close()
    await until(lambda: len(house.server.hub) == 0)


async def test_there_is_a_bound_on_subscriptions(app: App) -> None:
    for _ in range(256):
        app.send("session.subscribe", keys=["active"])
    app.send("session.subscribe")
    replies = [await app.reply() for _ in range(257)]
    assert replies[-1]["error"]["code"] == 5
    assert all("result" in reply for reply in replies[:-1])


async def test_a_reader_that_stops_gets_the_rest_folded(app: App, house: House) -> None:
    """Against a real socket: the reader sees an unbroken chain of revisions that ends in the final state."""
    await app.call(
        "session.set", microcosms=[{"microcosmID": f"a.{n}", "view": "v" * 255} for n in range(20)]
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        client.connect(str(house.path))
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b'{"jsonrpc":"2.0","id":1,"method":"session.subscribe"}\n')
        buffer = b""
        while b"\n" not in buffer:
            buffer += await loop.sock_recv(client, 1 << 20)
        told = json.loads(buffer)["result"]["revision"]
        last = 0
        for number in range(3000):  # a megabyte: more than the socket and the buffer take
            last = (
                await app.call("reference.update", microcosmID=f"a.{number % 20}", view=f"{number:0>255}")
            )["revision"]
        connection = list(house.server.connections)[-1]
        assert connection._slow
        assert connection._transport.get_write_buffer_size() < 1 << 17
        buffer, events, state = b"", 0, {}
        async with asyncio.timeout(20):
            while told != last:
                buffer += await loop.sock_recv(client, 1 << 20)
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    params = json.loads(line)["params"]
                    assert params["from"] == told
                    told = params["revision"]
                    state.update(params["set"])
                    events += 1
        assert events < 3000
        final = {one["microcosmID"]: one for one in (await app.call("session.get"))["microcosms"]}
        assert state == final
