"""The system's manager runs the daemon for alice: started, watched, killed, reloaded, stopped, and shut in."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import ConnectionLost, NoggError
from tests.systemd.lab import Lab, until

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]

SERVICE = "noggd@alice.service"
DOOR = "/run/noggd/alice.sock"
STATE = "/var/lib/noggd-user/alice"
CONFIG = "/etc/noggd/alice/config.toml"
FAST = "[Service]\nWatchdogSec=2\nRestartSec=100ms\nTimeoutStopSec=6\n"
"""The unit's own waits are for people; tests have less time."""


@pytest.fixture(scope="module")
def alice(lab: Lab) -> Iterator[Lab]:
    """The lab, with the daemon installed for alice by the system's manager."""
    installed = lab.nogg("service", "install", "--system", "--for", "alice", "--json")
    assert installed.json["unit"] == SERVICE
    drop_in = lab.path("/etc/systemd/system/noggd@.service.d/fast.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(FAST)
    lab.systemctl("daemon-reload")
    lab.systemctl("restart", SERVICE)
    yield lab
    drop_in.unlink()
    lab.nogg("service", "uninstall", "--system", "--for", "alice")
    assert not lab.path("/etc/systemd/system/noggd@.service").exists()
    assert lab.path(STATE).is_dir(), "data stays"


@pytest.fixture(autouse=True)
def running(alice: Lab) -> None:
    """Begin each test with a running daemon and no memory of failures."""
    alice.systemctl("reset-failed", check=False)
    if alice.show(SERVICE, "ActiveState") != "active":
        alice.systemctl("start", "noggd@alice.socket", SERVICE)


def main_pid(lab: Lab) -> int:
    return int(lab.show(SERVICE, "MainPID"))


def restarts(lab: Lab) -> int:
    return int(lab.show(SERVICE, "NRestarts"))


def test_it_runs_as_alice_with_her_own_socket_and_state(alice: Lab) -> None:
    process = Path(f"/proc/{alice.outer_pid(main_pid(alice))}")
    assert process.stat().st_uid == alice.uids["alice"]
    door, state, key = (alice.path(path).stat() for path in (DOOR, STATE, f"{STATE}/device.pem"))
    assert (stat.S_IMODE(door.st_mode), door.st_uid) == (0o600, alice.uids["alice"])
    assert (stat.S_IMODE(state.st_mode), state.st_uid) == (0o700, alice.uids["alice"])
    assert (stat.S_IMODE(key.st_mode), key.st_uid) == (0o600, alice.uids["alice"])


def test_alice_can_call_it_and_bob_cannot(alice: Lab) -> None:
    assert alice.nogg("call", "hello", user="alice").json["ready"] is True
    refused = alice.nogg("status", "--socket", DOOR, "--json", user="bob", check=False)
    assert (refused.status, refused.json["error"]["type"]) == (4, "forbidden")
    assert alice.run("ls", STATE, user="bob", check=False).status != 0


def test_what_is_ordered_after_it_finds_it_ready(alice: Lab) -> None:
    unit = alice.path("/etc/systemd/system/dependent.service")
    unit.write_text(
        f"[Unit]\nRequires={SERVICE}\nAfter={SERVICE}\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=/opt/noggd/bin/nogg call hello --socket {DOOR}\n"
    )
    alice.systemctl("daemon-reload")
    alice.systemctl("stop", SERVICE)
    alice.systemctl("start", "dependent.service")
    order = [
        int(alice.show(name, value))
        for name, value in (
            (SERVICE, "ActiveEnterTimestampMonotonic"),
            ("dependent.service", "ExecMainStartTimestampMonotonic"),
        )
    ]
    said = "".join(
        entry["MESSAGE"] + "\n" for entry in alice.journal("-u", "dependent.service", "_COMM=nogg")
    )
    unit.unlink()
    alice.systemctl("stop", "dependent.service")
    alice.systemctl("daemon-reload")
    assert order == sorted(order)
    assert '"ready": true' in said


def test_fifty_apps_that_connect_first_find_one_daemon(alice: Lab) -> None:
    alice.systemctl("stop", SERVICE)
    found: list[int] = []

    def app() -> None:
        with alice.connect(DOOR) as connection:
            ready = until(lambda: connection.call("hello")["ready"], "ready")
            assert ready
            found.append(connection.call("daemon.status")["pid"])

    apps = [threading.Thread(target=app) for _ in range(50)]
    for each in apps:
        each.start()
    for each in apps:
        each.join(30)
    assert len(found) == 50
    assert len(set(found)) == 1


def test_a_kill_loses_nothing_and_refuses_nobody(alice: Lab) -> None:
    """What was answered is there again; apps that connect meanwhile wait in the socket's queue."""
    with alice.connect(DOOR) as connection:
        kept = connection.call("reference.register", microcosmID="garden.kill", password="geheim")
    before = restarts(alice)
    os.kill(alice.outer_pid(main_pid(alice)), signal.SIGKILL)
    while restarts(alice) == before:
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(alice.path(DOOR)))
    with alice.connect(DOOR) as connection:
        until(lambda: connection.call("hello")["ready"], "ready")
        found = connection.call("reference.get", microcosmID="garden.kill", touch=False)
    assert found == kept


