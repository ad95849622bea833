"""What a cut of the power may leave on a disk, after each of the recorded system calls of a program.

    record ── the program's calls ── Disk.do(call) … ── Disk.crashes() ── folders to open

A disk keeps what was synced. Of the rest of each file any 512-byte sectors may be there or not, in any order, and
the file may have grown without its data; of the changes of names in a folder any may be there or not. Two things
are taken for granted, as every journalling file system gives them: a sector is written whole, and what was written
after a file was cut shorter does not stand beside what was cut off. Not here: which programs, and what must hold.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

SECTOR: Final = 512
STDOUT: Final = 1
CALLS: Final = (
    "openat,creat,write,writev,pwrite64,pwritev,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,"
    "rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat"
)
_LINE: Final = re.compile(r"(\d+) +(.*)")
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_CALL: Final = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_HANDLE: Final = re.compile(r"(\d+|AT_FDCWD)<([^>]*)>")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


Keeps = Callable[[], bool]
"""Asked for everything that was not synced, in order: did it reach the disk?"""


@dataclass(frozen=True, slots=True)
class Call:
    """One change: `kind` is make, write, cut, sync, move, drop or say; `began` counts the calls done before it.

    `path` is the file or folder; `data` and `at` are what was written and where, or the new size; `to` is where a
    file was moved. What was said stands in `data`.
    """

    kind: str
    path: Path
    data: bytes = b""
    at: int = 0
    to: Path = Path()
    began: int = 0


def can_record() -> bool:
    """Tell whether programs can be recorded here."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


def record(command: list[str], folder: Path, **run: object) -> list[Call]:
    """Run a program and return what it did in `folder`, and what it said, in order."""
    log = folder.with_name(folder.name + ".calls")
    watched = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(log)]
    done = subprocess.run([*watched, *command], stdout=subprocess.PIPE, text=True, timeout=170, **run)  # type: ignore[call-overload] # passed on as it is
    assert done.returncode == 0, done.stdout
    with log.open(encoding="ascii") as lines:
        calls = list(read_calls(lines, folder))
    log.unlink()
    return calls


def read_calls(lines: Iterator[str] | list[str], folder: Path) -> Iterator[Call]:
    """Read the log of strace."""
    waiting: dict[str, tuple[str, int]] = {}
    offsets: dict[tuple[str, str], int] = {}
    count = 0
    for line in lines:
        found = _LINE.match(line)
        assert found, line[:200]
        thread, text = found.groups()
        began = count
        if text.endswith("<unfinished ...>"):
            waiting[thread] = (text.removesuffix("<unfinished ...>"), count)
            continue
        if resumed := _RESUMED.match(text):
            start, began = waiting.pop(thread)
            text = start + resumed[1]
        if (parts := _CALL.match(text)) is None or int(parts[3]) < 0:
            continue  # an exit, a signal, or a call that failed
        call = _read(parts[1], parts[2], int(parts[3]), folder, offsets)
        if call is not None:
            count += 1
            yield Call(call.kind, call.path, call.data, call.at, call.to, began)


def _read(
    name: str, arguments: str, result: int, folder: Path, offsets: dict[tuple[str, str], int]
) -> Call | None:
    """Read one call; None where it changed nothing in the folder."""
    texts = [_bytes(text) for text in _TEXT.findall(arguments)]
    handle = _HANDLE.match(arguments)
    number = handle[1] if handle else ""
    if name == "write" and number == str(STDOUT):
        return Call("say", Path(), texts[0])
    path = Path(_bytes(handle[2]).decode()) if handle and handle[2] and number != "AT_FDCWD" else Path()
    if name == "openat":
        path = Path(texts[0].decode())
        assert not path.is_relative_to(folder) or "O_APPEND" not in arguments
        offsets.pop((str(result), str(path)), None)
        if not path.is_relative_to(folder) or not re.search("O_CREAT|O_TRUNC", arguments):
            return None
        return Call("make", path, at=0 if "O_TRUNC" in arguments else -1)
    if name == "rename":
        path, to = Path(texts[0].decode()), Path(texts[1].decode())
        return Call("move", path, to=to) if path.is_relative_to(folder) else None
    if name == "unlink":
        path = Path(texts[0].decode())
        return Call("drop", path) if path.is_relative_to(folder) else None
    if not path.is_relative_to(folder):
        assert name in {"write", "writev", "fsync", "fdatasync", "ftruncate", "pwrite64"}, (
            name,
            arguments[:200],
        )
        return None
    last = arguments.rsplit(", ", 1)[-1]
    match name:
        case "write":
            at = offsets.get((number, str(path)), 0)
            offsets[number, str(path)] = at + result
            return Call("write", path, texts[0][:result], at)
        case "pwrite64":
            return Call("write", path, texts[0][:result], int(last))
        case "ftruncate":
            return Call("cut", path, at=int(last))
        case "fsync" | "fdatasync":
            return Call("sync", path)
    raise AssertionError(f"no model of {name}({arguments[:200]})")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass(slots=True, eq=False)
