"""Processes that stand still for a while, and clocks that jump by a day: nothing is lost, nothing hangs."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import Daemon, Daemons, until
from tests.lines import Line, request

pytestmark = pytest.mark.fault

DAY = 24 * 3600
LIBRARY = "libfaketimeMT.so.1"


def names(daemon: Daemon) -> dict[str, str | None]:
    return {each["microcosmID"]: each["view"] for each in daemon.call("session.get")["microcosms"]}


def pair(a: Daemon, b: Daemon) -> None:
    code = a.call("pair.invite")["code"]
    b.call("pair.join", code=code, address=a.call("sync.status")["listen"])
    until(lambda: peer(a)["state"] == peer(b)["state"] == "online", "the link")


def peer(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.call("sync.status")["peers"][0]
    return found


# Stopped


@contextlib.contextmanager
def stopped(daemon: Daemon) -> Iterator[None]:
    """Let a process stand still, as in a debugger or on a machine that swaps."""
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "a stop")
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_a_stopped_daemon_answers_all_when_it_goes_on(daemons: Daemons) -> None:
    a, b = daemons.make("a"), daemons.start("b")
    place = a.folder / "notify"
    a.env |= {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "600000"}
    asked = [request(n, "reference.register", microcosmID=f"a.{n % 20}", view=f"v{n}") for n in range(200)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as watchdog:
        watchdog.bind(str(place))
        a.start()
        pair(a, b)
        with contextlib.closing(Line(a.socket)) as line:
            with stopped(a):
                line.send(*asked)
                for number in range(20):
                    b.call("reference.register", microcosmID=f"b.{number}", view="x")
                watchdog.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while watchdog.recv(4096):
                        pass
                watchdog.settimeout(30)
            assert [line.read()["id"] for _ in asked] == list(range(200))
        while b"WATCHDOG=1" not in watchdog.recv(4096):
            pass
    until(lambda: names(a) == names(b) and len(names(a)) == 40, "both in step")
    assert names(a)["a.19"] == "v199"
    assert a.stop() == 0
    assert "fault" not in a.words()


# A clock that jumps


class Clock:
    """The wall clock of one daemon; the machine's own is never set."""

    def __init__(self, daemon: Daemon) -> None:
        self._file = daemon.folder / "clock"
        self.step(0)
        daemon.env |= {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_XRESET": "1",
        }

    def step(self, seconds: int) -> None:
        """Let the clock be so far from the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._file)


def _library() -> str:
    found = sorted(Path("/usr/lib").glob(f"**/faketime/{LIBRARY}"))
    if not found:
        pytest.skip("stepping a clock needs libfaketime")
    return str(found[0])


def clock_of(daemon: Daemon) -> float:
    """Seconds since 1970, as the daemon stamps an access."""
    daemon.call("reference.register", microcosmID="clock")
    accessed = daemon.call("reference.get", microcosmID="clock")["lastAccessed"]
    return float(accessed) / 1000


@pytest.fixture
def stepped(daemons: Daemons) -> tuple[Daemon, Daemon, Clock]:
    a, b = daemons.make("a"), daemons.make("b")
    clock = Clock(a)
    b.launch()
    a.start()
    b.wait_until_ready()
    assert abs(clock_of(a) - time.time()) < 60
    pair(a, b)
    return a, b, clock


def test_a_clock_that_falls_back_a_day_loses_no_change_and_wins_as_it_should(
    stepped: tuple[Daemon, Daemon, Clock],
) -> None:
    a, b, clock = stepped
    a.call("reference.register", microcosmID="one", view="before")
    until(lambda: names(b).get("one") == "before", "the change")
    clock.step(-DAY)
    a.call("reference.update", microcosmID="one", view="after")
    until(lambda: names(b)["one"] == "after", "the later act, though its clock says earlier")
    b.call("reference.update", microcosmID="one", view="there")
    until(lambda: names(a)["one"] == "there", "the latest act")
    a.kill()
    a.start()
    a.call("reference.update", microcosmID="one", view="again")
    until(lambda: names(b)["one"] == names(a)["one"] == "again", "the same after a restart")
    assert peer(a)["state"] == "online"
    clock.step(0)
    a.call("reference.remove", microcosmID="one")
    until(lambda: "one" not in names(b), "the removal")


def test_a_clock_that_leaps_a_day_ahead_holds_back_and_is_mended(
    stepped: tuple[Daemon, Daemon, Clock],
) -> None:
    a, b, clock = stepped
    clock.step(DAY)
    assert clock_of(a) > time.time() + DAY / 2
    a.call("reference.register", microcosmID="future", view="tomorrow")
    a.restart()  # clocks are compared when devices meet
    until(lambda: peer(a).get("held_back"), "that its changes are held back")
    assert names(a)["future"] == "tomorrow", "the device itself goes on"
    b.call("reference.register", microcosmID="meanwhile")
    until(lambda: "meanwhile" in names(a), "what others do")
    assert "future" not in names(b)
    clock.step(0)
    a.restart()
    until(lambda: names(b).get("future") == "tomorrow", "what was held back")
    b.call("reference.update", microcosmID="future", view="today")
    until(lambda: names(a)["future"] == names(b)["future"] == "today", "that the future pins nothing")


def test_the_clock_of_a_test_is_not_the_machines() -> None:
    if shutil.which("date") is None:
        pytest.skip("needs date")
    env = {"LD_PRELOAD": _library(), "FAKETIME": f"+{DAY}"}
    told = int(subprocess.run(["date", "+%s"], env=env, capture_output=True, text=True).stdout)
    assert told > time.time() + DAY / 2
