"""The shared options, how failures are told, and what is loaded to start."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nogg import errors
from noggd.cli.exits import status_of
from noggd.cli.main import plain_status
from noggd.cli.tree import COMMANDS
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import FakeDaemon, reference


def test_no_daemon_ends_with_3_and_says_how_to_start_it(nogg: Nogg) -> None:
    run = nogg("list")
    assert run.status == 3
    assert run.out == ""
    assert "nogg daemon start" in run.err


def test_failures_are_json_on_stdout_if_json_is_wanted(nogg: Nogg) -> None:
    run = nogg("list", "--json")
    assert run.status == 3
    assert run.err == ""
    assert run.json["error"]["type"] == "not_running"
    assert set(run.json["error"]) == {"type", "message", "hint"}


@pytest.mark.parametrize(
    "wrong", [["bogus"], ["get"], ["device"], ["list", "--sort", "colour"], ["get", "a", "--x"]]
)
def test_a_wrong_command_line_ends_with_2(nogg: Nogg, wrong: list[str]) -> None:
    plain, as_json = nogg(*wrong), nogg(*wrong, "--json")
    assert (plain.status, plain.out) == (2, "")
    assert "--help" in plain.err
    assert (as_json.status, as_json.err) == (2, "")
    assert as_json.json["error"]["type"] == "usage"


def test_no_arguments_show_the_help(nogg: Nogg) -> None:
    run = nogg()
    assert run.status == 0
    assert "nogg [OPTIONS] COMMAND" in run.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--session", "work", "list"],
        ["list", "--session", "work", "--json"],
        ["--session", "work", "list", "--json"],
        ["--session=home", "list", "--session=work", "--json"],
    ],
)
def test_shared_options_go_before_or_after_the_name(
    nogg: Nogg, daemon: FakeDaemon, arguments: list[str]
) -> None:
    daemon.answers["reference.list"] = {"references": [], "revision": 0}
    assert nogg(*arguments).json["session"] == "work"
    assert daemon.params("reference.list")["session"] == "work"


def test_shared_options_go_inside_a_group(nogg: Nogg, daemon: FakeDaemon) -> None:
    assert nogg("device", "--json", "list").json["devices"][0]["name"] == "laptop"


def test_the_socket_option_wins_over_the_environment(nogg: Nogg, daemon: FakeDaemon, tmp_path: Path) -> None:
    assert nogg("device", "list", "--socket", str(tmp_path / "none")).status == 3
    assert nogg("device", "list", "--socket", str(daemon.path)).status == 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidParams("no"), 2),
        (errors.MethodNotFound(), 2),
        (errors.InternalError(), 1),
        (errors.NotFound(), 1),
        (errors.LimitExceeded(limit="x", max=1), 1),
        (errors.UnsupportedProtocol(supported=[1]), 1),
        (errors.NotRunning(), 3),
        (errors.ConnectionLost(), 3),
        (errors.ShuttingDown(), 3),
        (errors.Starting(), 3),
        (errors.Forbidden(), 4),
        (errors.NotPaired(), 4),
        (errors.PairingFailed(), 4),
        (errors.Conflict(revision=1), 5),
        (errors.Timeout(), 6),
        (errors.StorageFailed(retryable=True), 7),
        (errors.ReadOnly(), 7),
    ],
)
def test_every_kind_of_error_has_its_exit_status(error: errors.NoggError, status: int) -> None:
    assert status_of(error) == status


def test_an_error_of_the_daemon_ends_with_its_status_and_hint(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers["reference.register"] = errors.StorageFailed("disk full", retryable=True, hint="make room")
    plain, as_json = nogg("open", "garden.1"), nogg("open", "garden.1", "--json")
    assert plain.status == as_json.status == 7
    assert "disk full" in plain.err
    assert "make room" in plain.err
    assert as_json.json["error"] == {"type": "storage_failed", "message": "disk full", "hint": "make room"}


def test_a_daemon_that_is_still_loading_is_waited_for(nogg: Nogg, daemon: FakeDaemon) -> None:
    answers = iter([errors.Starting(), errors.Starting(), reference()])
    daemon.answers["reference.register"] = lambda _: next(answers)
    run = nogg("open", "garden.1")
    assert run.status == 0
    assert "loading" in run.err


def test_a_daemon_that_goes_away_in_the_middle_ends_with_3(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers["reference.list"] = {"references": [], "revision": 0}
    daemon.hang_up_after = {"reference.list"}
    assert nogg("list").status == 3


def test_an_interrupt_ends_with_130(nogg: Nogg, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("noggd.cli.state.State.call", interrupt)
    assert nogg("list").status == 130
    assert nogg("status").status == 130


def test_what_is_no_daemon_is_named(nogg: Nogg, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_reply", lambda _: b"220 smtp ready\n")
    run = nogg("list")
    assert run.status == 1
    assert "no noggd" in run.err


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (["status"], True),
        (["--json", "status"], True),
        (["status", "--socket", "/x", "--session", "work"], True),
        ([], False),
        (["list"], False),
        (["status", "status"], False),
        (["status", "--help"], False),
        (["status", "--socket"], False),
        (["status", "--session", "--json"], False),
        (["--json", "list"], False),
    ],
)
def test_only_a_plain_status_goes_the_short_way(given: list[str], plain: bool) -> None:
    assert (plain_status(given) is not None) is plain


HEAVY = {
    "asyncio",
    "cryptography",
    "pycrdt",
    "pydantic",
    "pydantic_core",
    "websockets",
    "zeroconf",
    "segno",
    "rich",
}
PLAIN = [
    "status", "list", "get a", "open a", "update a --view v", "touch a", "rm a", "restore a", "forget a", "active",
    "active a", "watch", "session list", "session drop a", "reset", "conflicts", "resolve a", "export", "import -",
    "pair", "pair 1-a-b-c --yes", "device list", "device rename a", "device evict a", "device leave", "identity",
    "sync", "paths", "call hello", "version", "daemon stop", "completion bash", "--help",
]  # fmt: skip


PROGRAM = """
import io, sys
from noggd.cli.main import main
for command in sys.argv[1:]:
    sys.stdin = io.StringIO("{}")
    status = main(command.split())
    print("RAN", status, command, "LOADED", *sys.modules)
