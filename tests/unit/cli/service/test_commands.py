"""`nogg service` where there is no systemd to talk to, and with a stand-in for systemctl."""

import json
import os
from pathlib import Path

import pytest

from noggd.cli.service import place as placing
from noggd.cli.service.manager import Manager
from noggd.cli.service.place import Place
from tests.unit.cli.conftest import Nogg

SHOWN = """LoadState=loaded
UnitFileState=enabled
ActiveState=active
SubState=running
MainPID=42
NRestarts=3
Result=success
StatusText=2 references in 1 sessions
FragmentPath=/x/noggd.service
ExecStart={ path=/nowhere/bin/python ; argv[]=/nowhere/bin/python -I -m noggd ; ignore_errors=no ; pid=42 }
"""


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("venv", "/opt/noggd/bin/python", ("-I",), (Path("/opt/noggd"),))
    monkeypatch.setattr("noggd.cli.service.commands.this_place", lambda: place)
    assert placing.this_place is not None
    monkeypatch.setattr("sys.platform", "linux")


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that notes what it is told and shows a running unit; returns the file of its notes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "systemctl"
    notes = tmp_path / "told"
    (tmp_path / "shown").write_text(SHOWN)
    script.write_text(f'#!/bin/sh\necho "$*" >>{notes}\ncase "$*" in *show*) cat {tmp_path}/shown;; esac\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(Manager, "fault", lambda _: None)
    return notes


def test_a_dry_run_shows_files_and_commands(nogg: Nogg, tmp_path: Path) -> None:
    run = nogg("service", "install", "--dry-run", "--json")
    assert run.status == 0
    assert run.json["commands"][0] == ["systemctl", "--user", "daemon-reload"]
    unit = str(tmp_path / ".config/systemd/user/noggd.service")
    assert "ExecStart=/opt/noggd/bin/python -I -m noggd\n" in run.json["contents"][unit]
    assert not Path(unit).exists()
    assert "ExecStart=/opt/noggd/bin/python" in nogg("service", "install", "--dry-run").out


@pytest.mark.parametrize(
    "options",
    [("--headless",), ("--for", "ada"), ("--lan-only",), ("--system", "--for", "ada", "--hardened")],
)
def test_options_that_do_not_go_together(nogg: Nogg, options: tuple[str, ...]) -> None:
    assert nogg("service", "install", "--dry-run", *options).status == 2


def test_without_systemd_it_says_what_to_do(nogg: Nogg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Manager, "fault", lambda _: "this machine was not started by systemd")
    run = nogg("service", "install")
    assert run.status == 1
    assert "not started by systemd" in run.err


def test_the_status_tells_of_a_missing_interpreter(nogg: Nogg, systemctl: Path) -> None:
    run = nogg("service", "status")
    assert run.status == 0
    assert "MISSING" in run.out
    answer = nogg("service", "status", "--json").json
    assert (answer["pid"], answer["restarts"], answer["interpreter"]) == (42, 3, "/nowhere/bin/python")
    assert answer["interpreter_exists"] is False


def test_a_service_that_does_not_run_exits_1(nogg: Nogg, systemctl: Path, tmp_path: Path) -> None:
    (tmp_path / "shown").write_text(SHOWN.replace("ActiveState=active", "ActiveState=failed"))
    assert nogg("service", "status").status == 1
    (tmp_path / "shown").write_text("LoadState=not-found\n")
    run = nogg("service", "status")
    assert (run.status, "is not installed" in run.out) == (1, True)


def test_uninstalling_removes_ours_only(nogg: Nogg, systemctl: Path, tmp_path: Path) -> None:
    folder = tmp_path / ".config/systemd/user"
    (folder / "noggd.service.d").mkdir(parents=True)
    made = json.loads(nogg("service", "install", "--dry-run", "--json").out)["contents"]
    for path, text in made.items():
        Path(path).write_text(text)
    mine = folder / "noggd.service.d/mine.conf"
    mine.write_text("[Service]\n")
    run = nogg("service", "uninstall", "--json")
    assert sorted(run.json["files"]) == sorted(made)
    assert mine.exists()
    assert "--user disable --now noggd.socket noggd.service" in systemctl.read_text()
