import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from noggd.platform import systemd


def test_without_a_manager_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert systemd.notify(READY=1) is False


def test_what_is_said_arrives_as_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert systemd.notify(READY=1, STATUS="two\nlines")
        assert manager.recv(4096) == b"READY=1\nSTATUS=two lines"
        assert systemd.notify_reloading()
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_address_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0noggd-test-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@noggd-test-{os.getpid()}")
        assert systemd.notify(WATCHDOG=1)
        assert manager.recv(4096) == b"WATCHDOG=1"


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert systemd.notify(READY=1) is False


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("3000000", None, 1.0),
        ("3000000", str(os.getpid()), 1.0),
        ("3000000", "1", None),
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_wants_a_sign_every_third(
    usec: str | None, pid: str | None, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_interval() == interval


def test_a_credential_is_found_where_the_unit_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert systemd.credential("key") is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert systemd.credential("key") is None
    (tmp_path / "key").touch()
    assert systemd.credential("key") == tmp_path / "key"


_CHILD = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[1]))
from noggd.platform import systemd
found = systemd.passed_sockets()
print([one.getsockname() for one in found], [one.getblocking() for one in found])
print([one.get_inheritable() for one in found], "LISTEN_FDS" in os.environ, systemd.passed_sockets())
"""


_TURNS_AWAY = """
import os
os.environ["LISTEN_PID"] = str(os.getpid())
from noggd.platform import systemd
systemd.turn_away(b"no\\n")
"""


def _child(path: Path, offset: str, program: str = _CHILD, waiting: int = 0) -> list[str]:
    with (
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        listening.bind(str(path))
        listening.listen()
        apps = [socket.socket(socket.AF_UNIX) for _ in range(waiting)]
        for app in apps:
            app.connect(str(path))

        def pass_on() -> None:
            first, second = os.dup(listening.fileno()), os.dup(other.fileno())
            os.dup2(first, 3)
            os.dup2(second, 4)

        done = subprocess.run(
            [sys.executable, "-c", program, offset],
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "local:other"},
            preexec_fn=pass_on,
            close_fds=False,
            capture_output=True,
            text=True,
            check=True,
        )
        said = []
        for app in apps:
            with app, app.makefile("rb") as answer:
                app.settimeout(10)
                said.append(answer.read().decode())  # ends, because it was hung up
    return said or done.stdout.splitlines()


def test_passed_sockets_are_taken_over_once(tmp_path: Path) -> None:
    names, rest = _child(tmp_path / "s", "0")
    assert names == f"[{str(tmp_path / 's')!r}] [False]"
    assert rest == "[False] False []"


def test_those_who_wait_at_a_passed_socket_are_told_why_and_let_go(tmp_path: Path) -> None:
    assert _child(tmp_path / "s", "0", _TURNS_AWAY, waiting=3) == ["no\n"] * 3


def test_sockets_passed_to_another_process_are_left_alone(tmp_path: Path) -> None:
    assert _child(tmp_path / "s", "1") == ["[] []", "[] False []"]


def test_stderr_is_the_journal_only_if_systemd_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        found = os.fstat(log.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert systemd.stderr_is_journal()
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
        assert not systemd.stderr_is_journal()
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not systemd.stderr_is_journal()
