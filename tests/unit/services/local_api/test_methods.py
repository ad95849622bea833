"""Every method, one after the other, through a socket; results are checked against their declarations by `App`."""

import asyncio
import json

import pytest

from nogg.errors import Conflict, StorageFailed
from nogg.ids import is_identity_id
from nogg.methods import METHODS
from noggd.services.local_api.calls import Read, refusing, table
from noggd.services.local_api.methods import HANDLERS
from tests.unit.services.local_api.conftest import DEVICE, App, House

A, B = "alpha.aaaaaaaaaaaaaaaa", "beta.bbbbbbbbbbbbbbbb"


def test_every_declared_method_has_its_function_and_no_other() -> None:
    assert table(HANDLERS).keys() == METHODS.keys()
    with pytest.raises(ValueError, match=r"nothing carries out .*session\.get"):
        table(each for each in HANDLERS if each.name != "session.get")
    with pytest.raises(ValueError, match="two functions"):
        table([*HANDLERS, Read("hello", lambda caller, params: None)])


# hello, rpc.discover, daemon.*


async def test_hello(app: App) -> None:
    answer = await app.call("hello", protocol=1, client={"name": "test", "version": "1"})
    assert (answer["protocol"], answer["supported"], answer["ready"]) == (1, [1], True)
    assert answer["device"] == {"id": DEVICE, "name": "here"}


@pytest.mark.parametrize("protocol", [0, 2, 99])
async def test_hello_in_another_version(app: App, protocol: int) -> None:
    error = await app.refused("hello", protocol=protocol)
    assert (error.code, error.data["supported"]) == (1, [1])


async def test_the_api_describes_itself(app: App) -> None:
    document = await app.call("rpc.discover")
    assert {method["name"] for method in document["methods"]} == METHODS.keys()


async def test_doctor_and_metrics(app: App) -> None:
    assert (await app.call("daemon.doctor"))["checks"][0]["name"] == "disk"
    assert (await app.call("daemon.metrics"))["text"] == (
        "# HELP nogg_connections Connections of apps.\n# TYPE nogg_connections gauge\nnogg_connections 1\n"
    )


async def test_shutdown_is_answered(app: App, house: House) -> None:
    assert await app.call("daemon.shutdown") == {}
    assert house.house.stopped


# session.*


async def test_a_session_that_does_not_exist_is_an_empty_one(app: App) -> None:
    empty = await app.call("session.get", session="other")
    assert (empty["active"], empty["microcosms"], empty["revision"]) == (None, [], 0)
    assert await app.call("session.open", session="other") == {
        "session": "other",
        "epoch": empty["epoch"],
        "revision": 0,
    }
    assert await app.call("reference.list", session="other") == {"references": [], "revision": 0}
    assert await app.call("session.list") == {"sessions": []}
    await app.call("reference.register", session="other", microcosmID=A)
    assert await app.call("session.list") == {
        "sessions": [{"session": "other", "revision": 1, "references": 1}]
    }
    assert (await app.call("session.get"))["microcosms"] == []


async def test_set_replaces_what_is_given(app: App) -> None:
    await app.call("session.set", active=A, microcosms=[{"microcosmID": A, "view": "v"}, {"microcosmID": B}])
    answer = await app.call(
        "session.set", microcosms=[{"microcosmID": B, "password": "p", "lastAccessed": 5}]
    )
    state = await app.call("session.get")
    assert state["active"] == A
    assert state["microcosms"] == [
        {"microcosmID": B, "lastAccessed": 5, "password": "p", "view": None, "revision": answer["revision"]}
    ]
    await app.call("session.set", active=None)
    assert (await app.call("session.get"))["active"] is None


async def test_set_twice_the_same_id_is_refused(app: App) -> None:
    error = await app.refused("session.set", microcosms=[{"microcosmID": A}, {"microcosmID": A}])
    assert error.code == -32602


async def test_session_revisions_can_be_insisted_on(app: App) -> None:
    revision = (await app.call("session.set", active=A))["revision"]
    await app.call("session.set", active=B, if_revision=revision)
    error = await app.refused("session.reset", if_revision=revision)
    assert isinstance(error, Conflict)
    assert error.revision == revision + 1


async def test_keys(app: App) -> None:
    assert await app.call("session.keys") == {"keys": ["active", "microcosms"]}


