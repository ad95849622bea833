"""Every method against a real daemon: what it answers fits its declaration, and is there after a restart."""

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nogg.blocking import Connection
from nogg.errors import Conflict, NoggError, ShuttingDown
from nogg.methods import METHODS, NOTIFICATIONS
from tests.daemons import Daemon, Daemons, running, until
from tests.lines import Line, request

A, B = "alpha.aaaaaaaaaaaaaaaa", "beta.bbbbbbbbbbbbbbbb"
UNKNOWN = "AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA"


class App:
    """A connection that checks what it is answered and remembers which methods it called."""

    called: ClassVar[set[str]] = set()

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __call__(self, method: str, /, **params: object) -> Any:
        self.called.add(method)
        result = self.connection.call(method, **params)
        METHODS[method].check_result(result)
        return result

    def refused(self, method: str, /, **params: object) -> int:
        self.called.add(method)
        with pytest.raises(NoggError) as error:
            self.connection.call(method, **params)
        return error.value.code

    def told(self) -> dict[str, Any]:
        notification = next(self.connection.notifications(20))
        NOTIFICATIONS[notification.method].check(notification.params)
        return {"method": notification.method, **notification.params}


@pytest.fixture(scope="module")
def shared() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="nogg-") as folder, running(Path(folder)) as daemons:
        yield daemons.start()


@pytest.fixture
def app(shared: Daemon, request: pytest.FixtureRequest) -> Iterator[App]:
    with Connection(shared.socket) as connection:
        yield App(connection)


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A session of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:64].strip("-")


def test_the_daemon_speaks_of_itself(app: App, shared: Daemon) -> None:
    hello = app("hello", protocol=1, client={"name": "test"})
    status = app("daemon.status")
    assert hello["ready"] is status["ready"] is True
    assert hello["device"] == status["device"]
    assert hello["epoch"] == status["epoch"]
    assert status["pid"] == shared.pid
    assert status["counts"]["connections"] >= 1
    assert status["sizes"]["store"] > 0
    assert status["health"] == {"ok": True, "problems": []}
    checks = {check["name"]: check for check in app("daemon.doctor")["checks"]}
    assert checks["state folder"]["ok"]
    assert checks["socket"]["ok"]
    text = app("daemon.metrics")["text"]
    assert "# TYPE nogg_resident_bytes gauge\n" in text
    assert {method["name"] for method in app("rpc.discover")["methods"]} == METHODS.keys()


def test_sessions(app: App, session: str) -> None:
    assert app("session.open", session=session)["revision"] == 0
    assert session not in {row["session"] for row in app("session.list")["sessions"]}
    app("session.set", session=session, active=A, microcosms=[{"microcosmID": A, "view": "v"}])
    assert {"session": session, "revision": 1, "references": 1} in app("session.list")["sessions"]
    state = app("session.get", session=session)
    assert (state["active"], [one["view"] for one in state["microcosms"]]) == (A, ["v"])
    assert app("session.keys", session=session) == {"keys": ["active", "microcosms"]}
    assert app("session.reset", session=session) == {"revision": 2}
    assert app("session.get", session=session)["microcosms"] == []
    assert app("session.drop", session=session) == {"dropped": True}
    assert app("session.drop", session=session) == {"dropped": False}


def test_a_transaction_is_one_event(app: App, session: str) -> None:
    app("session.subscribe", session=session)
    ops = [
        {"op": "register", "microcosmID": A},
        {"op": "register", "microcosmID": B},
        {"op": "set_active", "microcosmID": B},
    ]
    assert app("session.transact", session=session, ops=ops)["revision"] == 1
    told = app.told()
    assert (told["from"], told["revision"], told["active"]) == (0, 1, B)
    assert set(told["set"]) == {A, B}
    failing = [{"op": "remove", "microcosmID": A}, {"op": "update", "microcosmID": "no.such", "view": "x"}]
    assert app.refused("session.transact", session=session, ops=failing) == 4
    assert app("reference.get", session=session, microcosmID=A)


