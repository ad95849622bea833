"""The daemon as a process: flags and places, what keeps it from starting, how it stops, what systemd is told."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nogg.blocking import Connection, Notification
from nogg.errors import ConnectionLost
from tests.daemons import Daemon, Daemons, until
from tests.lines import Line, request

A = "alpha.aaaaaaaaaaaaaaaa"


def outcome(daemon: Daemon) -> tuple[int, str]:
    """Start a daemon that is expected to end by itself."""
    daemon.launch()
    return daemon.wait(), daemon.words()


# Places


def test_what_it_makes_is_private_whatever_the_umask(daemons: Daemons) -> None:
    daemon = daemons.make()
    daemon.folder.chmod(0o755)
    daemon.start(umask=0)
    daemon.call("reference.register", microcosmID=A)
    assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    made = [file for file in daemon.state.rglob("*") if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in made} == {0o600}
    assert stat.S_IMODE(daemon.folder.stat().st_mode) == 0o755, "what was there is left as it is"


def test_where_it_listens_follows_the_environment(daemons: Daemons) -> None:
    folder = daemons.folder
    env = {"XDG_RUNTIME_DIR": str(folder / "run"), "NOGG_STATE_DIR": str(folder / "elsewhere")}
    (folder / "run").mkdir(mode=0o700)
    daemon = daemons.make(env=env)
    daemon.socket = folder / "run" / "noggd" / "noggd.sock"
    command = [sys.executable, "-m", "noggd", "--listen", "127.0.0.1:0", "--no-discovery"]
    daemon.command = lambda: command  # type: ignore[method-assign] # without flags for its places
    daemon.start()
    assert (folder / "elsewhere").is_dir()
    assert stat.S_IMODE(daemon.socket.parent.stat().st_mode) == 0o700


def test_version_and_help() -> None:
    for flag, said in (("--version", "noggd "), ("--help", "--state-dir")):
        done = subprocess.run(
            [sys.executable, "-m", "noggd", flag], capture_output=True, text=True, check=True
        )
        assert said in done.stdout


# What keeps it from starting


def test_a_second_daemon_on_the_same_state_says_who_holds_it(daemons: Daemons) -> None:
    first = daemons.start("first")
    second = daemons.make("second")
    second.state = first.state
    status, words = outcome(second)
    assert status == 1
    assert f"process {first.pid}" in words
    assert first.call("session.keys")


def test_a_second_daemon_on_the_same_socket_leaves_it_alone(daemons: Daemons) -> None:
    first = daemons.start("first")
    second = daemons.make("second")
    second.socket = first.socket
    status, words = outcome(second)
    assert status == 1
    assert str(first.socket) in words or str(first.socket.parent) in words
    assert first.call("session.keys")


def test_a_socket_left_by_a_crash_is_replaced(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.kill()
    assert daemon.socket.is_socket()
    daemon.start()
    assert daemon.call("session.keys")


@pytest.mark.parametrize("what", ["socket", "state"])
def test_a_symlink_in_the_way_is_refused(daemons: Daemons, what: str) -> None:
    daemon = daemons.make()
    target = daemon.folder / "target"
    target.mkdir()
    (daemon.folder / ("s" if what == "socket" else "state")).symlink_to(target)
    status, words = outcome(daemon)
    assert status == 1
    assert "symlink" in words
    assert list(target.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder away")
def test_somebody_elses_state_is_refused(daemons: Daemons) -> None:
    daemon = daemons.make()
    daemon.state.mkdir()
    os.chown(daemon.state, 65534, 65534)
    status, words = outcome(daemon)
    assert status == 1
    assert "belongs to user 65534" in words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nnonsense = 1\n", ":2: nonsense"),
        ('log_level = "loud"', ":1: log_level"),
        ("log_level =", ":1: log_level"),
    ],
)
def test_a_bad_config_is_status_2_with_file_line_and_key(daemons: Daemons, text: str, said: str) -> None:
    daemon = daemons.make()
    daemon.config.write_text(text)
    status, words = outcome(daemon)
    assert status == 2
    assert f"{daemon.config}{said}" in words
    assert not daemon.state.exists()


def test_a_config_that_was_named_must_exist(daemons: Daemons) -> None:
    daemon = daemons.make()
    daemon.config.unlink()
    assert outcome(daemon)[0] == 2


def test_a_bad_flag_is_status_2(daemons: Daemons) -> None:
    assert outcome(daemons.make("a", "--no-such-flag"))[0] == 2
    assert outcome(daemons.make("b", "--listen", "nonsense"))[0] == 2


def test_a_store_that_cannot_be_read_is_status_7_and_untouched(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.call("reference.register", microcosmID=A)
    assert daemon.stop() == 0
    (store,) = daemon.state.glob("*.db")
    broken = b"nonsense" * 1000
    store.write_bytes(broken)
    status, words = outcome(daemon)
    assert status == 7
    assert str(store) in words
    assert store.read_bytes() == broken
    assert not daemon.socket.exists()


def test_a_key_that_cannot_be_read_is_status_7(daemons: Daemons) -> None:
    daemon = daemons.start()
    assert daemon.stop() == 0
    (daemon.state / "device.pem").write_text("nonsense")
    assert outcome(daemon)[0] == 7


# Starting and stopping


def test_hello_answers_before_the_store_is_loaded(daemons: Daemons) -> None:
    daemon = daemons.start()
    entries = [{"microcosmID": f"a.{n}"} for n in range(5000)]
    daemon.call("session.set", microcosms=entries)

    def early() -> bool:
        daemon.stop()
        daemon.launch()
        until(daemon.socket.exists, "the socket")
        line = Line(daemon.socket)
        line.send(request(1, "hello"), request(2, "session.get"), request(3, "hello"))
        first, refused, _ = line.read(), line.read(), line.read()
        line.close()
        if first["result"]["ready"]:
            return False  # it was too quick for us: once more
        assert refused["error"]["code"] == 10
        assert refused["error"]["data"]["type"] == "starting"
        return True

    assert any(early() for _ in range(10))
    daemon.wait_until_ready()
    assert len(daemon.call("session.get")["microcosms"]) == 5000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_time_and_answers_what_it_took(daemons: Daemons, number: signal.Signals) -> None:
    daemon = daemons.start()
    watcher = daemon.connect()
    watcher.call("session.subscribe")
    line = Line(daemon.socket)
    line.send(*(request(n, "reference.register", microcosmID=f"a.{n}") for n in range(200)))
    first = line.read()
    started = time.monotonic()
    daemon.process.send_signal(number)  # type: ignore[union-attr] # it was just started
    replies = [first]
    replies += [line.read() for _ in range(199)]
    assert line.ended()
    line.close()
    assert daemon.wait() == 0
    assert time.monotonic() - started < 5
    assert [told.method for told in _all(watcher)][-1] == "daemon.stopping"
    assert not daemon.socket.exists()
    daemon.start()
    kept = {reference["microcosmID"] for reference in daemon.call("reference.list")["references"]}
    answered = {reply["result"]["microcosmID"] for reply in replies if "result" in reply}
    assert answered <= kept
    assert all(reply["error"]["code"] == 7 for reply in replies if "error" in reply)


def _all(connection: Connection) -> list[Notification]:
    found = []
    try:
        for notification in connection.notifications(20):
            found.append(notification)
    except ConnectionLost:
        return found
    raise AssertionError("the connection did not end")


def test_a_reload_changes_what_can_change_and_keeps_what_was_good(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.config.write_text('log_format = "json"\ndiscovery = true\n')
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: '"message": "reloaded: log_format"' in daemon.words())
    daemon.config.write_text("log_level = nonsense\n")
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: "not reloaded" in daemon.words())
    assert daemon.call("session.keys")
    assert daemon.stop() == 0


# systemd


def test_what_systemd_is_told(daemons: Daemons) -> None:
    daemon = daemons.make()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.folder / "notify"))
        manager.settimeout(20)
        daemon.env |= {"NOTIFY_SOCKET": str(daemon.folder / "notify"), "WATCHDOG_USEC": "300000"}
        daemon.launch()
        assert manager.recv(4096).startswith(b"READY=1\nSTATUS=")
        with Connection(daemon.socket) as connection:
            assert connection.call("hello")["ready"], "ready means ready"
        assert all(manager.recv(4096).startswith(b"WATCHDOG=1\nSTATUS=") for _ in range(3))
        os.kill(daemon.pid, signal.SIGHUP)
        told = [manager.recv(4096)]
        while not told[-1].startswith(b"READY=1"):
            told.append(manager.recv(4096))
        assert any(each.startswith(b"RELOADING=1") for each in told)
        assert daemon.stop() == 0
        while not (last := manager.recv(4096)).startswith(b"STOPPING=1"):
            assert last.startswith(b"WATCHDOG=1")


def test_a_passed_socket_is_served_and_never_removed(daemons: Daemons) -> None:
    """As systemd does: it listens, the daemon is started with descriptor 3 and its own pid in the environment."""
    daemon = daemons.make()
    path = Path(daemon.folder / "passed")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        script = (
            "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.execv(sys.executable, sys.argv[1:])"
        )
        inner = daemon.command()
        daemon.command = lambda: [sys.executable, "-c", script, *inner]  # type: ignore[method-assign]
        daemon.env["LISTEN_FDS"] = "1"
        daemon.launch(preexec_fn=lambda: os.dup2(listening.fileno(), 3), close_fds=False)
        with Connection(path, timeout=20) as connection:  # waits in the backlog until the daemon is there
            until(lambda: connection.call("hello")["ready"])
            assert connection.call("session.keys")
            checks = {check["name"]: check for check in connection.call("daemon.doctor")["checks"]}
            assert "systemd" in checks["socket"]["message"]
        assert not daemon.socket.exists(), "a passed socket goes over the flag"
        assert daemon.stop() == 0
    assert path.is_socket()
