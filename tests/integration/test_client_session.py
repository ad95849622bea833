"""The blocking session against a real daemon: two apps, restarts in the middle, resuming where it was."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nogg
from nogg import errors
from nogg.blocking import Connection
from nogg.client.state import SessionState
from nogg.methods import METHODS, NOTIFICATIONS
from tests.daemons import PATIENCE, Daemon, until

GARDEN, STUDIO = "garden.k3v9x2m7q4w8z1pd", "Studio.h5t8r2y6n1c4b7fs"


@pytest.fixture
def one(daemon: Daemon) -> Iterator[nogg.Session]:
    with nogg.Session(socket=daemon.socket, client="one") as session:
        yield session


@pytest.fixture
def two(daemon: Daemon) -> Iterator[nogg.Session]:
    with nogg.Session(socket=daemon.socket, client="two") as session:
        yield session


class Heard:
    """A listener that a test can wait for."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def __call__(self, value: Any) -> None:
        self._queue.put(value)

    def until(self, condition: Callable[[Any], bool]) -> Any:
        while not condition(value := self._queue.get(timeout=PATIENCE)):
            pass
        return value

    def all(self) -> list[Any]:
        return [self._queue.get() for _ in range(self._queue.qsize())]


def ids(state: SessionState) -> list[str]:
    return list(state.microcosms)


def test_a_session_as_in_the_seed(one: nogg.Session) -> None:
    assert one.get() == SessionState(None, {})
    made = one.register_reference(STUDIO, view="spatial", password="secret")
    one.register_reference(GARDEN)
    assert ids(one.get()) == [GARDEN, STUDIO], "the seed's order: capitals only break ties"
    kept = one.register_reference(STUDIO, view="", password=None)
    assert (kept.view, kept.password) == ("spatial", "secret")
    before = one.get_reference(STUDIO)
    assert before
    assert before.last_accessed == kept.last_accessed >= made.last_accessed
    assert one.get_reference("nobody.0000000000000000") is False
    one.set_active(STUDIO)
    assert one.is_active(STUDIO)
    assert one.remove_reference(STUDIO)
    assert one.key("active").get() == STUDIO
    one.key("active").set(None)
    assert one.get().active is None
    assert one.update_reference(GARDEN, view="list").view == "list"
    assert one.get().microcosms[GARDEN].view == "list"
    one.reset()
    assert one.get() == SessionState(None, {})


def test_two_apps_see_each_other(one: nogg.Session, two: nogg.Session) -> None:
    heard = Heard()
    two.on(heard)
    one.register_reference(GARDEN, view="v")
    assert heard.until(lambda state: GARDEN in state.microcosms).microcosms[GARDEN].view == "v"
    two.set_active(GARDEN)
    assert two.is_active(GARDEN)
    told = Heard()
    one.key("active").on(told)
    two.key("active").set(STUDIO)
    assert told.until(lambda active: active == STUDIO)
    one.user.set({"username": "Ada"})
    assert two.user.get().identity_id == one.user.get().identity_id


def test_sessions_by_other_names_are_apart(daemon: Daemon, one: nogg.Session) -> None:
    with (
        nogg.Session("work", socket=daemon.socket) as work,
        nogg.Session(None, socket=daemon.socket) as private,
    ):
        work.register_reference(GARDEN)
        private.register_reference(STUDIO)
        assert ids(one.get()) == []
        assert ids(work.get()) == [GARDEN]
        assert ids(private.get()) == [STUDIO]
    with nogg.Session(None, socket=daemon.socket) as another:
        assert ids(another.get()) == []


def add_ten(session: nogg.Session, name: str) -> None:
    """Add ten references, each by replacing the whole list."""
    for number in range(10):
        added = {"microcosmID": f"{name}.{number}"}
        while True:
            try:
                session.set(lambda state: {"microcosms": [*state.microcosms.values(), added]})  # noqa: B023
            except errors.Conflict:
                continue
            break


