"""Two devices of one person: paired, in step, cut apart and joined again, killed, and closed to strangers."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nogg.blocking import Connection
from nogg.errors import PairingFailed
from tests.daemons import Daemon, Daemons, running, until

Pair = tuple[Daemon, Daemon]
SHARED, LEFT, TORN = "shared.aaaaaaaaaaaaaaaa", "left.bbbbbbbbbbbbbbbb", "torn.cccccccccccccccc"


def call(daemon: Daemon, method: str, /, **params: Any) -> Any:
    return daemon.call(method, **params)


def state(daemon: Daemon) -> list[dict[str, Any]]:
    """What is shared, without what is this device's own."""
    found = call(daemon, "session.get")["microcosms"]
    return [{key: value for key, value in each.items() if key != "revision"} for each in found]


def in_step(a: Daemon, b: Daemon) -> bool:
    return state(a) == state(b) and conflicts(a) == conflicts(b)


def conflicts(daemon: Daemon) -> list[Any]:
    found: list[Any] = call(daemon, "reference.conflicts")["conflicts"]
    return found


def join(a: Daemon, b: Daemon) -> dict[str, Any]:
    invitation = call(a, "pair.invite")
    joined: dict[str, Any] = call(
        b, "pair.join", code=invitation["code"], address=call(a, "sync.status")["listen"]
    )
    until(lambda: online(a) and online(b), "linked")
    return joined


def online(daemon: Daemon) -> bool:
    return any(peer["state"] == "online" for peer in call(daemon, "sync.status")["peers"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Daemons]:
    with running(tmp_path) as daemons:
        yield daemons


@pytest.fixture
def daemons(house: Daemons) -> Pair:
    a, b = house.together("a", "b")
    return a, b


@pytest.fixture
def pair(daemons: Pair) -> Pair:
    a, b = daemons
    call(a, "reference.register", microcosmID="before.1", password="from a")
    call(b, "reference.register", microcosmID="before.1", view="from b")
    call(b, "reference.register", microcosmID="before.2")
    joined = join(a, b)
    assert joined["device"]["id"] == call(a, "hello")["device"]["id"]
    assert joined["merged"]["references"] == 2
    return a, b


def test_what_both_had_is_merged_and_the_person_is_one(pair: Pair) -> None:
    a, b = pair
    until(lambda: in_step(a, b) and len(state(a)) == 2, "merged")
    both = state(b)[0]
    assert (both["password"], both["view"]) == ("from a", "from b")
    until(
        lambda: call(a, "identity.get")["identityID"] == call(b, "identity.get")["identityID"], "one person"
    )
    for daemon in pair:
        assert [device["state"] for device in call(daemon, "device.list")["devices"]] == ["online", "online"]


def changes(app: Connection) -> Iterator[dict[str, Any]]:
    for method, params in app.notifications():
        if method == "session.changed":
            yield params


def test_a_change_here_is_told_there(pair: Pair) -> None:
    a, b = pair
    with Connection(b.socket) as app:
        app.call("session.subscribe")
        call(a, "reference.register", microcosmID=SHARED, view="canvas")
        told = next(params for params in changes(app) if SHARED in params["set"])
    assert told["set"][SHARED]["view"] == "canvas"
    assert told["origin"]["device"] == call(a, "hello")["device"]["id"]


def test_who_was_told_of_a_change_knows_that_its_writer_has_it(pair: Pair) -> None:
    """At once: not when the writer next sums up what it has, which is every ten seconds."""
    a, b = pair
    until(lambda: in_step(a, b), "merged")
    writer = call(a, "hello")["device"]["id"]
    with Connection(b.socket) as app:
        app.call("session.subscribe")
        for number in range(2):  # no two summaries of one device are that close to each other
            call(a, "reference.register", microcosmID=f"told.{number}")
            told = next(each for each in changes(app) if f"told.{number}" in each["set"])
            began = time.monotonic()
            synced = app.call("sync.wait", revision=told["revision"], devices=[writer])["synced"]
            assert time.monotonic() - began < 3.0
            assert [row["device"] for row in synced] == [writer]


@pytest.mark.fault
def test_both_survive_kill_9_and_meet_again(pair: Pair) -> None:
    a, b = pair
    for number in range(5):
        call(a, "reference.register", microcosmID=f"a.{number}", password=f"secret {number}")
        a.kill()
        call(b, "reference.register", microcosmID=f"b.{number}")
        b.kill()
        a.start()
        b.start()
    until(lambda: in_step(a, b) and len(state(a)) == 12, "in step")


def test_devices_that_were_apart_end_equal(pair: Pair) -> None:
    a, b = pair
    call(a, "reference.register", microcosmID=LEFT)
    call(a, "reference.register", microcosmID=TORN, password="first")
    until(lambda: in_step(a, b) and len(state(b)) == 4, "in step")

    b.stop()
    call(a, "reference.register", microcosmID=SHARED, password="here")
    call(a, "reference.remove", microcosmID=LEFT)
    call(a, "reference.update", microcosmID=TORN, password="one")
    a.stop()
    b.start()
    call(b, "reference.register", microcosmID=SHARED, view="there")
    call(b, "reference.get", microcosmID=LEFT)
    call(b, "reference.update", microcosmID=TORN, password="two")
    a.start()
    joined_at = time.monotonic()
    until(lambda: in_step(a, b) and len(conflicts(a)) == 1, "in step")
    took = time.monotonic() - joined_at

    references = {each["microcosmID"]: each for each in state(a)}
    assert (references[SHARED]["password"], references[SHARED]["view"]) == ("here", "there")
    assert LEFT not in references, "a touch brings nothing back"
    assert references[TORN]["password"] == "two", "the latest wins"
    (conflict,) = conflicts(b)
    assert [value["value"] for value in conflict["values"]] == ["two", "one"], "and the other is kept"
    call(a, "reference.resolve", microcosmID=TORN, field="password", value="one")
    until(lambda: in_step(a, b) and not conflicts(b), "resolved")
    assert took < 2.0 * 3, "2 s on a machine that does nothing else"


def ask_without_certificate(context: ssl.SSLContext, raw: socket.socket) -> bytes:
    try:
        with context.wrap_socket(raw) as secure:
            secure.settimeout(10)
            secure.sendall(b"GET /sync HTTP/1.1\r\nHost: x\r\n\r\n")
            return secure.recv(4096)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_a_stranger_gets_nothing(daemons: Pair) -> None:
    a, _ = daemons
    call(a, "reference.register", microcosmID=SHARED, password="secret")
    host, port = call(a, "sync.status")["listen"].rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, int(port)), 10) as raw:
        assert ask_without_certificate(context, raw) == b""
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, b"\x16\x03\x01\xff\xff" + b"x" * 100):
        with socket.create_connection((host, int(port)), 10) as raw:
            raw.settimeout(10)
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            try:
                answer = b"".join(iter(lambda: raw.recv(4096), b""))
            except ConnectionError:
                answer = b""
            assert b"HTTP" not in answer
            assert b"secret" not in answer
    assert [each["microcosmID"] for each in state(a)] == [SHARED], "the daemon stays well"