def test_a_daemon_that_hangs_is_started_again(alice: Lab) -> None:
    before, pid = restarts(alice), main_pid(alice)
    os.kill(alice.outer_pid(pid), signal.SIGSTOP)
    until(lambda: restarts(alice) > before, "the watchdog starts it again")
    assert alice.call(DOOR, "hello")["protocol"] == 1
    results = [entry["MESSAGE"] for entry in alice.journal("-u", SERVICE, "-n", "40", "_PID=1")]
    assert any("Watchdog timeout" in message for message in results)


def test_the_watchdog_leaves_a_live_one_alone(alice: Lab) -> None:
    """Longer than the watchdog waits: the daemon's own signs of life must arrive."""
    alice.systemctl("restart", SERVICE)
    pid, started = main_pid(alice), int(alice.show(SERVICE, "WatchdogTimestampMonotonic"))
    until(
        lambda: int(alice.show(SERVICE, "WatchdogTimestampMonotonic")) > started + 2_500_000, "signs of life"
    )
    assert main_pid(alice) == pid


def test_a_reload_takes_what_can_change_and_refuses_what_is_wrong(alice: Lab) -> None:
    pid = main_pid(alice)
    alice.path(CONFIG).write_text('log_level = "debug"\n')
    alice.systemctl("reload", SERVICE)
    until(lambda: "reloaded: log_level" in messages(alice), "the new level")
    alice.path(CONFIG).write_text("log_level = 7\n")
    alice.systemctl("reload", SERVICE)
    until(lambda: f"not reloaded: {CONFIG}:1: log_level" in messages(alice, "-p", "err"), "the refusal")
    alice.path(CONFIG).unlink()
    alice.systemctl("reload", SERVICE)
    assert main_pid(alice) == pid
    assert alice.call(DOOR, "hello")["ready"]


def messages(lab: Lab, *words: str) -> str:
    return "\n".join(
        str(entry["MESSAGE"]) for entry in lab.journal("-u", SERVICE, "-n", "200", "-t", "noggd", *words)
    )


def test_the_journal_has_priorities_and_fields(alice: Lab) -> None:
    entries = alice.journal("-u", SERVICE, "LOGGER=noggd.app")
    ready = next(entry for entry in entries if "ready, device" in entry["MESSAGE"])
    assert (ready["PRIORITY"], ready["SYSLOG_IDENTIFIER"], ready["CODE_FUNC"]) == ("6", "noggd", "run")
    assert ready["_UID"] == str(alice.uids["alice"])


def test_a_stop_with_two_hundred_apps_is_clean_and_quick(alice: Lab) -> None:
    pid = alice.outer_pid(main_pid(alice))
    apps = [alice.connect(DOOR) for _ in range(200)]
    for app in apps:
        app.call("hello")
    alice.systemctl("stop", SERVICE)
    assert not Path(f"/proc/{pid}").exists()
    assert alice.show(SERVICE, "Result") == "success"
    took = [
        int(alice.show(SERVICE, name))
        for name in ("ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")
    ]
    assert took[1] - took[0] < 5_000_000
    for app in apps:
        with app, pytest.raises(ConnectionLost):
            next(iter(note for note in app.notifications(5) if note.method != "daemon.stopping"))
    assert alice.path(DOOR).is_socket(), "the socket is systemd's and stays"


def test_after_many_crashes_the_socket_still_answers(alice: Lab) -> None:
    for _ in range(7):  # more than systemd's usual limit of five in ten seconds
        before = restarts(alice)
        os.kill(alice.outer_pid(main_pid(alice)), signal.SIGKILL)
        until(lambda before=before: restarts(alice) > before, "a restart")  # type: ignore[misc]
        until(lambda: main_pid(alice) != 0, "a process")
    assert alice.call(DOOR, "hello")["protocol"] == 1