def test_references(app: App, session: str) -> None:
    registered = app("reference.register", session=session, microcosmID=A, view="v", password="p")
    assert app("reference.get", session=session, microcosmID=A) == registered
    assert app("reference.get", session=session, microcosmID=B) is False
    assert app("reference.update", session=session, microcosmID=A, view=None)["view"] is None
    assert app("reference.list", session=session, sort="recent", limit=5)["references"][0]["password"] == "p"
    with pytest.raises(Conflict):
        app.connection.call("reference.remove", session=session, microcosmID=A, if_revision=0)
    assert app("reference.remove", session=session, microcosmID=A) == {"removed": True}
    (removed,) = app("reference.list", session=session, removed=True)["references"]
    assert removed["removedAt"] >= registered["lastAccessed"]
    assert app("reference.restore", session=session, microcosmID=A)["password"] == "p"
    assert app("reference.conflicts", session=session) == {"conflicts": []}
    resolved = app("reference.resolve", session=session, microcosmID=A, field="password", value="q")
    assert resolved["password"] == "q"
    assert app("reference.forget", session=session, microcosmID=A) == {"forgotten": True}
    assert app.refused("reference.restore", session=session, microcosmID=A) == 4


def test_active(app: App, session: str) -> None:
    assert app("active.set", session=session, microcosmID=A) == {"active": A, "revision": 1}
    assert app("active.get", session=session) == {"active": A}
    assert app("active.is", session=session, microcosmID=A) == {"active": True}
    rows = app("active.everywhere", session=session)["devices"]
    assert [(row["device"], row["active"]) for row in rows] == [(app("hello")["device"]["id"], A)]


def test_the_person_and_the_device(app: App, shared: Daemon) -> None:
    app("session.subscribe", keys=["identity", "devices"])
    before = app("identity.get")
    named = app("identity.set", username="Ada")
    assert named == {**before, "username": "Ada"}
    told = app.told()
    assert (told["method"], told["identity"]) == ("identity.changed", named)
    app("device.rename", name="kitchen")
    told = app.told()
    assert (told["method"], told["devices"][0]["name"]) == ("device.changed", "kitchen")
    assert [(row["name"], row["self"]) for row in app("device.list")["devices"]] == [("kitchen", True)]
    assert app("hello")["device"]["name"] == "kitchen"


def test_what_needs_another_device(app: App) -> None:
    assert app("sync.status")["peers"] == []
    assert app("sync.status")["listen"].startswith("127.0.0.1:")
    assert app("sync.wait", devices="all") == {"synced": []}
    assert app.refused("sync.wait", devices="any", timeout_s=0.05) == 11
    assert app.refused("device.evict", device="not an id") == -32602
    assert app.refused("pair.join", code="7-abandon-abandon-abandon", address="127.0.0.1:1") == 8
    assert app("pair.cancel") == {}


def test_export_and_import(app: App, session: str) -> None:
    app(
        "session.set",
        session=session,
        active=A,
        microcosms=[{"microcosmID": A, "password": "p", "lastAccessed": 5}],
    )
    document = app("session.export", session=session, secrets=True)["document"]
    assert "password" not in json.dumps(app("session.export", session=session)["document"]["microcosms"])
    copy = f"{session}-copy"
    assert app("session.import", session=copy, document=document)["imported"] == 1
    assert app("session.import", session=copy, document=json.dumps(document))["skipped"] == 1
    (reference,) = app("session.get", session=copy)["microcosms"]
    assert (reference["password"], reference["lastAccessed"]) == ("p", 5)


def test_lists_are_in_the_recorded_order_of_the_seed(app: App, session: str) -> None:
    recorded = json.loads((Path(__file__).parents[1] / "vectors" / "order.json").read_text())
    shuffled = random.Random(1).sample(recorded, len(recorded))
    app("session.set", session=session, microcosms=[{"microcosmID": name} for name in shuffled])
    listed = app("reference.list", session=session)["references"]
    assert [one["microcosmID"] for one in listed] == recorded
    assert app("session.get", session=session)["microcosms"] == listed
    assert list(app("session.subscribe", session=session)["set"]) == recorded