async def test_reset_is_one_change_and_an_empty_reset_none(app: App) -> None:
    await app.call("session.set", active=A, microcosms=[{"microcosmID": A}, {"microcosmID": B}])
    assert await app.call("session.reset") == {"revision": 2}
    assert await app.call("session.reset") == {"revision": 2}
    assert (await app.call("reference.restore", microcosmID=A))["microcosmID"] == A


async def test_transact_is_all_or_nothing(app: App) -> None:
    ops = [
        {"op": "register", "microcosmID": A, "view": "v"},
        {"op": "set_active", "microcosmID": A},
        {"op": "update", "microcosmID": A, "password": "p"},
        {"op": "remove", "microcosmID": B},
        {"op": "touch", "microcosmID": A},
    ]
    answer = await app.call("session.transact", ops=ops)
    assert answer["revision"] == 1
    assert [type(result).__name__ for result in answer["results"]] == ["dict"] * 5
    assert answer["results"][3] == {"removed": False}
    error = await app.refused(
        "session.transact",
        ops=[{"op": "remove", "microcosmID": A}, {"op": "update", "microcosmID": B, "view": "x"}],
    )
    assert (error.code, error.data["index"]) == (4, 1)
    assert (await app.call("reference.get", microcosmID=A, touch=False))["password"] == "p"
    error = await app.refused("session.transact", ops=[{"op": "explode"}])
    assert error.code == -32602


async def test_drop(app: App) -> None:
    await app.call("reference.register", session="other", microcosmID=A)
    assert await app.call("session.drop", session="other") == {"dropped": True}
    assert await app.call("session.drop", session="other") == {"dropped": False}
    assert await app.call("session.list") == {"sessions": []}
    assert (await app.refused("session.drop")).code == -32602
    assert (await app.call("reference.restore", session="other", microcosmID=A))["microcosmID"] == A


# reference.*


async def test_register_keeps_what_is_not_given(app: App) -> None:
    first = await app.call("reference.register", microcosmID=A, view="v", password="p")
    second = await app.call("reference.register", microcosmID=A, view="", password=None)
    assert (second["view"], second["password"]) == ("v", "p")
    assert second["lastAccessed"] >= first["lastAccessed"]


async def test_get_answers_as_it_was_before(app: App) -> None:
    assert await app.call("reference.get", microcosmID=A) is False
    registered = await app.call("reference.register", microcosmID=A)
    await asyncio.sleep(0.002)
    assert await app.call("reference.get", microcosmID=A) == registered
    touched = await app.call("reference.get", microcosmID=A, touch=False)
    assert touched["lastAccessed"] > registered["lastAccessed"]
    assert touched["revision"] == registered["revision"]
    assert await app.call("reference.get", microcosmID=A, touch=False) == touched


async def test_list_in_both_orders(app: App) -> None:
    entries = [{"microcosmID": name, "lastAccessed": at} for name, at in ((A, 1), (B, 3), ("Alpha.a", 2))]
    await app.call("session.set", microcosms=entries)

    async def listed(**params: object) -> list[str]:
        answer = await app.call("reference.list", **params)
        assert answer["revision"] == 1
        return [reference["microcosmID"] for reference in answer["references"]]

    assert await listed() == ["Alpha.a", A, B]
    assert await listed(sort="recent") == [B, "Alpha.a", A]
    assert await listed(sort="recent", limit=1) == [B]
    assert await listed(limit=0) == []


async def test_removed_references_are_listed_apart(app: App) -> None:
    await app.call("reference.register", microcosmID=A, password="p")
    await app.call("reference.register", microcosmID=B)
    before = (await app.call("reference.get", microcosmID=A, touch=False))["lastAccessed"]
    assert await app.call("reference.remove", microcosmID=A) == {"removed": True}
    assert await app.call("reference.remove", microcosmID=A) == {"removed": False}
    (removed,) = (await app.call("reference.list", removed=True))["references"]
    assert (removed["microcosmID"], removed["password"]) == (A, "p")
    assert removed["removedAt"] >= before
    assert [one["microcosmID"] for one in (await app.call("reference.list"))["references"]] == [B]
    await asyncio.sleep(0.002)
    await app.call("reference.register", microcosmID=B)
    await app.call("reference.remove", microcosmID=B)

    async def listed(**params: object) -> list[str]:
        answer = await app.call("reference.list", removed=True, **params)
        return [reference["microcosmID"] for reference in answer["references"]]

    assert (await listed(), await listed(sort="recent"), await listed(limit=1)) == ([A, B], [B, A], [A])


