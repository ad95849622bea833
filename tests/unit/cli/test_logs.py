"""`nogg logs`: from a file, and from the journal."""

import threading
from pathlib import Path

import pytest

from noggd.cli import logs
from noggd.cli.service.manager import Manager
from noggd.cli.service.running import Unit
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import DAEMON, FakeDaemon


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(logs, "installed", lambda: None)
    monkeypatch.setenv("NOGG_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "state/log/noggd.log"
    path.parent.mkdir(parents=True)
    return path


def test_the_last_lines_of_the_file(nogg: Nogg, file: Path) -> None:
    file.write_text("".join(f"line {number}\n" for number in range(100)))
    assert nogg("logs", "-n", "2").out == "line 98\nline 99\n"
    assert len(nogg("logs").out.splitlines()) == logs.LINES
    assert nogg("logs", "-n", "0").out == ""


def test_a_log_that_is_not_there(nogg: Nogg, file: Path) -> None:
    run = nogg("logs")
    assert run.status == 1
    assert str(file) in run.err


def test_a_line_that_is_half_written_is_shown_when_it_is_whole(file: Path) -> None:
    file.write_text("first\nsec")
    following = logs._tail(file, 10, follow=True)
    assert next(following) == "first"
    with file.open("a") as log:
        log.write("ond\n")
    assert next(following) == "second"


def test_a_file_is_followed(file: Path) -> None:
    file.write_text("first\n")
    seen: list[str] = []
    enough = threading.Event()

    def follow() -> None:
        for line in logs._tail(file, 10, follow=True):
            seen.append(line)
            if len(seen) == 3:
                enough.set()
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    with file.open("a") as log:
        log.write("second\nthi")
        log.flush()
        log.write("rd\n")
    assert enough.wait(20)
    assert seen == ["first", "second", "third"]


@pytest.mark.parametrize("follow", [True, False])
def test_a_service_has_its_log_in_the_journal(
    nogg: Nogg, file: Path, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, follow: bool
) -> None:
    became: list[list[str]] = []

    def become(_: str, command: list[str]) -> None:
        became.append(command)
        raise SystemExit

    monkeypatch.setattr("os.execvp", become)
    monkeypatch.setattr(logs, "unit_of", lambda pid: Unit(Manager(user=True), "noggd") if pid == 42 else None)
    daemon.answers["daemon.status"] = {**DAEMON, "places": {"logs": "/nowhere"}}
    with pytest.raises(SystemExit):
        nogg("logs", "-n", "7", *(["-f"] if follow else []))
    assert became == [["journalctl", "--user", "-u", "noggd.service", "-n", "7", *(["-f"] if follow else [])]]
