"""Starting and stopping by hand, with a stand-in for the daemon's process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import ShuttingDown
from noggd.cli import daemon as commands
from noggd.cli.state import State
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import DAEMON, HELLO, FakeDaemon

GONE = 2**22 - 7  # no process has this id, or somebody else's


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOGG_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def stand_in(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let `daemon start` run a program of the test's in place of noggd."""
    monkeypatch.setattr(commands, "_command", lambda *_: [sys.executable, "-c", program])


def test_a_daemon_that_cannot_start_says_why(
    nogg: Nogg, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "import sys; print('the store is broken'); sys.exit(7)")
    run = nogg("daemon", "start")
    assert run.status == 7
    assert "the store is broken" in run.err
    log = state_dir / "log" / "noggd.log"
    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_daemon_that_dies_by_a_signal_is_a_failure(
    nogg: Nogg, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "import os; os.kill(os.getpid(), 9)")
    assert nogg("daemon", "start").status == 1


def test_start_waits_until_the_daemon_is_ready(
    nogg: Nogg, daemon: FakeDaemon, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "import time; time.sleep(60)")
    seen = iter([{**HELLO, "ready": False}, HELLO])
    daemon.answers["hello"] = lambda _: next(seen)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr("subprocess.Popen", remember)
    monkeypatch.setattr(commands, "START_LIMIT", 10)
    answer = commands.start(_state(daemon), ())
    for process in started:
        process.kill()
        process.wait()
    assert answer == HELLO


def _state(daemon: FakeDaemon) -> State:
    state = State()
    state.socket = str(daemon.path)
    return state


def test_start_leaves_a_running_daemon_alone(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers["hello"] = HELLO
    assert nogg("daemon", "start", "--json").json["started"] is False


def test_a_daemon_that_is_still_starting_is_running(nogg: Nogg, daemon: FakeDaemon) -> None:
    seen = iter([{**HELLO, "ready": False}] * 3 + [HELLO])
    daemon.answers["hello"] = lambda _: next(seen)
    assert nogg("daemon", "start").out.startswith("already running: noggd 9.9")


def test_stop_without_a_daemon_is_done(nogg: Nogg) -> None:
    assert nogg("daemon", "stop").out == "not running\n"
    assert nogg("daemon", "stop", "--json").json == {"stopped": False}


def test_stop_waits_until_nobody_answers(nogg: Nogg, daemon: FakeDaemon) -> None:
    seen = iter([HELLO, HELLO, ShuttingDown()])
    daemon.answers |= {
        "hello": lambda _: next(seen),
        "daemon.status": {**DAEMON, "pid": GONE},
        "daemon.shutdown": {},
    }
    assert nogg("daemon", "stop", "--json").json == {"stopped": True}
    assert [name for name, _ in daemon.asked].count("hello") == 3


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_process_that_ended_unnoticed_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert commands._alive(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it ended; nobody has collected it
        assert not commands._alive(process.pid)
    assert not commands._alive(process.pid)


def test_a_daemon_that_does_not_stop_is_told_of(
    nogg: Nogg, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.answers |= {"hello": HELLO, "daemon.status": {**DAEMON, "pid": GONE}, "daemon.shutdown": {}}
    monkeypatch.setattr(commands, "STOP_LIMIT", 0)
    assert nogg("daemon", "stop").status == 6


def test_run_becomes_noggd(nogg: Nogg, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, command: became.append(command))
    nogg("daemon", "run", "--socket", "/s", "--no-discovery", "--listen", "127.0.0.1:0")
    options = ["--socket", "/s", "--no-discovery", "--listen", "127.0.0.1:0"]
    assert became == [[sys.executable, "-m", "noggd", *options]]


@pytest.mark.parametrize(
    ("options", "value"),
    [(("--state-dir", "x"), "x"), (("--a", "--state-dir=y"), "y"), (("--state-dir",), None), ((), None)],
)
def test_the_state_dir_of_the_daemon_is_known(options: tuple[str, ...], value: str | None) -> None:
    assert commands._option(options, "--state-dir") == value