class File:
    """What a file holds: in memory, on disk for sure, and what was done to it since (a size: it was cut)."""

    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def write(self, at: int, data: bytes) -> None:
        _put(self.data, at, data)
        self.since.append((at, data))

    def cut(self, size: int) -> None:
        _cut(self.data, size)
        self.since.append((size, None))

    def sync(self, but_last: int = 0) -> None:
        """Put on disk what was done, except the last calls, which began after the sync did."""
        later = self.since[len(self.since) - but_last :]
        self.synced = bytes(self.data) if not later else self.left(lambda: True, self.since[: -len(later)])
        self.since = later

    def left(self, keeps: Keeps, since: list[tuple[int, bytes | None]] | None = None) -> bytes:
        """Return what may be found after a cut; `keeps()` is asked for every sector and every change of size."""
        image = bytearray(self.synced)
        for at, data in self.since if since is None else since:
            if data is None:
                if not keeps():
                    break  # nothing that came behind it can stand beside what it cut off
                _cut(image, at)
                continue
            start = at
            while start < at + len(data):
                end = min(at + len(data), (start // SECTOR + 1) * SECTOR)
                if keeps():
                    _put(image, start, data[start - at : end - at])
                elif end > len(image) and keeps():
                    image.extend(bytes(end - len(image)))  # it grew, but the data did not arrive
                start = end
        return bytes(image)


def _put(image: bytearray, at: int, data: bytes) -> None:
    if len(image) < at:
        image.extend(bytes(at - len(image)))
    image[at : at + len(data)] = data


def _cut(image: bytearray, size: int) -> None:
    del image[size:]
    image.extend(bytes(size - len(image)))


class Disk:
    """The disk under a program. `forgets` says which syncs do nothing: what a program without them would risk."""

    def __init__(self, folder: Path, before: dict[str, bytes], forgets: str = "(?!)") -> None:
        self.folder = folder
        self._forgets = re.compile(forgets)
        self.names = {folder / name: File(bytearray(data), data) for name, data in before.items()}
        self._synced = dict(self.names)
        self._since: list[tuple[Path, File | None, Path | None]] = []
        self.said: list[bytes] = []
        self._done: list[File | None] = []

    def do(self, call: Call) -> None:
        """Let a call happen."""
        changed: File | None = None
        match call.kind:
            case "make" if call.path not in self.names:
                self._name(call.path, File())
            case "make":
                if call.at == 0 and self.names[call.path].data:
                    self.names[call.path].cut(0)
                    changed = self.names[call.path]
            case "write" | "cut":
                changed = self.names[call.path]
                if call.kind == "cut":
                    changed.cut(call.at)
                else:
                    changed.write(call.at, call.data)
            case "move":
                file = self.names.pop(call.path)
                self.names[call.to] = file
                self._since.append((call.to, file, call.path))
            case "drop":
                del self.names[call.path]
                self._since.append((call.path, None, None))
            case "say":
                self.said.append(call.data)
            case "sync":
                self._sync(call)
        self._done.append(changed)

    def _name(self, path: Path, file: File) -> None:
        self.names[path] = file
        self._since.append((path, file, None))

    def _sync(self, call: Call) -> None:
        file = self.names.get(call.path)
        what = f"{'file' if file else 'names'} {call.path.relative_to(self.folder.parent)}"
        if self._forgets.search(what):
            return
        if file is not None:
            file.sync(but_last=sum(1 for each in self._done[call.began :] if each is file))
            return
        assert all(path.parent == call.path for path, _, _ in self._since), "the model knows one folder"
        self._synced = dict(self.names)
        self._since.clear()

    def crashes(self, dice: random.Random, several: int) -> Iterator[dict[str, bytes]]:
        """Yield what may be found after a cut at this moment: the extremes, and some of what lies between."""
        never, ever = _chance(dice, 0.0), _chance(dice, 1.0)
        ways = [(never, never), (never, ever), (ever, never), (ever, ever)]
        for _ in range(several):
            names, data = dice.choice((0.1, 0.5, 0.9, 1.0)), dice.choice((0.1, 0.5, 0.9, 0.99))
            ways.append((_chance(dice, names), _chance(dice, data)))
        for names_keep, data_keep in ways:
            found = dict(self._synced)
            for path, file, former in self._since:
                if not names_keep():
                    continue
                if former is not None:
                    found.pop(former, None)
                if file is None:
                    found.pop(path, None)
                else:
                    found[path] = file
            yield {path.name: file.left(data_keep) for path, file in found.items()}


def _chance(dice: random.Random, share: float) -> Keeps:
    return lambda: dice.random() < share


def fingerprint(files: dict[str, bytes]) -> bytes:
    """Return the same for the same files."""
    digest = sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name} {len(data)} ".encode())
        digest.update(data)
    return digest.digest()


def python(module: str, *words: object) -> list[str]:
    """Return the command line of a module of ours."""
    return [sys.executable, "-m", module, *map(str, words)]
