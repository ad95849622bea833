"""A disk that is full or refuses, under a real daemon: error 6, reading goes on, and later all works again."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nogg.blocking import Connection
from nogg.errors import StorageFailed
from tests.daemons import Daemon, Daemons, until

pytestmark = pytest.mark.fault

A, B, C = (f"{name}.aaaaaaaaaaaaaaaa" for name in ("alpha", "beta", "gamma"))
SIZE = 12 << 20
"""Bytes of the small disk: a store grows its log to 6 MiB."""


class SmallDisk:
    """A disk of its own, seen only by processes that are started through `inside`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        script = f"mount -t tmpfs -o size={SIZE},mode=700 tmpfs {folder} && echo mounted && exec sleep 3600"
        self._holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "mounted\n"
        self.inside = ["nsenter", "-t", str(self._holder.pid), "-m", f"--wd={folder.parent}"]
        self.seen = Path(f"/proc/{self._holder.pid}/root{folder}")

    def fill(self, leave: int = 0) -> None:
        """Leave only so many bytes free."""
        with contextlib.suppress(OSError), (self.seen / "ballast").open("wb") as ballast:
            free = os.statvfs(self.seen).f_bavail * os.statvfs(self.seen).f_frsize
            for _ in range((free - leave) // 4096):
                ballast.write(bytes(4096))
                ballast.flush()

    def empty(self) -> None:
        """Make room again."""
        (self.seen / "ballast").unlink()

    def remount(self, mode: str) -> None:
        """Let nobody write to it (`ro`), or everybody again (`rw`)."""
        subprocess.run([*self.inside, "mount", "-o", f"remount,{mode}", str(self.folder)], check=True)

    def close(self) -> None:
        """Let it go with all that is on it."""
        assert self._holder.stdout is not None
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()


@pytest.fixture
def disk(daemons: Daemons) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    disk = SmallDisk(daemons.folder / "disk")
    yield disk
    disk.close()


@pytest.fixture
def cramped(daemons: Daemons, disk: SmallDisk) -> Daemon:
    """A daemon whose state is on the small disk."""
    daemon = daemons.make("d")
    daemon.state = disk.folder / "state"
    command = daemon.command
    daemon.command = lambda: [*disk.inside, *command()]  # type: ignore[method-assign]
    return daemon.start()


def contents(daemon: Daemon) -> dict[str, str | None]:
    found = daemon.call("session.get")["microcosms"]
    return {each["microcosmID"]: each["view"] for each in found}


def until_refused(daemon: Daemon) -> dict[str, str | None]:
    """Change things until one is refused; return what was answered."""
    kept: dict[str, str | None] = {}
    for number in range(10_000):
        view = f"{number:05}" * 50
        if not accepted(daemon, A, view):
            return kept
        kept[A] = view
    raise AssertionError("a full disk refused nothing")


def accepted(daemon: Daemon, microcosm: str = C, view: str | None = None) -> bool:
    """Try to register a reference; tell whether there was room."""
    try:
        return bool(daemon.call("reference.register", microcosmID=microcosm, view=view))
    except StorageFailed as error:
        if error.data["retryable"] is not True:
            raise
        return False


def test_a_full_disk_refuses_changes_and_nothing_else(cramped: Daemon, disk: SmallDisk) -> None:
    cramped.call("reference.register", microcosmID=B, view="before")
    disk.fill()
    kept = {B: "before", **until_refused(cramped)}
    for method, params in (
        ("reference.register", {"microcosmID": C}),
        ("reference.remove", {"microcosmID": B}),
        ("session.reset", {}),
        ("identity.set", {"username": "Ada"}),
    ):
        with pytest.raises(StorageFailed):
            cramped.call(method, **params)
    assert contents(cramped) == kept, "nothing of what was refused is seen"
    read = cramped.call("reference.get", microcosmID=B)  # its touch has no room and is dropped
    assert read["view"] == "before"
    checks = {check["name"]: check for check in cramped.call("daemon.doctor")["checks"]}
    assert checks["disk space"]["ok"] is False
    assert checks["store"]["ok"] is True
    assert cramped.call("daemon.status")["health"]["ok"] is False
    disk.empty()
    until(lambda: accepted(cramped), "a change is taken again")
    assert contents(cramped) == {**kept, C: None}
    cramped.kill()
    cramped.start()
    assert contents(cramped) == {**kept, C: None}


def test_a_kill_on_a_full_disk_loses_nothing_and_it_starts_there(cramped: Daemon, disk: SmallDisk) -> None:
    disk.fill()
    kept = until_refused(cramped)
    cramped.kill()
    disk.fill()  # what the dead one gave back too
    cramped.start()
    assert contents(cramped) == kept
    kept |= until_refused(cramped)
    assert contents(cramped) == kept
    disk.empty()
    until(lambda: accepted(cramped), "a change is taken again")
    assert contents(cramped).items() >= {**kept, C: None}.items()


def test_a_stop_on_a_full_disk_is_in_good_order(cramped: Daemon, disk: SmallDisk) -> None:
    disk.fill()
    kept = until_refused(cramped)
    assert cramped.stop() == 0
    cramped.start()
    assert contents(cramped) == kept


def test_a_first_start_without_any_room_says_so_and_leaves_nothing_half(
    daemons: Daemons, disk: SmallDisk
) -> None:
    disk.fill()
    daemon = daemons.make("d")
    daemon.state = disk.folder / "state"
    command = daemon.command
    daemon.command = lambda: [*disk.inside, *command()]  # type: ignore[method-assign]
    daemon.launch()
    assert daemon.wait() == 1
    assert "No space left" in daemon.words() or "could be made" in daemon.words(), daemon.words()
    disk.empty()
    daemon.start()
    assert daemon.call("reference.register", microcosmID=A)


def test_a_state_that_is_read_only_is_status_7_and_untouched(cramped: Daemon, disk: SmallDisk) -> None:
    cramped.call("reference.register", microcosmID=A, view="before")
    cramped.stop()
    disk.remount("ro")
    cramped.launch()
    assert cramped.wait() == 7
    assert "Read-only file system" in cramped.words()
    examine = [*disk.inside, sys.executable, "-m", "noggd.cli", "doctor", "--json"]
    env = {**cramped.env, "NOGG_STATE_DIR": str(cramped.state), "NOGG_SOCKET": str(cramped.socket)}
    done = subprocess.run(examine, env=env, capture_output=True, text=True, timeout=60)
    ill = {row["name"]: row["message"] for row in json.loads(done.stdout)["checks"] if not row["ok"]}
    assert done.returncode == 7
    assert "is whole, but cannot be written" in ill["store"]
    assert "Read-only file system" in ill["disk sync"]
    disk.remount("rw")
    cramped.start()
    assert contents(cramped) == {A: "before"}


@contextlib.contextmanager
def refusing(daemon: Daemon) -> Iterator[None]:
    """Let every write of the daemon to a file fail (EFBIG): what a broken disk is to it."""
    before = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_to_write_is_an_error_and_no_end(daemon: Daemon) -> None:
    daemon.call("reference.register", microcosmID=A, view="before")
    with daemon.connect() as connection, refusing(daemon):
        for _ in range(3):
            with pytest.raises(StorageFailed):
                connection.call("reference.register", microcosmID=B)
        assert contents(daemon) == {A: "before"}
        assert connection.call("reference.get", microcosmID=A)["view"] == "before"
    until(lambda: accepted(daemon), "a change is taken again")
    assert contents(daemon) == {A: "before", C: None}
    daemon.kill()
    daemon.start()
    assert contents(daemon) == {A: "before", C: None}


def test_a_subscriber_is_told_of_nothing_that_was_refused(daemon: Daemon) -> None:
    with Connection(daemon.socket) as app:
        app.call("session.subscribe")
        with refusing(daemon), pytest.raises(StorageFailed):
            daemon.call("reference.register", microcosmID=A)
        until(lambda: accepted(daemon), "a change is taken again")
        told: Any = next(app.notifications(20))
    assert set(told.params["set"]) == {C}


def test_a_daemon_that_cannot_log_goes_on(daemons: Daemons) -> None:
    """Its log is a pipe that nobody reads any more."""
    daemon = daemons.make("d")
    daemon.launch()
    daemon.wait_until_ready()
    daemon.stop()
    reading, writing = os.pipe()
    process = subprocess.Popen(
        daemon.command(), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, env=daemon.env
    )
    os.close(writing)
    daemon.process = process
    daemon.wait_until_ready()
    os.close(reading)
    process.send_signal(signal.SIGHUP)  # a reload is logged
    assert daemon.call("reference.register", microcosmID=A)
    assert daemon.stop() == 0
