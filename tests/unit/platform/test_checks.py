import sys
from pathlib import Path

import pytest

from noggd.platform import checks


def test_a_real_disk_takes_time(tmp_path: Path) -> None:
    assert 0 < checks.sync_time(tmp_path) < 60


def test_a_disk_that_refuses_to_write_is_a_finding_and_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> float:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checks, "sync_time", refuse)
    found = checks.disk_sync(tmp_path)
    assert (found["ok"], "No space left" in found["message"]) == (False, True)


def test_a_clock_that_was_never_set_is_named() -> None:
    assert checks.clock()["ok"] is True
    found = checks.clock(now=86_400.0)
    assert found["ok"] is False
    assert "1970" in found["message"]


def test_lingering_is_told_and_is_no_fault_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LINGER", tmp_path)
    off = checks.lingering("ada")
    assert (off["ok"], "loginctl enable-linger ada" in off["message"]) == (True, True)
    (tmp_path / "ada").touch()
    assert "without a login" in checks.lingering("ada")["message"]


def test_another_version_on_disk_wants_a_restart() -> None:
    from importlib.metadata import version

    assert checks.program(version("noggd"))["ok"] is True
    found = checks.program("0.0.1")
    assert (found["ok"], found["fix"]) == (False, "nogg daemon restart")


def test_an_interpreter_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = checks.program("1")
    assert (found["ok"], "/nowhere/python is gone" in found["message"]) == (False, True)


def test_links_that_stand_for_files_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch(mode=0o644)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "link").symlink_to(outside)
    assert checks.state_files(state)["ok"] is True
