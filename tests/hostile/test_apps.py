"""Apps that misbehave on the local socket, while another one goes on: bounded memory, its calls are answered."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.daemons import Daemon, running, until
from tests.hostile.group import forget_peak, memory
from tests.lines import request

MEGABYTES = 64
SLOWEST = 1.5
"""Seconds for a call of an app that behaves; milliseconds are usual."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("apps")) as daemons:
        found = daemons.start()
        with found.connect() as app:
            entries = [{"microcosmID": f"many.{number}", "view": "canvas"} for number in range(10_000)]
            app.call("session.set", session="large", microcosms=entries)
        yield found


def open_socket(daemon: Daemon) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.connect(str(daemon.socket))
    found.settimeout(20)
    return found


def many_subscribers(daemon: Daemon) -> None:
    """One connection that subscribes without end, and reads nothing."""
    with open_socket(daemon) as app, suppress(OSError):
        app.settimeout(2)
        app.sendall(b"".join(request(each, "session.subscribe") + b"\n" for each in range(20_000)))


def slow_reader_of_a_huge_list(daemon: Daemon) -> None:
    """Asks for 10,000 references a thousand times, reads some of the gigabyte byte by byte, and hangs up."""
    with open_socket(daemon) as app, suppress(OSError):
        app.setblocking(False)
        lines = b"".join(request(each, "reference.list", session="large") + b"\n" for each in range(1000))
        with suppress(BlockingIOError):
            app.send(lines)
        app.settimeout(5)
        for _ in range(2000):
            app.recv(1)


def half_lines(daemon: Daemon) -> None:
    """Two hundred connections with lines that never end."""
    held = [open_socket(daemon) for _ in range(200)]
    for app in held:
        app.sendall(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 100_000)
    daemon.call("session.keys")
    for app in held:
        app.close()


def a_hundred_thousand_in_flight(daemon: Daemon) -> None:
    with open_socket(daemon) as app:
        lines = b"".join(request(each, "session.keys") + b"\n" for each in range(100_000))
        feeder = threading.Thread(target=app.sendall, args=(lines,))
        feeder.start()
        with app.makefile("rb") as replies:
            assert [json.loads(replies.readline())["id"] for _ in range(100_000)] == list(range(100_000))
        feeder.join()


def closes_in_the_middle(daemon: Daemon) -> None:
    lines = b"".join(
        request(each, "reference.register", session="cut", microcosmID=f"cut.{each % 7}") + b"\n"
        for each in range(300)
    )
    for number in range(100):
        with open_socket(daemon) as app:
            app.sendall(lines[: 17 + number * 331])


@pytest.mark.parametrize(
    "attack",
    [
        many_subscribers,
        slow_reader_of_a_huge_list,
        half_lines,
        a_hundred_thousand_in_flight,
        closes_in_the_middle,
    ],
    ids=lambda attack: attack.__name__,
)
def test_an_app_that_misbehaves_harms_no_other(daemon: Daemon, attack: Callable[[Daemon], None]) -> None:
    daemon.call("reference.register", microcosmID="warm.up")
    before = memory(daemon)
    forget_peak(daemon)
    attacking = threading.Thread(target=attack, args=(daemon,))
    attacking.start()
    seconds: list[float] = []
    with daemon.connect() as app:
        while attacking.is_alive() or len(seconds) < 20:
            began = time.monotonic()
            app.call("reference.register", microcosmID=f"other.{len(seconds) % 50}")
            seconds.append(time.monotonic() - began)
    attacking.join()
    until(lambda: daemon.call("daemon.status")["counts"]["connections"] <= 2, "an end of its connections")
    grown = memory(daemon, "VmHWM") - before
    print(
        f"\n{attack.__name__}: {len(seconds)} calls, slowest {max(seconds) * 1000:.0f} ms, memory +{grown} MB"
    )
    assert grown < MEGABYTES
    assert max(seconds) < SLOWEST
    assert "Traceback" not in daemon.words()
    assert len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())) < 64
