import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from noggd.platform.files import AlreadyRunning, UnsafePath
from noggd.platform.unix_socket import ListeningSocket, SocketInUse, hung_up, peer_uid


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    before = os.umask(0)
    yield tmp_path / "s"
    os.umask(before)


def test_the_socket_is_private_even_without_a_umask(path: Path) -> None:
    listening = ListeningSocket(path)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    listening.close()
    assert not path.exists()


def test_a_missing_folder_is_made_private(path: Path) -> None:
    listening = ListeningSocket(path.parent / "run" / "s")
    assert stat.S_IMODE((path.parent / "run").lstat().st_mode) == 0o700
    listening.close()


def test_nothing_else_stays_beside_the_socket_but_its_lock(path: Path) -> None:
    listening = ListeningSocket(path)
    assert {file.name for file in path.parent.iterdir()} == {"s", "s.lock"}
    listening.close()


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listening = ListeningSocket(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listening.close()


def test_a_live_socket_is_not_taken_over(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(SocketInUse, match="another daemon answers"):
            ListeningSocket(path)
    assert path.exists()


def test_two_at_once_cannot_both_win(path: Path) -> None:
    listening = ListeningSocket(path)
    with pytest.raises(AlreadyRunning):
        ListeningSocket(path)
    listening.close()


def test_a_symlink_is_refused_and_its_target_untouched(path: Path) -> None:
    target = path.parent / "target"
    target.write_text("mine")
    path.symlink_to(target)
    with pytest.raises(UnsafePath, match="symlink"):
        ListeningSocket(path)
    assert target.read_text() == "mine"
    assert path.is_symlink()


def test_a_plain_file_is_refused_and_kept(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(UnsafePath, match="not a socket"):
        ListeningSocket(path)
    assert path.read_text() == "mine"


def test_a_symlinked_folder_is_refused(path: Path) -> None:
    (path.parent / "real").mkdir()
    (path.parent / "link").symlink_to(path.parent / "real")
    with pytest.raises(UnsafePath, match="symlink"):
        ListeningSocket(path.parent / "link" / "s")


def test_someone_elses_socket_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    foreign = type("Found", (), {"st_mode": path.lstat().st_mode, "st_uid": os.geteuid() + 1, "st_ino": 0})
    real = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda self: foreign if self == path else real(self))
    with pytest.raises(UnsafePath, match="belongs to user"):
        ListeningSocket(path)


def test_a_path_too_long_for_the_kernel_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnsafePath, match="shorter --socket"):
        ListeningSocket(tmp_path / ("s" * 120))


def test_closing_leaves_a_name_that_is_no_longer_ours(path: Path) -> None:
    listening = ListeningSocket(path)
    path.unlink()
    path.write_text("somebody's")
    listening.close()
    assert path.read_text() == "somebody's"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the two apart")
def test_gone_is_told_from_done_with_sending() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert not hung_up(ours.fileno())
        theirs.shutdown(socket.SHUT_WR)
        assert ours.recv(1) == b""
        assert not hung_up(ours.fileno())
        theirs.close()
        assert hung_up(ours.fileno())


def test_the_kernel_says_who_is_there() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()
