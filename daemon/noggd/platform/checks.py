"""What can be wrong with the machine around a state folder: rights, disk, clock, lingering, the program itself.

The daemon checks these while it runs, `nogg doctor` when it does not. Nothing here repairs anything, and nothing
knows what the files hold.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LOW_DISK = 64 << 20
"""Bytes of free space under which the disk counts as nearly full."""

SLOW_SYNC = 1.0
"""Seconds for one fsync over which a disk counts as too slow."""

FAST_SYNC = 20e-6
"""Seconds for one fsync under which a disk can hardly have written anything."""

EARLIEST = 1_735_689_600
"""The Unix time of 2025-01-01, before noggd was written: a clock that says less was never set."""

LINGER = Path("/var/lib/systemd/linger")
"""systemd-logind keeps one empty file here for each user whose services run without a login."""


Check = dict[str, Any]
"""One thing that was looked at: `{name, ok, message, fix}`, as in `daemon.doctor`."""


def check(name: str, ok: bool, message: str, fix: str) -> Check:
    """Return one row; the fix is told only where something is to be mended."""
    return {"name": name, "ok": ok, "message": message, "fix": None if ok else fix}


def state_folder(folder: Path) -> Check:
    """Check that nobody else can look into the state folder."""
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    return check(
        "state folder",
        not mode & 0o077 and os.geteuid() in (found.st_uid, 0),
        f"{folder} has mode {mode:04o} and belongs to user {found.st_uid}",
        f"chmod 700 {folder}, and see that it belongs to user {os.geteuid()}",
    )


def state_files(folder: Path) -> Check:
    """Check that nobody else can read a file in the state folder, wherever it is copied with its mode."""
    open_ones = sorted(
        str(path.relative_to(folder)) for path in _files(folder) if path.lstat().st_mode & 0o077
    )
    return check(
        "state files",
        not open_ones,
        f"others may use {', '.join(open_ones)}" if open_ones else "every file is ours alone",
        f"chmod -R go= {folder}",
    )


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def disk_space(folder: Path) -> Check:
    """Check that there is room to write."""
    free = shutil.disk_usage(folder).free
    return check(
        "disk space",
        free >= LOW_DISK,
        f"{free >> 20} MiB are free where {folder} is",
        "make room on that disk; until then changes may be refused, and nothing is lost",
    )


def disk_sync(folder: Path) -> Check:
    """Check that the disk writes when it is told to, and in good time."""
    try:
        seconds = sync_time(folder)
    except OSError as error:
        fix = "see what is wrong with that disk; until then changes are refused, and nothing is lost"
        return check("disk sync", False, f"nothing can be written to {folder}: {error.strerror}", fix)
    pace = f"an fsync takes {seconds * 1000:.2f} ms"
    if seconds < FAST_SYNC:
        return check(
            "disk sync",
            False,
            f"{pace}: this disk says that it has written before it has",
            "keep the state on a real disk (--state-dir); what is answered may be lost with the power",
        )
    return check("disk sync", seconds < SLOW_SYNC, pace, "move the state to a quicker disk (--state-dir)")


def sync_time(folder: Path) -> float:
    """Return the seconds that one fsync takes in a folder, the best of five."""
    best = float("inf")
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(5):
            file.write(b"x" * 64)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            best = min(best, time.perf_counter() - started)
    return best


def clock(now: float | None = None) -> Check:
    """Check that the clock was ever set: changes are ordered by it."""
    seconds = time.time() if now is None else now
    return check(
        "clock",
        seconds >= EARLIEST,
        f"it is {time.strftime('%Y-%m-%d %H:%M:%S %z', time.localtime(seconds))}",
        "set the clock (timedatectl set-ntp true): what is changed now would count as older than everything else",
    )


def under_user_manager() -> bool:
    """Tell whether systemd's manager of a user started this process, which ends with their last login."""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return f"/user@{os.getuid()}.service/" in groups


def lingering(user: str | None = None) -> Check:
    """Say whether a service of this user runs without a login. Both are well, but only one is what is wanted."""
    try:
        name = user or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    on = (LINGER / name).exists()
    off = f"the service runs only while {name} is logged in; loginctl enable-linger {name} changes that"
    return check("lingering", True, f"the service of {name} runs without a login" if on else off, "")


def program(running: str) -> Check:
    """Check that the interpreter and the version that run are still those that are installed."""
    interpreter = Path(sys.executable)
    if not interpreter.exists():
        return check(
            "program",
            False,
            f"{interpreter} is gone: a new Python was installed, or the venv was removed",
            "install noggd again, then nogg service install",
        )
    try:
        installed = version("noggd")
    except PackageNotFoundError:
        installed = running
    return check(
        "program",
        installed == running,
        f"noggd {running} on {interpreter}"
        + (f", but {installed} is installed" if installed != running else ""),
        "nogg daemon restart",
    )