def test_set_with_a_function_loses_nobody_s_change(one: nogg.Session, two: nogg.Session) -> None:
    workers = [
        threading.Thread(target=add_ten, args=(each, name)) for each, name in ((one, "one"), (two, "two"))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    everything = sorted(f"{name}.{number}" for name in ("one", "two") for number in range(10))
    for session in (one, two):  # the other's last change may still be on its way
        until(lambda: sorted(ids(session.get())) == everything)  # noqa: B023 (called at once)


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_restart_in_the_middle(daemon: Daemon, one: nogg.Session, two: nogg.Session, ending: str) -> None:
    heard, connected = Heard(), Heard()
    one.on(heard)
    one.connected.on(connected)
    one.register_reference(GARDEN)
    getattr(daemon, ending)()
    assert connected.until(lambda value: value is False) is False
    assert ids(one.get()) == [GARDEN], "what is known can be read while the daemon is away"
    daemon.start()
    two.register_reference(STUDIO)
    assert ids(heard.until(lambda state: STUDIO in state.microcosms)) == [GARDEN, STUDIO]
    assert one.register_reference("third.0000000000000000")
    assert len(one.get().microcosms) == 3


def test_it_resumes_with_what_it_missed_only(daemon: Daemon, one: nogg.Session, two: nogg.Session) -> None:
    one.register_reference(GARDEN)
    assert ids(one.get()) == [GARDEN]
    known = one.get().microcosms[GARDEN]
    daemon.stop()
    daemon.start()
    two.register_reference(STUDIO)
    two.remove_reference(GARDEN)
    two.register_reference(GARDEN, view="new")
    assert ids(one.get()) == [GARDEN, STUDIO]
    assert one.get().microcosms[GARDEN].view == "new"
    assert one.get().microcosms[GARDEN].revision > known.revision


def test_every_answered_change_survives_a_kill(daemon: Daemon) -> None:
    answered: list[str] = []
    unsure: list[str] = []
    killed = threading.Event()

    def write() -> None:
        with nogg.Session(socket=daemon.socket) as session:
            for number in range(10_000):
                if killed.is_set():
                    return
                try:
                    session.register_reference(f"id.{number}")
                    answered.append(f"id.{number}")
                except errors.ConnectionLost:
                    unsure.append(f"id.{number}")

    writer = threading.Thread(target=write)
    writer.start()
    while len(answered) < 50:
        assert writer.is_alive()
    daemon.kill()
    daemon.start()
    mark = len(answered)
    while len(answered) < mark + 10:
        assert writer.is_alive(), "the writer goes on with the new daemon"
    killed.set()
    writer.join(PATIENCE)
    with nogg.Session(socket=daemon.socket) as session:
        kept = set(session.get().microcosms)
    assert set(answered) <= kept
    assert kept - set(answered) <= set(unsure)
    assert len(unsure) <= 1


def test_a_call_waits_for_a_daemon_that_is_away(daemon: Daemon, one: nogg.Session) -> None:
    daemon.stop()
    again = threading.Thread(target=daemon.start)
    again.start()
    assert one.register_reference(GARDEN).microcosm_id == GARDEN
    again.join(PATIENCE)


def test_a_daemon_that_stays_away_is_told(daemon: Daemon, one: nogg.Session) -> None:
    daemon.stop()
    with pytest.raises(errors.NotRunning):
        one.register_reference(GARDEN, timeout=0.3)


def test_sync_wait_may_take_its_own_time(one: nogg.Session) -> None:
    with pytest.raises(errors.Timeout) as caught:
        one.call("sync.wait", devices="any", timeout_s=0.1, timeout=5)
    assert caught.value.data["synced"] == []


def test_what_the_daemon_says_is_what_is_declared(daemon: Daemon, one: nogg.Session) -> None:
    """Results and notifications of a real daemon, against the declarations that the document is made from."""
    one.register_reference(GARDEN, password="p")
    asked: list[tuple[str, dict[str, Any]]] = [
        ("hello", {}),
        ("session.open", {}),
        ("session.list", {}),
        ("session.get", {}),
        ("session.keys", {}),
        ("session.subscribe", {"keys": ["active", "microcosms", "identity", "devices"]}),
        ("session.set", {"active": GARDEN}),
        (
            "session.transact",
            {"ops": [{"op": "register", "microcosmID": STUDIO}, {"op": "touch", "microcosmID": GARDEN}]},
        ),
        ("session.export", {}),
        ("session.import", {"document": "[]"}),
        ("reference.get", {"microcosmID": GARDEN}),
        ("reference.get", {"microcosmID": "nobody"}),
        ("reference.list", {"sort": "recent"}),
        ("reference.remove", {"microcosmID": STUDIO}),
        ("reference.list", {"removed": True}),
        ("reference.restore", {"microcosmID": STUDIO}),
        ("reference.forget", {"microcosmID": STUDIO}),
        ("reference.conflicts", {}),
        ("active.get", {}),
        ("active.set", {"microcosmID": None}),
        ("active.is", {"microcosmID": GARDEN}),
        ("active.everywhere", {}),
        ("identity.get", {}),
        ("identity.set", {"username": "Ada"}),
        ("device.list", {}),
        ("device.rename", {"name": "laptop"}),
        ("pair.invite", {}),
        ("pair.cancel", {}),
        ("sync.status", {}),
        ("daemon.status", {}),
        ("daemon.doctor", {}),
        ("daemon.metrics", {}),
        ("session.reset", {}),
        ("session.drop", {"session": "default"}),
        ("rpc.discover", {}),
    ]
    with Connection(daemon.socket) as connection:
        for method, params in asked:
            result = connection.call(method, **params)
            METHODS[method].check_result(result)
        told = [connection._notifications.popleft() for _ in range(len(connection._notifications))]
    assert {"session.changed", "identity.changed", "device.changed", "pair.changed"} <= {
        each.method for each in told
    }
    for notification in told:
        NOTIFICATIONS[notification.method].check(notification.params)


def test_the_daemon_describes_itself_as_committed(one: nogg.Session) -> None:
    committed = Path(__file__).parents[2] / "docs" / "openrpc.json"
    assert one.call("rpc.discover") == json.loads(committed.read_text("utf-8"))
