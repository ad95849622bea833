"""Private folders and files, and the lock that keeps a second daemon away from a state dir.

What belongs to one person must be readable by that person only, whatever the umask says, and must not be
redirected by somebody else's symlink. Nothing here knows what the files hold.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
UNWRITTEN = ".unwritten"
"""How the names of files end that are to take the place of another one, and are not whole yet."""


class UnsafePath(Exception):
    """A folder or file that we must not use: a symlink, someone else's, or of the wrong kind."""


class AlreadyRunning(Exception):
    """Another process holds the state dir.

    `pid` is the process that holds it, or None while it has not written its number yet.
    """

    def __init__(self, directory: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{directory} is in use by {who}; only one daemon may run on a state dir")
        self.pid = pid


def private_directory(path: Path) -> None:
    """Make sure that `path` is a folder of ours.

    Missing folders on the way are created with mode 0700. A folder that exists keeps its mode.
    Raises UnsafePath if `path` is a symlink, not a folder, or owned by someone else.
    """
    if not path.is_absolute():
        path = Path.cwd() / path
    missing = [path, *path.parents]
    missing = missing[
        : next((i for i, folder in enumerate(missing) if os.path.lexists(folder)), len(missing))
    ]
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=DIRECTORY_MODE)
        except FileExistsError:
            continue  # somebody else made it between our look and our call; judged below like any other
        folder.chmod(DIRECTORY_MODE)  # a umask of 0700 would have left us without access to it
    owned_directory(path)


def owned_directory(path: Path, *, or_root: bool = False) -> None:
    """Refuse with UnsafePath what is not a real folder of this user's (with `or_root`, or root's)."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise UnsafePath(f"{path} is a symlink; name the folder itself")
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafePath(f"{path} is not a folder")
    if found.st_uid != os.geteuid() and not (or_root and found.st_uid == 0):
        raise UnsafePath(f"{path} belongs to user {found.st_uid}, not to us ({os.geteuid()})")


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data` with mode 0600, whole or not at all, and on disk when this returns."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNWRITTEN, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)  # mkstemp says 0600 too, but obeys the umask
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sweep(directory: Path) -> None:
    """Remove what a killed `write_private` left in a folder of which we hold the lock: it may hold secrets."""
    for left in directory.glob(f".*{UNWRITTEN}"):
        left.unlink()


def sync_directory(path: Path) -> None:
    """Put the names in a folder on disk: a rename without this may be lost with the power."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class InstanceLock:
    """An advisory lock on a folder, held from construction until `release`, and gone with the process.

    The kernel drops it with the process, so a crash never leaves a stale one. The file holds the pid of
    its last holder, for the message only, and stays behind: removing it would let two holders in.
    """

    def __init__(self, directory: Path, name: str = "lock") -> None:
        self.path = directory / name
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._handle = os.open(self.path, flags, FILE_MODE)
        except OSError as error:
            if self.path.is_symlink():
                raise UnsafePath(f"{self.path} is a symlink; remove it") from error
            raise
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self._holder()
            os.close(self._handle)
            raise AlreadyRunning(directory, pid) from None
        os.fchmod(self._handle, FILE_MODE)
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def _holder(self) -> int | None:
        text = os.pread(self._handle, 32, 0).strip()
        return int(text) if text.isdigit() else None

    @property
    def in_place(self) -> bool:
        """Whether the locked file is still the one under its name: else another process could lock a new one."""
        try:
            return os.path.samestat(os.fstat(self._handle), self.path.lstat())
        except OSError:
            return False

    def release(self) -> None:
        """Let the next one in. Harmless when called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