"""


def ran(tmp_path: Path, *commands: str) -> dict[str, tuple[int, set[str]]]:
    """Run commands in a fresh process, without a daemon; return the status and what is loaded after each."""
    environment = {**os.environ, "NOGG_SOCKET": str(tmp_path / "none"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *commands],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("RAN "):
            told, loaded = line.removeprefix("RAN ").split(" LOADED ")
            status, command = told.split(" ", 1)
            found[command] = (int(status), set(loaded.split()))
    assert set(found) == set(commands)
    return found


def test_a_plain_command_loads_nothing_heavy(tmp_path: Path) -> None:
    for command, (status, loaded) in ran(tmp_path, *PLAIN).items():
        assert status == (0 if command.split()[0] in LOCAL else 3), command
        assert HEAVY.isdisjoint(loaded), command


def test_every_command_is_either_plain_or_known_to_be_heavy() -> None:
    asks_the_machine = {"service", "doctor", "logs", "config"}  # where the daemon runs, or what is on disk
    assert set(COMMANDS) - {command.split()[0] for command in PLAIN} == {"demo"} | asks_the_machine


def test_the_status_does_not_even_load_click(tmp_path: Path) -> None:
    assert "click" not in ran(tmp_path, "status")["status"][1]


LOCAL = {"paths", "version", "daemon", "completion", "--help"}


def test_nothing_is_coloured_that_is_not_a_terminal(nogg: Nogg, daemon: FakeDaemon) -> None:
    run = nogg("device", "list")
    assert "laptop" in run.out
    assert "\x1b" not in run.out


@pytest.mark.parametrize("command", ["list", "paths", "status"])
def test_a_reader_that_is_gone_is_no_traceback(daemon: FakeDaemon, home: FakeDaemon, command: str) -> None:
    home.answers["reference.list"] = {"references": [reference("a.1")], "revision": 1}
    reading, writing = os.pipe()
    os.close(reading)
    program = "from noggd.cli.main import main; raise SystemExit(main())"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, command],
            env={**os.environ, "NOGG_SOCKET": str(daemon.path)},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_asking_needs_a_terminal(nogg: Nogg, daemon: FakeDaemon) -> None:
    run = nogg("open", "a", "--ask-password", stdin=io.StringIO("secret\n"))
    assert run.status == 2
    assert daemon.asked == []
