"""Many apps, apps that do not read, and apps that send anything: bounded memory, and the others unharmed."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nogg.methods import METHODS
from tests.daemons import PATIENCE, Daemon, running, until

WRITES = 60_000
NAMES = 100
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("load")) as daemons:
        yield daemons.start()


class App:
    """A socket with lines, as an app in any language has it."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))  # waits while the queue of those who want in is full
        self.socket.settimeout(PATIENCE)
        self._file = self.socket.makefile("rb")

    def send(self, method: str, **params: Any) -> None:
        self.socket.sendall(request(method, **params))

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.readline())
        return found

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def request(method: str, number: int = 1, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def resident(daemon: Daemon) -> int:
    """Bytes of memory of the daemon."""
    for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def write_many(daemon: Daemon) -> None:
    """60,000 registrations over a hundred names, in flight together, each answered."""
    app = App(daemon.socket)

    def feed() -> None:
        for start in range(0, WRITES, 500):
            names = (f"name.{number % NAMES}" for number in range(start, start + 500))
            app.socket.sendall(b"".join(request("reference.register", microcosmID=name) for name in names))

    feeder = threading.Thread(target=feed)
    feeder.start()
    for _ in range(WRITES):
        assert "result" in app.read()
    feeder.join()
    app.close()


@pytest.mark.timeout(240)
def test_a_stuck_subscriber_costs_little_and_gets_one_folded_change(daemon: Daemon) -> None:
    write_many(daemon)  # so that what the writes themselves take is there before
    stuck, reading = App(daemon.socket), App(daemon.socket)
    for app in (stuck, reading):
        app.send("session.subscribe")
        app.read()
    revision = daemon.call("session.get")["revision"]
    before = resident(daemon)
    told: list[tuple[int, int]] = []

    def read_all() -> None:
        last = revision
        while last < revision + WRITES:
            params = reading.read()["params"]
            told.append((params["from"], params["revision"]))
            last = params["revision"]

    reader = threading.Thread(target=read_all)
    reader.start()
    write_many(daemon)
    reader.join(PATIENCE)
    assert not reader.is_alive()
    grown = resident(daemon) - before
    assert grown < 2 * MEGABYTE, f"{grown / MEGABYTE:.1f} MiB"
    assert told[0][0] == revision
    assert [start for start, _ in told[1:]] == [end for _, end in told[:-1]], "each revision, in order"

    folded, last = 0, revision
    while last < revision + WRITES:
        params = stuck.read()["params"]
        assert params["from"] == last, "nothing is left out"
        folded = max(folded, params["revision"] - params["from"])
        last, seen = params["revision"], params["set"]
    assert folded > WRITES / 2, "most of it came as one"
    now = {each["microcosmID"]: each for each in daemon.call("session.get")["microcosms"]}
    assert all(now[name] == reference for name, reference in seen.items()), "as it is now"
    for app in (stuck, reading):
        app.close()


@pytest.mark.timeout(120)
def test_a_thousand_connections_and_a_hundred_subscribers(daemon: Daemon) -> None:
    apps = [App(daemon.socket) for _ in range(1000)]
    for app in apps:
        app.send("hello")
    assert all(app.read()["result"]["ready"] for app in apps)
    for app in apps[:100]:
        app.send("session.subscribe", session="many")
        assert app.read()["result"]["fresh"]
    apps[-1].send("reference.register", session="many", microcosmID="told.1")
    assert apps[-1].read()["result"]["microcosmID"] == "told.1"
    for app in apps[:100]:
        assert list(app.read()["params"]["set"]) == ["told.1"]
    for app in apps:
        app.close()
    until(lambda: daemon.call("daemon.status")["counts"]["connections"] < 10, "an end of them all")


SAMPLES = [
    request("reference.register", microcosmID="fuzz.1", view="canvas", password="p"),
    request("reference.get", microcosmID="fuzz.1"),
    request("session.set", active="fuzz.1", microcosms=[{"microcosmID": "fuzz.2", "lastAccessed": 5}]),
    request("session.transact", ops=[{"op": "register", "microcosmID": "fuzz.3"}, {"op": "touch"}]),
    request(
        "session.import", document={"json": {"active": None, "microcosms": [["fuzz.4", {"lastAccessed": 1}]]}}
    ),
    request("active.set", microcosmID="fuzz.1"),
    *(request(name) for name in METHODS if not name.startswith(("pair.", "sync.", "daemon.", "device."))),
]
PIECES = [
    *(bytes([each]) for each in b'{}[]"\\,:\xff\x00'),
    b"\\ud800",
    b"1e400",
    b"NaN",
    b"null",
    b"-1",
    b"9" * 17,
]


def mutated(chance: random.Random) -> bytes:
    """A request with a few bytes changed, left out, doubled or put in."""
    line = bytearray(chance.choice(SAMPLES)[:-1])
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(line) + 1)
        match chance.randrange(4):
            case 0:
                line[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del line[at : at + chance.randrange(8)]
            case 2:
                line[at:at] = chance.choice(PIECES)
            case _:
                line[at:at] = line[at : at + chance.randrange(16)]
    return bytes(line).replace(b"\n", b" ").replace(b"\r", b" ") or b"0"


@pytest.mark.timeout(240)
def test_fifty_thousand_strange_lines_are_answered_or_refused(daemon: Daemon) -> None:
    before: list[int] = []
    counted = 0

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1))
    def send(seed: int) -> None:
        nonlocal counted
        chance = random.Random(seed)
        lines = [line for line in (mutated(chance) for _ in range(510)) if line.strip()]
        app = App(daemon.socket)
        data = b"\n".join(lines) + b"\n" + request("session.keys", 12345)
        threading.Thread(target=app.socket.sendall, args=(data,)).start()
        while (reply := app.read()).get("id") != 12345:
            if "method" not in reply:
                assert ("result" in reply) != ("error" in reply)
                assert reply.get("error", {}).get("code") != -32603, reply
        app.close()
        counted += len(lines)
        if not before:
            before.append(resident(daemon))

    send()
    assert counted >= 50_000
    assert resident(daemon) - before[0] < 32 * MEGABYTE
    assert daemon.call("session.keys")