async def test_update_changes_and_clears(app: App) -> None:
    await app.call("reference.register", microcosmID=A, view="v", password="p")
    updated = await app.call("reference.update", microcosmID=A, password=None)
    assert (updated["view"], updated["password"]) == ("v", None)
    assert (await app.refused("reference.update", microcosmID=A, view="")).code == -32602
    assert (await app.refused("reference.update", microcosmID=B, view="x")).code == 4


async def test_reference_revisions_can_be_insisted_on(app: App) -> None:
    first = await app.call("reference.register", microcosmID=A, if_revision=0)
    error = await app.refused("reference.register", microcosmID=A, if_revision=0)
    assert isinstance(error, Conflict)
    assert (error.revision, error.data["current"]) == (first["revision"], first)
    assert (await app.refused("reference.remove", microcosmID=B, if_revision=4)).code == 3
    assert await app.call("reference.remove", microcosmID=A, if_revision=first["revision"])


async def test_restore_and_forget(app: App) -> None:
    await app.call("reference.register", microcosmID=A, view="v", password="p")
    await app.call("reference.remove", microcosmID=A)
    restored = await app.call("reference.restore", microcosmID=A)
    assert (restored["view"], restored["password"]) == ("v", "p")
    assert await app.call("reference.forget", microcosmID=A) == {"forgotten": True}
    assert (await app.refused("reference.restore", microcosmID=A)).code == 4
    assert await app.call("reference.forget", microcosmID=B) == {"forgotten": False}


async def test_conflicts_and_resolve(app: App) -> None:
    await app.call("reference.register", microcosmID=A, password="p")
    assert await app.call("reference.conflicts") == {"conflicts": []}
    resolved = await app.call("reference.resolve", microcosmID=A, field="password", value="q")
    assert resolved["password"] == "q"
    assert (await app.refused("reference.resolve", microcosmID=B, field="password", value="q")).code == 4


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"microcosmID": ""},
        {"microcosmID": "a..b"},
        {"microcosmID": "x" * 256},
        {"microcosmID": 5},
        {"microcosmID": A, "password": "p" * 1025},
        {"microcosmID": A, "view": "v" * 256},
        {"microcosmID": A, "view": 1},
        {"microcosmID": A, "colour": "red"},
        {"microcosmID": A, "session": "No"},
        {"microcosmID": A, "if_revision": -1},
        {"microcosmID": A, "if_revision": 2**53},
        {"microcosmID": A, "if_revision": 1.0},
    ],
)
async def test_bad_parameters_are_named(app: App, params: dict[str, object]) -> None:
    error = await app.refused("reference.register", **params)
    assert error.code == -32602
    assert error.data["errors"]
    assert "ppppp" not in json.dumps(error.to_wire())


async def test_parameters_go_by_name(app: App) -> None:
    for params in ([A], "x", 5):
        app.raw({"jsonrpc": "2.0", "id": 1, "method": "reference.get", "params": params})
        assert (await app.reply())["error"]["code"] == -32602
    app.raw({"jsonrpc": "2.0", "id": 1, "method": "session.keys"})
    assert "result" in await app.reply()


async def test_limits_count_characters_not_bytes(app: App) -> None:
    answer = await app.call("reference.register", microcosmID=A, password="😀" * 1024, view="ä" * 255)
    assert len(answer["password"]) == 1024


async def test_no_such_method(app: App) -> None:
    app.raw({"jsonrpc": "2.0", "id": 1, "method": "reference.explode"})
    assert (await app.reply())["error"]["code"] == -32601


# active.*, identity.*, device.*, pair.*, sync.*


async def test_active(app: App) -> None:
    assert await app.call("active.get") == {"active": None}
    assert await app.call("active.set", microcosmID=A) == {"active": A, "revision": 1}
    assert await app.call("active.set", microcosmID=A) == {"active": A, "revision": 1}
    assert await app.call("active.is", microcosmID=A) == {"active": True}
    assert await app.call("active.is", microcosmID=B) == {"active": False}
    (row,) = (await app.call("active.everywhere"))["devices"]
    assert (row["device"], row["active"]) == (DEVICE, A)
    assert row["at"] > 0
    assert await app.call("active.set", microcosmID=None) == {"active": None, "revision": 2}
    assert (await app.refused("active.set", microcosmID="not valid!")).code == -32602