@pytest.mark.parametrize(("break_it", "status"), [("store", "7"), ("config", "2")])
def test_what_needs_a_person_is_not_tried_again(alice: Lab, break_it: str, status: str) -> None:
    """A broken store or setting: stopped with its exit status; who connects is turned away, not left waiting."""
    path = alice.path(CONFIG if break_it == "config" else f"{STATE}/session.db")
    alice.systemctl("stop", SERVICE)
    whole = path.read_bytes() if path.exists() else None
    path.write_bytes(b"listen = 7\n" if break_it == "config" else b"not a store" * 1000)
    began = starts(alice)
    try:
        assert alice.systemctl("start", SERVICE, check=False).status != 0
        assert alice.show(SERVICE, "ExecMainStatus") == status
        with pytest.raises(NoggError), alice.connect(DOOR) as connection:
            connection.call("daemon.status")
        until(lambda: alice.show(SERVICE, "ActiveState") == "failed", "the end")
        assert alice.show("noggd@alice.socket", "ActiveState") == "active"
        assert starts(alice) - began <= 3, "once by us, once for the app that connected"
        broken = path.read_bytes()
        examined = alice.nogg("doctor", "--json", user="alice", check=False)
    finally:
        path.unlink()
        if whole is not None:
            path.write_bytes(whole)
            os.chown(path, alice.uids["alice"], alice.uids["alice"])
    assert broken.startswith((b"listen", b"not a store")), "nothing was put in its place"
    rows = {row["name"]: row["ok"] for row in examined.json["checks"]}
    assert rows["daemon"] is False
    if break_it == "store":
        assert (examined.status, rows["store"]) == (7, False)
    alice.systemctl("reset-failed", SERVICE)
    alice.systemctl("start", SERVICE)
    assert alice.call(DOOR, "hello")["ready"]


def starts(lab: Lab) -> int:
    return sum(
        "Starting noggd@alice" in str(entry["MESSAGE"]) for entry in lab.journal("-u", SERVICE, "_PID=1")
    )


def test_little_is_left_open(alice: Lab) -> None:
    done = alice.run("systemd-analyze", "security", "--no-pager", "--threshold=15", SERVICE)
    assert "exposure level" in done.out
    pid = alice.outer_pid(main_pid(alice))
    shown = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert (shown["NoNewPrivs"], shown["Seccomp"], int(shown["CapBnd"], 16)) == ("1", "2", 0)
    inside = Path(f"/proc/{pid}/root")
    for hidden in ("home", "root"):
        assert stat.S_IMODE((inside / hidden).stat().st_mode) == 0, f"/{hidden} is hidden"
    mounts = {
        line.split()[4]: line.split()[5] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    }
    assert "ro" in mounts["/"].split(",")
    assert "ro" in mounts["/run"].split(",")
    assert {"rw", "noexec"} <= set(mounts[STATE].split(","))


def test_a_key_from_the_credential_store_makes_the_same_device_again(alice: Lab) -> None:
    """A machine that is set up anew keeps its identity, given its old key."""
    device = alice.call(DOOR, "hello")["device"]["id"]
    alice.systemctl("stop", SERVICE)
    store = alice.path("/etc/credstore/noggd.alice.device.pem")
    store.parent.mkdir(exist_ok=True, mode=0o700)
    store.write_bytes(alice.path(f"{STATE}/device.pem").read_bytes())
    store.chmod(0o600)
    alice.run("mv", STATE, f"{STATE}.before")
    try:
        alice.systemctl("start", SERVICE)
        again = alice.call(DOOR, "hello")["device"]["id"]
        alice.systemctl("stop", SERVICE)
    finally:
        store.unlink()
        alice.run("rm", "-rf", STATE)
        alice.run("mv", f"{STATE}.before", STATE)
    assert again == device


def facts(lab: Lab) -> Any:
    return json.loads(lab.nogg("service", "status", "--system", "--for", "alice", "--json", check=False).out)


def test_its_status_is_told(alice: Lab) -> None:
    told = facts(alice)
    assert told["active"] == "active"
    assert told["enabled"] == "enabled"
    assert told["pid"] == main_pid(alice)
    assert "references in" in told["says"]
    assert (told["interpreter"], told["interpreter_exists"]) == ("/opt/noggd/bin/python", True)
    assert told["socket"] == {"path": DOOR, "active": "active", "enabled": "enabled"}
    alice.systemctl("stop", SERVICE)
    assert alice.nogg("service", "status", "--system", "--for", "alice", check=False).status == 1
