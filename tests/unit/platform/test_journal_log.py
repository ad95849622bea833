import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from noggd.platform.journal_log import LONGEST, JournalHandler, datagram, priority


def record(message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("noggd.services.peers", level, "links.py", 7, message, (), None, "dial")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.settimeout(5)
        yield listener


@pytest.mark.parametrize(("level", "number"), [(10, 7), (20, 6), (30, 4), (40, 3), (50, 2)])
def test_levels_have_priorities(level: int, number: int) -> None:
    assert priority(level) == number


def test_values_of_several_lines_say_how_long_they_are() -> None:
    assert (
        datagram({"A": "one", "B": "two\nlines"}) == b"A=one\nB\n" + b"\x09\0\0\0\0\0\0\0" + b"two\nlines\n"
    )


def test_a_value_cannot_forge_a_field() -> None:
    length = len("x\nPRIORITY=0").to_bytes(8, "little")
    assert datagram({"MESSAGE": "x\nPRIORITY=0"}) == b"MESSAGE\n" + length + b"x\nPRIORITY=0\n"


def test_an_entry_has_priority_source_place_and_fields(journal: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(str(tmp_path / "socket"))
    lost = record("lost a link")
    lost.fields = {"device": "ABC"}
    handler.emit(lost)
    handler.close()
    lines = journal.recv(1 << 16).decode().splitlines()
    assert set(lines) == {
        "MESSAGE=lost a link",
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=noggd",
        "LOGGER=noggd.services.peers",
        "CODE_FILE=links.py",
        "CODE_LINE=7",
        "CODE_FUNC=dial",
        "NOGG_DEVICE=ABC",
    }


def test_a_long_message_is_cut(journal: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(str(tmp_path / "socket"))
    handler.emit(record("x" * 10 * LONGEST))
    handler.close()
    assert len(journal.recv(1 << 20)) < LONGEST + 1000


@pytest.mark.parametrize("name", ["nobody", None])
def test_without_a_journal_entries_go_to_stderr(
    name: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = JournalHandler(name and str(tmp_path / name))
    handler.emit(record("two\nlines", logging.ERROR))
    handler.close()
    assert capsys.readouterr().err == "<3>two\n<3>lines\n"