async def test_everywhere_names_devices_that_never_set_anything(app: App) -> None:
    (row,) = (await app.call("active.everywhere"))["devices"]
    assert row == {"device": DEVICE, "name": "here", "active": None, "at": None}


async def test_identity(app: App) -> None:
    identity = await app.call("identity.get")
    assert is_identity_id(identity["identityID"])
    assert identity["username"] is None
    assert (await app.call("identity.set", username="Ada"))["username"] == "Ada"
    assert (await app.call("identity.get"))["username"] == "Ada"
    assert (await app.call("identity.set", username=None))["username"] is None


async def test_devices(app: App, house: House) -> None:
    assert [row["id"] for row in (await app.call("device.list"))["devices"]] == [DEVICE]
    assert await app.call("device.rename", name="kitchen") == {}
    assert house.core.device_names[DEVICE] == "kitchen"
    assert (await app.refused("device.evict", device="NONSENSE")).code == -32602
    assert await app.call("device.leave") == {}
    assert house.peers.left


async def test_pairing(app: App, house: House) -> None:
    answer = await app.call("pair.invite", addresses=["127.0.0.1:1"])
    assert (answer["expires_at"], answer["addresses"]) == (600, ["127.0.0.1:1"])
    house.pairing.gate.set()
    assert (await app.call("pair.join", code="7-a-b-c"))["device"]["name"] == "7-a-b-c"
    assert (await app.refused("pair.join")).code == -32602
    assert (await app.refused("pair.join", code="a", ticket="b")).code == -32602
    assert await app.call("pair.cancel") == {}


async def test_sync(app: App, house: House) -> None:
    assert (await app.call("sync.status"))["peers"] == []
    error = await app.refused("sync.wait", devices="any", timeout_s=0.01)
    assert (error.code, error.data["synced"]) == (11, [])
    await app.call("reference.register", microcosmID=A)
    house.peers.gate.set()
    assert (await app.call("sync.wait", devices="all"))["synced"] == [{"device": "OTHER", "at": 1}]
    assert (await app.refused("sync.wait", devices="all", timeout_s=301)).code == -32602


# Ephemeral sessions


async def test_an_ephemeral_session_is_this_connections_only(app: App, house: House) -> None:
    other = await house.app()
    opened = await app.call("session.open", ephemeral=True)
    name = opened["session"]
    assert opened["revision"] == 0
    assert opened["epoch"] != (await app.call("session.get"))["epoch"]
    registered = await app.call("reference.register", session=name, microcosmID=A, view="v", password="p")
    assert (await app.call("session.get", session=name))["microcosms"] == [registered]
    assert (await other.call("session.get", session=name))["microcosms"] == []
    assert await app.call("session.list") == {"sessions": []}
    assert b"alpha" not in b"".join(file.read_bytes() for file in house.store_files())


async def test_an_ephemeral_session_does_what_a_stored_one_does(app: App) -> None:
    name = (await app.call("session.open", ephemeral=True))["session"]
    subscribed = await app.call("session.subscribe", session=name)
    await app.call("reference.register", session=name, microcosmID=A, password="p")
    told = await app.notification()
    assert (told["session"], told["from"], told["revision"]) == (name, 0, 1)
    await app.call("active.set", session=name, microcosmID=A)
    assert (await app.notification())["active"] == A
    before = await app.call("reference.get", session=name, microcosmID=A)
    after = await app.call("reference.get", session=name, microcosmID=A, touch=False)
    assert before["revision"] == after["revision"]
    assert (await app.refused("reference.update", session=name, microcosmID=B, view="x")).code == 4
    assert await app.call("reference.conflicts", session=name) == {"conflicts": []}
    since = {"epoch": subscribed["epoch"], "revision": 1}
    again = await app.call("session.subscribe", session=name, since=since)
    assert (again["fresh"], again["active"]) == (False, A)
    assert await app.call("session.drop", session=name) == {"dropped": True}
    assert (await app.call("session.get", session=name))["microcosms"] == []


async def test_a_named_ephemeral_session_hides_the_stored_one(app: App, house: House) -> None:
    other = await house.app()
    await other.call("reference.register", session="scratch", microcosmID=A)
    assert (await app.call("session.open", session="scratch", ephemeral=True))["session"] == "scratch"
    assert (await app.call("session.get", session="scratch"))["microcosms"] == []
    await app.call("reference.register", session="scratch", microcosmID=B)
    assert [
        one["microcosmID"] for one in (await other.call("reference.list", session="scratch"))["references"]
    ] == [A]


