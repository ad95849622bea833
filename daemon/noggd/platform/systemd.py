"""The three things that systemd and a service say to each other: readiness, a watchdog, passed sockets.

Everything is a no-op where systemd did not start us. No library: the protocol is a datagram and three
environment variables (sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)).
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_FIRST_PASSED = 3  # SD_LISTEN_FDS_START


def notify(**fields: str | int) -> bool:
    """Tell the service manager, e.g. `notify(READY=1, STATUS="42 references")`. False if there is none.

    Never raises: a service that cannot reach its manager must go on serving.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    lines = "\n".join(f"{key}={str(value).replace(chr(10), ' ')}" for key, value in fields.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(lines.encode(), address)
    except OSError:
        return False
    return True


def notify_reloading() -> bool:
    """Say that a reload begins; `notify(READY=1)` ends it. The time is what Type=notify-reload asks for."""
    return notify(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)


def watchdog_interval() -> float | None:
    """Return seconds between signs of life, a third of what systemd allows; None if it does not watch us."""
    allowed = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not allowed.isdigit() or int(allowed) <= 0 or (pid and pid != str(os.getpid())):
        return None
    return int(allowed) / 1_000_000 / 3


def passed_sockets() -> list[socket.socket]:
    """Take over the listening stream sockets that systemd opened for us, once.

    The variables are removed so that no child believes that they are its own. The paths of these sockets
    belong to systemd: whoever serves them must not unlink them.
    """
    count = os.environ.get("LISTEN_FDS", "")
    ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if not ours or not count.isdigit():
        return []
    return list(_sockets(range(_FIRST_PASSED, _FIRST_PASSED + int(count))))


def _sockets(handles: range) -> Iterator[socket.socket]:
    for handle in handles:
        if not stat.S_ISSOCK(os.fstat(handle).st_mode):
            continue
        os.set_inheritable(handle, False)
        passed = socket.socket(fileno=handle)
        if passed.type == socket.SOCK_STREAM:
            passed.setblocking(False)
            yield passed
        else:
            passed.close()


def credential(name: str) -> Path | None:
    """Return the file of a credential that the unit was given (systemd.exec(5), CREDENTIALS), None without it.

    Whose it is and which mode it has differs between versions; that we can read it is all that counts.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / name if folder else None
    return path if path is not None and path.is_file() else None


def turn_away(line: bytes) -> None:
    """Tell everybody who waits at a passed socket why we cannot start, and hang up.

    Those who were left waiting would make systemd start us again at once, and for ever.
    """
    for listener in passed_sockets():
        with listener:
            while True:
                try:
                    waiting, _ = listener.accept()
                except OSError:
                    break  # nobody is left
                with waiting, contextlib.suppress(OSError):
                    waiting.setblocking(False)
                    waiting.send(line)


def stderr_is_journal() -> bool:
    """Tell whether stderr is the journal, where `<N>` at the start of a line sets its priority."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    with contextlib.suppress(OSError, ValueError):
        found = os.fstat(sys.stderr.fileno())
        return (device, inode) == (str(found.st_dev), str(found.st_ino))
    return False
