"""The blocking session, against the small daemon behind a real socket."""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nogg
from nogg import errors
from nogg.client.state import Reference, SessionState
from tests.unit.nogg.client.served import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "d.sock")
    yield made
    made.stop()


@pytest.fixture
def session(served: Served) -> Iterator[nogg.Session]:
    with nogg.Session(socket=served.path, client="test") as made:
        yield made


class Heard:
    """A listener that a test can wait for."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()

    def __call__(self, value: Any) -> None:
        self.queue.put(value)

    def next(self) -> Any:
        return self.queue.get(timeout=10)

    def until(self, condition: Callable[[Any], bool]) -> Any:
        while not condition(value := self.next()):
            pass
        return value

    def nothing(self) -> bool:
        return self.queue.empty()


def threads() -> int:
    return sum(thread.name == "nogg listeners" for thread in threading.enumerate())


def test_it_reads_like_the_seed(session: nogg.Session) -> None:
    assert session.keys == ["active", "microcosms"]
    assert session.ready.get() is True
    assert session.name == "default"
    assert session.get() == SessionState(None, {})
    made = session.register_reference("b.x", view="spatial", password="p")
    assert (made.microcosm_id, made.view, made.password) == ("b.x", "spatial", "p")
    session.register_reference("A.x")
    assert [each.microcosm_id for each in session.microcosms.get()] == ["A.x", "b.x"]
    assert session.get_reference("nobody") is False
    before = session.get_reference("b.x")
    assert isinstance(before, Reference)
    assert before.last_accessed == made.last_accessed, "as it was before this access"
    session.set_active("b.x")
    assert session.is_active("b.x")
    assert session.key("active").get() == "b.x"
    assert session.update_reference("b.x", view=None).view is None
    assert session.remove_reference("b.x") is True
    assert session.remove_reference("b.x") is False
    assert session.is_active("b.x"), "removing leaves active alone"
    session.reset()
    assert session.get() == SessionState(None, {})


def test_nothing_is_followed_before_it_is_read(served: Served, session: nogg.Session) -> None:
    session.register_reference("a")
    assert "session.subscribe" not in served.daemon.seen
    session.get()
    session.get()
    assert served.daemon.seen.count("session.subscribe") == 1
    assert threads() == 0


def test_reading_sees_what_others_changed_without_a_round_trip(served: Served, session: nogg.Session) -> None:
    session.get()
    asked = len(served.daemon.seen)
    served.change("reference.register", microcosmID="theirs")
    assert "theirs" in session.get().microcosms
    assert session.key("microcosms").get() == session.get().microcosms
    assert len(served.daemon.seen) == asked


def test_set_replaces_what_is_given_and_waits_until_it_can_be_read(session: nogg.Session) -> None:
    session.get()
    session.set({"active": "x", "microcosms": [Reference("a", 1, view="v"), {"microcosmID": "b"}]})
    assert session.get().active == "x"
    assert session.get().microcosms["a"].view == "v"
    session.set({"microcosms": {"c": {"view": "w"}}})
    assert list(session.get().microcosms) == ["c"]
    assert session.get().active == "x"
    session.key("active").set(None)
    session.key("microcosms").set([])
    assert session.get() == SessionState(None, {})
    with pytest.raises(errors.InvalidParams):
        session.set({"other": 1})


def test_set_with_a_function_works_on_the_state(session: nogg.Session) -> None:
    session.set(lambda state: {"microcosms": [*state.microcosms.values(), {"microcosmID": "a"}]})
    session.signal.set(lambda state: {"microcosms": [*state.microcosms.values(), {"microcosmID": "b"}]})
    session.key("microcosms").set(lambda known: [*known.values(), {"microcosmID": "c"}])
    assert list(session.get().microcosms) == ["a", "b", "c"]
    session.key("active").set(lambda active: "a" if active is None else None)
    assert session.get().active == "a"


def test_set_with_a_function_tries_again_when_somebody_else_was_faster(
    served: Served, session: nogg.Session
) -> None:
    calls = []

    def add(state: SessionState) -> dict[str, object]:
        calls.append(len(state.microcosms))
        if len(calls) < 3:
            served.change("reference.register", microcosmID=f"theirs{len(calls)}")
        return {"microcosms": [*state.microcosms.values(), {"microcosmID": "mine"}]}

    session.set(add)
    assert calls == [0, 1, 2]
    assert list(session.get().microcosms) == ["mine", "theirs1", "theirs2"]


def test_and_gives_up_after_five_times(served: Served, session: nogg.Session) -> None:
    calls = []

    def late(state: SessionState) -> dict[str, object]:
        calls.append(state)
        served.change("reference.register", microcosmID=f"theirs{len(calls)}")
        return {"microcosms": []}

    with pytest.raises(errors.Conflict):
        session.set(late)
    assert len(calls) == 5


def test_errors_of_the_daemon_are_raised(session: nogg.Session) -> None:
    with pytest.raises(errors.NotFound):
        session.update_reference("nobody", view="x")
    session.register_reference("a")
    with pytest.raises(errors.Conflict):
        session.register_reference("a", view="x", if_revision=0)
    with pytest.raises(errors.MethodNotFound):
        session.call("no.such")


def test_listeners_are_told_of_own_and_of_others_changes(served: Served, session: nogg.Session) -> None:
    states, active, listed = Heard(), Heard(), Heard()
    session.on(states)
    session.key("active").on(active)
    session.microcosms.on(listed)
    assert threads() == 1
    session.register_reference("mine")
    assert list(states.next().microcosms) == ["mine"]
    assert listed.next()[0].microcosm_id == "mine"
    served.change("active.set", microcosmID="mine")
    assert active.next() == "mine"
    assert states.next().active == "mine"
    assert listed.nothing()


def test_a_listener_may_read_and_change_the_session(served: Served, session: nogg.Session) -> None:
    heard = Heard()

    def copy(state: SessionState) -> None:
        if "copy" not in state.microcosms:
            session.register_reference("copy")
            assert "copy" in session.get().microcosms
            session.set_active("copy")
        heard(session.get().active)

    session.on(copy)
    served.change("reference.register", microcosmID="theirs")
    heard.until(lambda active: active == "copy")


def test_a_listener_may_dispose_of_the_session(served: Served) -> None:
    session = nogg.Session(socket=served.path)
    done = Heard()

    def end(_: SessionState) -> None:
        session.dispose()
        done(True)

    session.on(end)
    served.change("reference.register", microcosmID="theirs")
    assert done.next()
    with pytest.raises(errors.Disposed):
        session.get()


def test_an_ended_listener_hears_nothing_more(served: Served, session: nogg.Session) -> None:
    first, second = Heard(), Heard()
    end = session.on(first)
    session.on(second)
    end()
    served.change("reference.register", microcosmID="a")
    second.next()
    assert first.nothing()


def test_the_person_is_a_signal(session: nogg.Session) -> None:
    heard = Heard()
    session.user.on(heard)
    assert session.user.get().username is None
    session.user.set({"username": "Ada"})
    assert heard.next().username == "Ada"
    assert session.user.get().username == "Ada"


def test_after_a_restart_it_goes_on_where_it_was(served: Served, session: nogg.Session) -> None:
    heard, connected = Heard(), Heard()
    session.on(heard)
    session.connected.on(connected)
    session.register_reference("before")
    heard.next()
    served.stop()
    assert connected.next() is False
    assert "before" in session.get().microcosms, "what is known can be read"
    served.daemon.change("reference.register", microcosmID="meanwhile")
    served.start()
    assert connected.next() is True
    assert list(heard.until(lambda state: len(state.microcosms) == 2).microcosms) == ["before", "meanwhile"]
    assert session.register_reference("after")


def test_a_connection_that_stands_makes_the_next_attempt_immediate(
    served: Served, session: nogg.Session
) -> None:
    served.stop()
    with pytest.raises(errors.NotRunning):
        session.set_active(None, timeout=0.2)
    served.start()
    session.set_active(None)
    assert session._shell.link._backoff.next() == 0


def test_without_listeners_a_call_reconnects(served: Served, session: nogg.Session) -> None:
    session.get()
    served.stop()
    served.daemon.change("reference.register", microcosmID="meanwhile")
    served.start()
    assert session.get_reference("meanwhile", touch=False)
    assert "meanwhile" in session.get().microcosms


def test_without_listeners_a_read_reconnects(served: Served, session: nogg.Session) -> None:
    session.get()
    served.stop()
    served.daemon.change("reference.register", microcosmID="meanwhile")
    served.start()
    assert "meanwhile" in session.get().microcosms


def test_a_call_waits_for_the_daemon_to_come_back(served: Served, session: nogg.Session) -> None:
    served.stop()
    timer = threading.Timer(0.2, served.start)
    timer.start()
    assert session.register_reference("a")
    timer.join()


def test_but_not_for_ever(served: Served, session: nogg.Session) -> None:
    served.stop()
    with pytest.raises(errors.NotRunning):
        session.register_reference("a", timeout=0.1)
    served.start()
    assert not session.get().microcosms, "a call that was given up is not made later"


def test_a_deaf_daemon_is_a_timeout(served: Served, session: nogg.Session) -> None:
    served.deaf = True
    with pytest.raises(errors.Timeout):
        session.get_reference("a", timeout=0.1)
    with pytest.raises(errors.Timeout):
        session.call("active.get", timeout=0.1)


def test_without_reconnecting_the_end_is_the_end(served: Served) -> None:
    with nogg.Session(socket=served.path, reconnect=False) as session:
        session.get()
        served.cut()
        with pytest.raises(errors.ConnectionLost):
            session.call("session.get")


def test_garbage_ends_the_connection_and_the_next_one_is_taken(served: Served, session: nogg.Session) -> None:
    session.get()
    served.say(b"garbage\n")
    assert session.register_reference("a")
    assert "a" in session.get().microcosms


def test_an_ephemeral_session_has_a_name_of_its_own_and_ends_with_its_connection(served: Served) -> None:
    with nogg.Session(None, socket=served.path) as session:
        assert session.name == "private-1"
        assert session.get() == SessionState(None, {})
        served.cut()
        with pytest.raises(errors.ConnectionLost):
            session.call("session.get")


def test_disposing(served: Served) -> None:
    called: list[str] = []
    heard = Heard()
    session = nogg.Session(socket=served.path)
    session.on(heard)
    session.use(lambda: called.append("first"), lambda: called.append("second"))
    session.dispose()
    session.dispose()
    assert called == ["second", "first"]
    assert threads() == 0
    served.change("reference.register", microcosmID="a")
    assert heard.nothing()
    for use in (session.get, lambda: session.set_active("a"), lambda: session.on(heard)):
        with pytest.raises(errors.Disposed):
            use()


def test_a_call_that_waits_is_ended_by_disposing(served: Served) -> None:
    session = nogg.Session(socket=served.path)
    served.deaf = True
    caught = Heard()

    def wait() -> None:
        try:
            session.call("session.get", timeout=30)
        except errors.Disposed as error:
            caught(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while "session.get" not in served.daemon.seen:
        pass
    session.dispose()
    assert isinstance(caught.next(), errors.Disposed)
    thread.join(10)


@pytest.mark.parametrize("listening", [False, True])
def test_many_threads_share_a_session(served: Served, session: nogg.Session, listening: bool) -> None:
    if listening:
        session.on(lambda _: None)
    faults: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(30):
                assert session.register_reference(f"{name}.{number}").microcosm_id == f"{name}.{number}"
                assert f"{name}.{number}" in session.get().microcosms
        except BaseException as error:
            faults.append(error)

    workers = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert not faults
    assert len(session.get().microcosms) == 120


def test_a_large_request_and_large_replies_pass_each_other(served: Served, session: nogg.Session) -> None:
    """Neither side may wait for the other to read: both buffers are far smaller than what is under way."""
    session.get()
    view = "v" * 200
    many = [{"microcosmID": f"id.{number}", "view": view} for number in range(8000)]
    session.set({"microcosms": many}, timeout=60)
    assert len(session.get().microcosms) == 8000
    session.set(lambda state: {"microcosms": list(state.microcosms.values())[:10]}, timeout=60)
    assert len(session.get().microcosms) == 10


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(errors.NotRunning):
        nogg.Session(socket=tmp_path / "none.sock")


def test_a_daemon_that_is_still_loading_is_waited_for(served: Served) -> None:
    served.daemon.ready = False
    timer = threading.Timer(0.15, lambda: setattr(served.daemon, "ready", True))
    timer.start()
    with nogg.Session(socket=served.path) as session:
        assert session.get() == SessionState(None, {})
    timer.join()


def test_but_not_for_ever_either(served: Served) -> None:
    served.daemon.ready = False
    with pytest.raises(errors.Timeout):
        nogg.Session(socket=served.path, timeout=0.2)


def test_sessions_have_ids(served: Served, session: nogg.Session) -> None:
    with nogg.Session(socket=served.path) as other:
        assert other.id != session.id
