"""A listening Unix socket that nobody else can open, take over or be tricked by, and who is at its other end.

The recipe: lock, look at what is in the way, bind under another name with mode 0600, listen, rename over the
public name. So the public name never exists with a wider mode or without a listener, and two daemons that
start at once cannot both win.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import stat
import struct
import sys
from pathlib import Path

from nogg.paths import socket_path_fault
from noggd.platform.files import InstanceLock, UnsafePath, owned_directory, private_directory

BACKLOG = 128
_LINUX: bool = sys.platform.startswith("linux")


class SocketInUse(Exception):
    """Another daemon answers on this path."""


class ListeningSocket:
    """A bound socket at `path`; `close` removes the name again, but only while it is still ours."""

    def __init__(self, path: Path) -> None:
        """Bind and listen. Raises UnsafePath, SocketInUse, AlreadyRunning or OSError, and leaves nothing."""
        if not path.parent.exists():
            private_directory(path.parent)
        owned_directory(path.parent, or_root=True)  # root's: /tmp, /run; what we bind there is still 0600
        self.path = path
        self._lock = InstanceLock(path.parent, f"{path.name}.lock")
        try:
            _refuse_what_is_not_stale(path)
            self.socket = _bind(path)
            self._inode = path.lstat().st_ino
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Stop listening and remove the name. Harmless when called twice."""
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()
        self._lock.release()


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end at the time of connect, as the kernel knows it.

    Inside a user namespace everybody unknown is 65534, which is never ours, so the answer fails safe.
    """
    if _LINUX:
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", packed)
        return int(uid)
    # macOS and the BSDs: struct xucred {u_int version; uid_t uid; ...} behind LOCAL_PEERCRED of SOL_LOCAL
    packed = connection.getsockopt(0, 0x001, 76)
    _, uid = struct.unpack_from("2I", packed)
    return int(uid)


def hung_up(descriptor: int) -> bool:
    """Tell whether the other end of a connection is gone altogether, and not only done with sending.

    Both look the same to a reader. Where the system does not tell them apart reliably, the answer is no.
    """
    if not _LINUX:
        return False
    asking = select.poll()
    asking.register(descriptor, 0)  # POLLHUP is always told
    return any(events & select.POLLHUP for _, events in asking.poll(0))


def _refuse_what_is_not_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        kind = "a symlink" if stat.S_ISLNK(found.st_mode) else "not a socket"
        raise UnsafePath(f"{path} is {kind}; remove it or choose another --socket")
    if found.st_uid != os.geteuid():
        raise UnsafePath(f"{path} belongs to user {found.st_uid}; choose another --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return  # left behind by a crash: the rename replaces it
        except OSError as error:
            raise SocketInUse(f"{path} is taken: {error.strerror or error}") from error
    raise SocketInUse(f"another daemon answers on {path}; stop it or choose another --socket")


def _bind(path: Path) -> socket.socket:
    temporary = path.parent / f".{secrets.token_hex(4)}"
    fault = socket_path_fault(path) or socket_path_fault(temporary)
    if fault:
        raise UnsafePath(f"{fault}; choose a shorter --socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # so that the socket is 0600 from its first moment
    try:
        listener.bind(str(temporary))
        listener.listen(BACKLOG)
        temporary.rename(path)
    except BaseException:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener
