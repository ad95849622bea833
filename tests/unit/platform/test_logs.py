import asyncio
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


def test_the_journal_adds_time_and_priority_itself() -> None:
    assert logs.JournalFormatter().format(record(logging.WARNING, "text")) == "peers: text"


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
    for handler in set(root.handlers) - set(before[1]):
        handler.close()
    root.handlers[:] = before[1]


def test_setting_up_twice_logs_once(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "text")
    logs.set_up("warning", "json")
    logging.getLogger("noggd.core").info("hidden")
    logging.getLogger("noggd.core").warning("shown")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["shown"]


def test_libraries_are_quiet_unless_asked(root_logger: logging.Logger) -> None:
    logs.set_up("info", "text")
    assert not logging.getLogger("zeroconf").isEnabledFor(logging.INFO)
    logs.set_up("debug", "text")
    assert logging.getLogger("zeroconf").isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize("name", ["websockets.server", "websockets.client", "asyncio"])
def test_libraries_that_log_what_they_carry_never_do(root_logger: logging.Logger, name: str) -> None:
    logs.set_up("debug", "text")
    assert logging.getLogger(name).isEnabledFor(logging.INFO)
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


def test_a_fault_in_a_callback_does_not_quote_its_arguments(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(secret: str) -> None:
        raise ValueError(f"cannot take {secret}")

    logs.set_up("debug", "text")
    loop = asyncio.new_event_loop()
    loop.set_debug(True)  # then asyncio shows even more
    loop.set_exception_handler(logs.fault_in_loop)
    loop.call_soon(fail, "hunter2")
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    said = capsys.readouterr().err
    assert "fail" in said
    assert "ValueError" in said
    assert "hunter2" not in said.replace('f"cannot take {secret}"', "")


def test_the_journal_form_has_priorities_on_any_stderr(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("info", "journal")
    logging.getLogger("noggd.core").warning("shown")
    assert capsys.readouterr().err == "<4>core: shown\n"


def test_what_a_record_brings_along_is_in_its_json() -> None:
    brought = record(logging.INFO, "linked")
    brought.fields = {"device": "ABC"}
    assert json.loads(logs.JsonFormatter().format(brought))["device"] == "ABC"
