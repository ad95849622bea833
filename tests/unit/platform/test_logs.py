import json
import logging
import sys
from collections.abc import Iterator

import pytest

from noggd.platform import logs


def record(level: int, message: str, *, trace: bool = False) -> logging.LogRecord:
    error = None
    if trace:
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            error = sys.exc_info()
    return logging.LogRecord("noggd.services.peers", level, "x.py", 1, message, (), error)


def test_text_is_for_people() -> None:
    line = logs.TextFormatter().format(record(logging.WARNING, "lost a link"))
    assert line.endswith(" warning peers: lost a link")
    assert line.startswith("20")


@pytest.mark.parametrize(
    ("level", "prefix"),
    [
        (logging.DEBUG, "<7>"),
        (logging.INFO, "<6>"),
        (logging.WARNING, "<4>"),
        (logging.ERROR, "<3>"),
        (50, "<2>"),
    ],
)
def test_the_journal_gets_its_priorities(level: int, prefix: str) -> None:
    assert logs.JournalFormatter().format(record(level, "text")) == f"{prefix}peers: text"


def test_every_line_of_a_trace_carries_the_priority() -> None:
    lines = logs.JournalFormatter().format(record(logging.ERROR, "oh", trace=True)).splitlines()
    assert len(lines) > 2
    assert all(line.startswith("<3>") for line in lines)


def test_json_is_one_line() -> None:
    line = logs.JsonFormatter().format(record(logging.ERROR, "über\nzwei", trace=True))
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["level"] == "error"
    assert fields["source"] == "noggd.services.peers"
    assert fields["message"] == "über\nzwei"
    assert fields["trace"].startswith("Traceback")


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield root
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def test_setting_up_twice_logs_once(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "text")
    logs.set_up("warning", "json")
    logging.getLogger("noggd.core").info("hidden")
    logging.getLogger("noggd.core").warning("shown")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["shown"]


def test_libraries_are_quiet_unless_asked(root_logger: logging.Logger) -> None:
    logs.set_up("info", "text")
    assert not logging.getLogger("websockets.server").isEnabledFor(logging.INFO)
    logs.set_up("debug", "text")
    assert logging.getLogger("websockets.server").isEnabledFor(logging.DEBUG)
