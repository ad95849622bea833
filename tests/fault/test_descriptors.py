"""No descriptor left: those who are in are served, nobody is harmed, it does not spin, and it recovers."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nogg.blocking import Connection
from nogg.errors import NoggError
from tests.daemons import Daemon, Daemons, until
from tests.lines import request

pytestmark = pytest.mark.fault

SPARE = 40
"""Descriptors that are left: some for newcomers, the rest for the daemon's own use."""
IDLE = 1.5
"""Seconds in which it has nothing to do but to refuse."""


def descriptors(daemon: Daemon) -> int:
    return sum(1 for _ in Path(f"/proc/{daemon.pid}/fd").iterdir())


def cpu(daemon: Daemon) -> float:
    """Seconds of processor time that it used."""
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def few_descriptors(daemon: Daemon) -> Iterator[None]:
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (descriptors(daemon) + SPARE, before[1]))
    try:
        yield
    finally:
        if daemon.process is not None:
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)


def crowd(daemon: Daemon, address: str) -> list[socket.socket]:
    """Knock at both doors, more often than there are descriptors for."""
    host, port = address.rsplit(":", 1)
    found = []
    for number in range(60):
        local = number % 3 > 0
        each = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
        each.setblocking(False)
        with contextlib.suppress(OSError):  # a full queue, or TCP that takes its time
            each.connect(str(daemon.socket) if local else (host, int(port)))
            if local:
                each.send(request(1, "hello") + b"\n")
        found.append(each)
    return found


def names(app: Connection) -> set[str]:
    return {each["microcosmID"] for each in app.call("session.get")["microcosms"]}


def linked(daemon: Daemon) -> bool:
    return bool(daemon.call("sync.status")["peers"][0]["state"] == "online")


def test_without_descriptors_it_serves_who_is_in_and_recovers(daemons: Daemons) -> None:
    a, b = daemons.together("a", "b")
    address = a.call("sync.status")["listen"]
    b.call("pair.join", code=a.call("pair.invite")["code"], address=address)
    until(lambda: linked(a), "the link")
    app = a.connect()
    app.call("hello")
    usual = descriptors(a)
    with few_descriptors(a):
        strangers = crowd(a, address)
        until(lambda: "too many connections are open" in a.words(), "no room")
        for number in range(100):
            app.call("reference.register", microcosmID=f"app.{number % 9}", view=f"v{number}")
        b.call("reference.register", microcosmID="from.b")
        until(lambda: "from.b" in names(app), "the change of the other device")
        for method in ("pair.invite", "daemon.doctor", "daemon.metrics"):
            with contextlib.suppress(NoggError):  # what needs a descriptor says so
                app.call(method)
        began, used = time.monotonic(), cpu(a)
        until(lambda: time.monotonic() > began + IDLE, "a while")
        assert cpu(a) - used < IDLE / 4, "it spins"
        for each in strangers:
            each.close()
    until(lambda: a.call("hello")["ready"], "newcomers are served again")
    until(lambda: descriptors(a) <= usual + 2, "all of them were given back")
    b.restart()
    until(lambda: linked(a), "the link again")
    assert {"app.1", "from.b"} <= names(app)
    assert a.stop() == 0
    assert len(a.words()) < 100_000, "the log is not flooded"
