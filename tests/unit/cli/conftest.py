"""Runs the command line in this process, against a scripted daemon."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from noggd.cli.main import main
from tests.unit.cli.fake import DAEMON, HELLO, PEER, FakeDaemon, device


class Run(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The answer; its format version is checked and taken off."""
        answer: dict[str, Any] = json.loads(self.out)
        assert answer.pop("version") == 1
        return answer


Nogg = Callable[..., Run]


class Terminal(io.StringIO):
    """Text that is typed at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    fake = FakeDaemon(tmp_path / "socket")
    fake.answers = {"device.list": {"devices": [device()]}, "active.get": {"active": None}}
    yield fake
    fake.close()


@pytest.fixture
def nogg(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nogg:
    """Run `nogg` with the given arguments; `stdin` is what is piped in."""
    monkeypatch.setenv("NOGG_SOCKET", str(tmp_path / "socket"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("_NOGG_COMPLETE", raising=False)

    def run(*arguments: str, stdin: str | io.StringIO = "") -> Run:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        capsys.readouterr()
        status = main(arguments)
        return Run(status, *capsys.readouterr())

    return run


@pytest.fixture
def home(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon at which all is well: two microcosms, one peer, a named person."""
    daemon.answers |= {
        "hello": HELLO,
        "daemon.status": DAEMON,
        "session.list": {"sessions": [{"session": "default", "revision": 5, "references": 2}]},
        "active.get": {"active": "garden.1"},
        "reference.conflicts": {"conflicts": []},
        "identity.get": {"identityID": "identity_" + "a" * 36, "username": "Ada", "aliases": []},
        "sync.status": {"listen": "[::]:7734", "peers": [PEER]},
    }
    return daemon
