import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from noggd.platform import files


@pytest.fixture(params=[0o000, 0o077, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_folder_and_its_parents_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    files.private_directory(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    files.private_directory(tmp_path)
    assert mode(tmp_path) == 0o755


def test_a_relative_folder_is_made_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.private_directory(Path("here/below"))
    assert (tmp_path / "here" / "below").is_dir()


def test_a_symlinked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(files.UnsafePath, match="symlink"):
        files.private_directory(tmp_path / "link")


def test_a_dangling_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(files.UnsafePath, match="symlink"):
        files.private_directory(tmp_path / "link")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(files.UnsafePath, match="not a folder"):
        files.private_directory(tmp_path / "file")


def test_someone_elses_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(files.UnsafePath, match=f"belongs to user {owner}"):
        files.owned_directory(tmp_path)


def test_a_file_is_written_whole_and_private(tmp_path: Path, umask: int) -> None:
    target = tmp_path / "key"
    files.write_private(target, b"old")
    files.write_private(target, b"new")
    assert target.read_bytes() == b"new"
    assert mode(target) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "key"
    files.write_private(target, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        files.write_private(target, b"new")
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_what_a_killed_write_left_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    files.write_private(path, b"old")
    with monkeypatch.context() as patch:
        for method in (
            "replace",
            "unlink",
        ):  # as if it had been killed before the first, so without the second
            patch.setattr(Path, method, lambda *_, **__: None)
        files.write_private(path, b"new")
    assert len(list(tmp_path.iterdir())) == 2
    files.sweep(tmp_path)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("secret", b"old")]


def test_the_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    with files.InstanceLock(tmp_path), pytest.raises(files.AlreadyRunning) as refused:
        files.InstanceLock(tmp_path)
    assert refused.value.pid == os.getpid()
    assert str(os.getpid()) in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first = files.InstanceLock(tmp_path)
    first.release()
    first.release()
    with files.InstanceLock(tmp_path):
        pass


def test_the_lock_file_is_private_and_no_symlink_is_followed(tmp_path: Path) -> None:
    with files.InstanceLock(tmp_path) as lock:
        assert mode(lock.path) == 0o600
    (tmp_path / "other").symlink_to(tmp_path / "target")
    with pytest.raises(files.UnsafePath, match="symlink"):
        files.InstanceLock(tmp_path, "other")
    assert not (tmp_path / "target").exists()