def test_a_code_dies_after_three_wrong_guesses(daemons: Pair) -> None:
    a, b = daemons
    invitation = call(a, "pair.invite")
    number, *words = invitation["code"].split("-")
    wrong = "-".join([number, *reversed(words)])
    if wrong == invitation["code"]:
        wrong = "-".join([number, words[1], words[0], words[0]])
    address = call(a, "sync.status")["listen"]
    for _ in range(3):
        with pytest.raises(PairingFailed):
            call(b, "pair.join", code=wrong, address=address)
    with pytest.raises(PairingFailed):
        call(b, "pair.join", code=invitation["code"], address=address)
    assert len(call(a, "device.list")["devices"]) == 1
    join(a, b)


def test_a_group_of_three_needs_two_pairings(daemons: Pair, house: Daemons) -> None:
    a, b = daemons
    c = house.start("c")
    join(a, b)
    joined = call(c, "pair.join", ticket=call(b, "pair.invite")["ticket"])
    assert joined["device"]["id"] == call(b, "hello")["device"]["id"]
    call(c, "reference.register", microcosmID=SHARED)
    until(lambda: all(len(state(each)) == 1 for each in (a, b, c)), "it everywhere")
    until(lambda: all(len(call(each, "device.list")["devices"]) == 3 for each in (a, b, c)), "three")
    b.stop()
    call(a, "reference.register", microcosmID=LEFT)
    until(lambda: len(state(c)) == 2, "a link without the one who introduced them")
    with pytest.raises(PairingFailed):
        call(c, "pair.join", code=call(a, "pair.invite")["code"], address=call(a, "sync.status")["listen"])