def test_subscriptions(app: App, shared: Daemon, session: str) -> None:
    first = app("session.subscribe", session=session)
    shared.call("reference.register", session=session, microcosmID=A)
    assert app.told()["revision"] == 1
    app("session.unsubscribe", subscription=first["subscription"])
    shared.call("reference.register", session=session, microcosmID=B)
    again = app("session.subscribe", session=session, since={"epoch": first["epoch"], "revision": 1})
    assert (again["fresh"], list(again["set"])) == (False, [B])


def test_ephemeral_sessions_leave_no_trace(app: App, shared: Daemon) -> None:
    name = app("session.open", ephemeral=True)["session"]
    app("reference.register", session=name, microcosmID="left.no.trace", password="left-no-trace")
    assert app("session.get", session=name)["microcosms"]
    assert shared.call("session.get", session=name)["microcosms"] == []
    found = b"".join(file.read_bytes() for file in shared.state.rglob("*") if file.is_file())
    assert b"left.no.trace" not in found
    assert b"left-no-trace" not in found


def test_revisions_and_differences_survive_a_restart(daemons: Daemons) -> None:
    """A restart is no new life of the store: `since` is answered exactly, from before it and across it."""
    daemon = daemons.start()
    for name in ("a.a", "a.b", "a.c"):
        daemon.call("reference.register", microcosmID=name)
    before = daemon.call("session.get")
    daemon.call("reference.update", microcosmID="a.b", view="x")
    daemon.call("reference.remove", microcosmID="a.c")
    daemon.restart()
    daemon.call("active.set", microcosmID="a.a")
    since = {"epoch": before["epoch"], "revision": before["revision"]}
    answer = daemon.call("session.subscribe", since=since)
    assert (answer["fresh"], list(answer["set"]), answer["removed"]) == (False, ["a.b"], ["a.c"])
    assert answer["active"] == "a.a"
    assert answer["revision"] == before["revision"] + 3
    assert daemon.call("reference.get", microcosmID="a.a", touch=False)["revision"] == 1


def test_a_touch_is_on_disk_within_a_second_even_after_a_kill(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.call("session.set", microcosms=[{"microcosmID": A, "lastAccessed": 5}])
    with daemon.connect() as connection:
        connection.call("session.subscribe")
        connection.call("reference.get", microcosmID=A)
        touched = next(connection.notifications(5)).params["set"][A][
            "lastAccessed"
        ]  # told once it is on disk
    daemon.kill()
    daemon.start()
    assert daemon.call("reference.get", microcosmID=A, touch=False)["lastAccessed"] == touched > 5


def test_stopping_by_a_call(daemons: Daemons) -> None:
    daemon = daemons.start()
    watcher = App(daemon.connect())
    watcher("session.subscribe")
    App(daemon.connect())("daemon.shutdown")
    assert daemon.wait() == 0
    assert watcher.told()["method"] == "daemon.stopping"


def test_waiting_calls_are_told_that_it_stops(daemons: Daemons) -> None:
    daemon = daemons.start()
    line = Line(daemon.socket)
    line.send(request(1, "sync.wait", devices="any", timeout_s=300), request(2, "session.keys"))
    until(lambda: daemon.call("daemon.status")["counts"]["connections"] == 2)
    assert daemon.process is not None
    daemon.process.terminate()
    assert line.read()["error"]["code"] == ShuttingDown.code
    assert "result" in line.read()
    assert line.ended()
    line.close()
    assert daemon.wait() == 0


def test_every_method_was_called() -> None:
    """The last of this module: what is missing here is named."""
    elsewhere = {"device.leave", "pair.invite"}  # with two devices: test_two_devices.py, test_cli_devices.py
    assert METHODS.keys() - App.called <= elsewhere