async def test_pipelined_changes_of_an_ephemeral_session_are_told_one_by_one(app: App) -> None:
    name = (await app.call("session.open", ephemeral=True))["session"]
    await app.call("session.subscribe", session=name)
    lines = [
        {
            "jsonrpc": "2.0",
            "id": n,
            "method": "reference.register",
            "params": {"session": name, "microcosmID": f"a.{n}"},
        }
        for n in range(5)
    ]
    app.writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    kinds = ["id" in await app.line() for _ in range(10)]
    assert kinds == [True, False] * 5


async def test_there_is_a_bound_on_ephemeral_sessions(app: App) -> None:
    for _ in range(64):
        await app.call("session.open", ephemeral=True)
    assert (await app.refused("session.open", ephemeral=True)).code == 5


# When the disk is full


async def test_with_a_full_disk_nothing_is_kept_and_reading_goes_on(
    app: App, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.call("reference.register", microcosmID=A, view="before")
    await app.call("session.subscribe")

    def full(record: bytes) -> int:
        raise StorageFailed(retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(house.core._store.journal, "append", full)
        for method, params in (
            ("reference.register", {"microcosmID": B}),
            ("reference.update", {"microcosmID": A, "view": "after"}),
            ("session.import", {"document": [[B, {}]]}),
            ("identity.set", {"username": "Ada"}),
            ("device.rename", {"name": "kitchen"}),
            ("session.drop", {"session": "default"}),
        ):
            error = await app.refused(method, **params)
            assert (error.code, error.data["retryable"]) == (6, True), method
        assert (await app.call("reference.get", microcosmID=A))["view"] == "before"
        assert len((await app.call("session.get"))["microcosms"]) == 1
        assert (await app.call("identity.get"))["username"] is None
    assert (await app.call("reference.update", microcosmID=A, view="after"))["view"] == "after"
    assert [told["revision"] for told in [await app.notification()]] == [2]


# export, import


async def test_an_export_comes_back_whole_and_only_once(app: App, house: House) -> None:
    await app.call("reference.register", microcosmID=A, view="v", password="p")
    await app.call("reference.register", microcosmID=B)
    await app.call("active.set", microcosmID=A)
    document = (await app.call("session.export", secrets=True))["document"]
    open_document = (await app.call("session.export"))["document"]
    assert "password" not in json.dumps(open_document["microcosms"])
    answer = await app.call("session.import", session="copy", document=document)
    assert answer == {"imported": 2, "skipped": 0, "quarantined": []}
    copy, original = await app.call("session.get", session="copy"), await app.call("session.get")
    for one in (*copy["microcosms"], *original["microcosms"]):
        del one["revision"]
    assert (copy["active"], copy["microcosms"]) == (original["active"], original["microcosms"])
    again = await app.call("session.import", session="copy", document=json.dumps(document))
    assert again == {"imported": 0, "skipped": 2, "quarantined": []}


async def test_one_bad_entry_never_costs_the_others(app: App) -> None:
    stored = {
        "json": {"active": B, "microcosms": [[A, {"lastAccessed": 5, "password": "p"}], ["not valid!", {}]]}
    }
    answer = await app.call("session.import", document=json.dumps({**stored, "meta": {}}))
    assert (answer["imported"], len(answer["quarantined"])) == (1, 1)
    assert answer["quarantined"][0]["id"] == "not valid!"
    assert (await app.call("session.get"))["active"] == B
    assert (await app.call("reference.get", microcosmID=A, touch=False))["lastAccessed"] == 5


async def test_what_is_no_document_is_refused(app: App) -> None:
    for document in ("nonsense", {"format": "other"}, 5):
        assert (await app.refused("session.import", document=document)).code == -32602


async def test_a_document_too_deep_or_out_of_range_is_refused_as_a_line(app: App) -> None:
    deep: object = []
    for _ in range(40):
        deep = [deep]
    assert (await app.refused("session.import", document={"microcosms": deep})).code == -32600
    app.raw(b'{"jsonrpc":"2.0","id":1,"method":"session.import","params":{"document":{"a":1e999}}}')
    assert (await app.reply())["error"]["code"] == -32700


def test_a_table_that_refuses_still_knows_what_there_is() -> None:
    assert refusing(Conflict).keys() == METHODS.keys()
