"""The conversation, driven by hand: a core on one side, a small daemon on the other, bytes carried between them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg import errors
from nogg.client.calls import Call
from nogg.client.core import Core, Phase
from tests.unit.nogg.client.fake import FakeDaemon, Peer


class Wire:
    """Carries bytes between a core and a daemon, and cuts the connection when told to."""

    def __init__(self, session: str | None = "default") -> None:
        self.daemon = FakeDaemon()
        self.core = Core(session, client="test")
        self.peer: Peer | None = None

    def connect(self) -> None:
        self.peer = self.daemon.connect()
        self.core.connected()
        self.carry()

    def carry(self) -> None:
        """Until nobody has anything more to say."""
        assert self.peer is not None
        while True:
            requests, replies = self.core.data_to_send(), self.peer.take()
            if not requests and not replies:
                return
            self.peer.feed(requests)
            self.core.receive(replies)

    def cut(self) -> None:
        assert self.peer is not None
        self.daemon.peers.remove(self.peer)
        self.peer = None
        self.core.lost()

    def call(self, method: str, **params: object) -> Call:
        call = self.core.call(method, params)
        if self.peer is not None:
            self.carry()
        return call

    def follows(self) -> bool:
        told = [each["microcosmID"] for each in self.daemon.state()["microcosms"]]
        return list(self.core.mirror.state().microcosms) == told


@pytest.fixture
def wire() -> Wire:
    made = Wire()
    made.connect()
    return made


@pytest.fixture
def following(wire: Wire) -> Wire:
    wire.core.subscribe()
    wire.carry()
    assert wire.core.mirrored
    return wire


def test_it_says_hello_first_and_is_ready_then(wire: Wire) -> None:
    assert wire.daemon.seen == ["hello"]
    assert wire.core.phase is Phase.READY
    assert wire.core.hello["epoch"] == "epoch1"


def test_a_call_is_answered(wire: Wire) -> None:
    assert wire.call("reference.get", microcosmID="a").outcome() is False
    with pytest.raises(errors.NotFound):
        wire.call("reference.update", microcosmID="a", view="x").outcome()


def test_calls_of_sessions_name_the_session_unless_they_do_it_themselves(wire: Wire) -> None:
    for method, params, sent in (
        ("session.get", {}, {"session": "default"}),
        ("active.get", {"session": "other"}, {"session": "other"}),
        ("identity.get", {}, {}),
    ):
        wire.core.call(method, params)
        assert json.loads(wire.core.data_to_send())["params"] == sent


def test_calls_made_before_the_daemon_is_ready_wait_for_it() -> None:
    wire = Wire()
    wire.daemon.ready = False
    early = wire.call("reference.get", microcosmID="a")
    wire.connect()
    assert (wire.core.wake_in or 0) > 0
    assert wire.daemon.seen == ["hello"]
    wire.core.wake()
    wire.carry()
    assert not early.done
    wire.daemon.ready = True
    wire.core.wake()
    wire.carry()
    assert early.outcome() is False
    assert wire.core.wake_in is None
    assert wire.daemon.seen == ["hello"] * 3 + ["reference.get"]


def test_the_mirror_follows(following: Wire) -> None:
    following.daemon.change("reference.register", microcosmID="theirs", view="v")
    following.carry()
    assert following.core.mirror.state().microcosms["theirs"].view == "v"
    assert following.core.changed


def test_own_writes_are_read_before_they_are_told(following: Wire) -> None:
    assert following.peer is not None
    following.peer.paused = True
    following.call("reference.register", microcosmID="a", view="v")
    assert following.core.mirror.state().microcosms["a"].view == "v"
    following.call("reference.update", microcosmID="a", view="w")
    assert following.core.mirror.state().microcosms["a"].view == "w"
    following.call("reference.remove", microcosmID="a")
    assert following.follows()
    following.peer.paused = False
    following.peer.tell()
    following.carry()
    assert following.follows()


def test_a_call_about_another_session_does_not_touch_the_mirror(following: Wire) -> None:
    assert following.peer is not None
    following.peer.paused = True
    following.call("reference.register", session="other", microcosmID="a")
    assert not following.core.mirror.state().microcosms


def test_after_a_cut_it_resumes_where_it_was(following: Wire) -> None:
    following.daemon.change("reference.register", microcosmID="a")
    following.carry()
    since = following.core.mirror.since
    following.cut()
    assert following.core.phase is Phase.OFFLINE
    assert following.core.changed
    assert list(following.core.mirror.state().microcosms) == ["a"]
    following.daemon.change("reference.register", microcosmID="b")
    following.daemon.change("reference.remove", microcosmID="a")

    asked: list[dict[str, Any]] = []
    peer = following.peer = following.daemon.connect()
    following.core.connected()
    while (requests := following.core.data_to_send()) or peer.out:
        asked += [json.loads(line) for line in requests.splitlines()]
        peer.feed(requests)
        following.core.receive(peer.take())
    subscribe = next(request for request in asked if request["method"] == "session.subscribe")
    assert subscribe["params"]["since"] == since
    assert following.follows()


def test_a_new_life_of_the_store_replaces_everything(following: Wire) -> None:
    following.daemon.change("reference.register", microcosmID="a")
    following.carry()
    following.cut()
    following.daemon.epoch, following.daemon.references = "epoch2", {}
    following.daemon.revision = 1
    following.connect()
    assert not following.core.mirror.state().microcosms
    assert following.core.mirror.since == {"epoch": "epoch2", "revision": 1}


def test_a_gap_makes_it_subscribe_again(following: Wire) -> None:
    assert following.peer is not None
    following.daemon.change("reference.register", microcosmID="lost")
    following.peer.take()
    following.daemon.change("reference.register", microcosmID="seen")
    following.carry()
    assert following.daemon.seen[-2:] == ["session.unsubscribe", "session.subscribe"]
    assert following.follows()
    assert len(following.peer.told) == 1


def test_a_daemon_that_cannot_go_on_can_ask_for_it(following: Wire) -> None:
    assert following.peer is not None
    name = next(iter(following.peer.told))
    following.peer.say({"jsonrpc": "2.0", "method": "subscription.resync", "params": {"subscription": name}})
    following.carry()
    assert following.daemon.seen[-1] == "session.subscribe"
    assert following.core.mirrored


def test_what_is_told_about_other_subscriptions_is_none_of_ours(following: Wire) -> None:
    assert following.peer is not None
    for method in ("session.changed", "subscription.resync"):
        following.peer.say({"jsonrpc": "2.0", "method": method, "params": {"subscription": "other"}})
    following.peer.say({"jsonrpc": "2.0", "method": "daemon.stopping", "params": {}})
    following.carry()
    assert following.daemon.seen[-1] == "session.subscribe"
    assert following.daemon.seen.count("session.subscribe") == 1


def test_the_person_is_followed(following: Wire) -> None:
    assert following.core.mirror.identity is not None
    following.daemon.change("identity.set", username="Ada")
    following.carry()
    assert following.core.mirror.identity.username == "Ada"


def test_a_cut_in_the_middle_repeats_reads_and_fails_writes(wire: Wire) -> None:
    read, write = (
        wire.core.call("session.get", {}),
        wire.core.call("reference.register", {"microcosmID": "a"}),
    )
    wire.core.data_to_send()
    wire.cut()
    with pytest.raises(errors.ConnectionLost):
        write.outcome()
    assert not read.done
    wire.connect()
    assert read.outcome()


def test_half_a_line_of_a_lost_connection_is_forgotten(wire: Wire) -> None:
    wire.core.receive(b'{"jsonrpc":"2.0","method":')
    wire.cut()
    wire.connect()
    assert wire.core.phase is Phase.READY


def test_calls_made_while_offline_are_sent_later(wire: Wire) -> None:
    wire.cut()
    call = wire.call("reference.register", microcosmID="a")
    wire.connect()
    assert isinstance(call.outcome(), dict)


def test_a_stopping_daemon_s_refusal_is_no_answer(wire: Wire) -> None:
    wire.daemon.refuse = errors.ShuttingDown()
    call = wire.call("reference.register", microcosmID="a")
    assert not call.done
    wire.cut()
    wire.daemon.refuse = None
    wire.connect()
    assert isinstance(call.outcome(), dict)


def test_a_forgotten_call_is_ignored_when_it_is_answered(wire: Wire) -> None:
    call = wire.core.call("session.get", {})
    wire.core.forget(call)
    wire.carry()
    assert not call.done


@pytest.mark.parametrize("error", [errors.UnsupportedProtocol(supported=[2]), errors.Forbidden()])
def test_what_can_never_work_is_fatal(error: errors.NoggError) -> None:
    core = Core("default", client="test")
    waiting = core.call("session.get", {})
    core.connected()
    core.receive(json.dumps({"id": 1, "error": error.to_wire()}).encode() + b"\n")
    assert isinstance(core.fatal, type(error))
    with pytest.raises(type(error)):
        waiting.outcome()
    with pytest.raises(type(error)):
        core.call("session.get", {})


def test_somebody_else_s_daemon_says_so_before_anything_else(wire: Wire) -> None:
    call = wire.core.call("session.get", {})
    error = errors.Forbidden().to_wire()
    wire.core.receive(json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode() + b"\n")
    with pytest.raises(errors.Forbidden):
        call.outcome()


def test_a_subscription_that_is_refused_is_told(wire: Wire) -> None:
    wire.daemon.refuse = errors.LimitExceeded(limit="subscriptions", max=64)
    wire.core.subscribe()
    wire.carry()
    assert isinstance(wire.core.trouble, errors.LimitExceeded)
    assert not wire.core.mirrored
    wire.daemon.refuse = None
    wire.core.subscribe()
    wire.carry()
    assert wire.core.mirrored


def test_an_ephemeral_session_is_opened_and_ends_with_its_connection() -> None:
    wire = Wire(session=None)
    wire.connect()
    assert wire.core.session == "private-1"
    call = wire.core.call("session.get", {})
    assert json.loads(wire.core.data_to_send())["params"] == {"session": "private-1"}
    wire.cut()
    with pytest.raises(errors.ConnectionLost):
        call.outcome()
    with pytest.raises(errors.ConnectionLost):
        wire.core.call("session.get", {})


def test_one_byte_at_a_time(following: Wire) -> None:
    assert following.peer is not None
    following.daemon.change("reference.register", microcosmID="a", view="päss ☃")
    for byte in following.peer.take():
        following.core.receive(bytes([byte]))
    assert following.core.mirror.state().microcosms["a"].view == "päss ☃"


MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0"),
        "id": st.none() | st.integers(0, 5) | st.text(max_size=2) | st.booleans(),
        "method": st.sampled_from(["session.changed", "identity.changed", "subscription.resync", "x"])
        | st.integers(),
        "params": st.none()
        | st.dictionaries(st.sampled_from(["subscription", "from", "set"]), st.integers(0, 3)),
        "result": st.none()
        | st.booleans()
        | st.dictionaries(st.sampled_from(["ready", "session"]), st.booleans()),
        "error": st.none()
        | st.dictionaries(st.sampled_from(["code", "message"]), st.integers(-1, 11) | st.text()),
    },
)


@given(st.lists(MESSAGES | st.integers() | st.binary(max_size=20), max_size=6))
def test_whatever_a_daemon_says_is_understood_or_a_protocol_error(messages: list[Any]) -> None:
    core = Core("default", client="test")
    core.subscribe()
    core.call("session.get", {})
    core.connected()
    try:
        for message in messages:
            core.receive((message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n")
    except errors.ProtocolError:
        pass
    core.lost()
    assert core.phase is Phase.OFFLINE


steps = st.lists(
    st.sampled_from(["theirs", "ours", "remove", "cut", "pause", "resume", "touch", "reset", "back"]),
    max_size=30,
)


@given(steps, st.randoms(use_true_random=False))
def test_through_any_history_it_ends_as_the_daemon(history: list[str], random: Any) -> None:
    wire = Wire()
    wire.core.subscribe()
    wire.connect()
    for step in history:
        microcosm_id = random.choice(["a", "b", "C"])
        if step == "theirs":
            wire.daemon.change("reference.register", microcosmID=microcosm_id, view=str(wire.daemon.revision))
        elif step == "touch" and wire.daemon.references:
            wire.daemon.touch(random.choice(sorted(wire.daemon.references)))
        elif step == "ours":
            wire.call("reference.register", microcosmID=microcosm_id, view=str(wire.daemon.revision))
            assert wire.peer is None or microcosm_id in wire.core.mirror.state().microcosms
        elif step == "remove":
            wire.call("reference.remove", microcosmID=microcosm_id)
            assert wire.peer is None or microcosm_id not in wire.core.mirror.state().microcosms
        elif step == "reset":
            wire.daemon.change("session.reset")
        elif step == "cut" and wire.peer is not None:
            wire.cut()
        elif step == "back" and wire.peer is None:
            wire.connect()
        elif step in ("pause", "resume") and wire.peer is not None:
            wire.peer.paused = step == "pause"
            wire.peer.tell()
    if wire.peer is None:
        wire.connect()
    assert wire.peer is not None
    wire.peer.paused = False
    wire.peer.tell()
    wire.carry()
    state = wire.core.mirror.state()
    found = [(each.microcosm_id, each.view, each.last_accessed) for each in state.microcosms.values()]
    told = wire.daemon.state()["microcosms"]
    assert found == [(each["microcosmID"], each["view"], each["lastAccessed"]) for each in told]
