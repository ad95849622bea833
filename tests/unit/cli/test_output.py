"""How answers look: masking, tables, times, colour."""

import io
import time

import pytest

from noggd.cli import output
from noggd.cli.output import MASK, ago, clock_time, mask, printable, span, style, table
from tests.unit.cli.conftest import Terminal


def test_passwords_are_masked_wherever_they_stand() -> None:
    answer = {"set": {"a": {"password": "p1", "view": "v"}}, "ops": [{"password": "p2"}, {"password": None}]}
    assert mask(answer) == {
        "set": {"a": {"password": MASK, "view": "v"}},
        "ops": [{"password": MASK}, {"password": None}],
    }
    assert answer["ops"][0] == {"password": "p2"}, "the answer itself is left alone"  # type: ignore[index]


def test_the_values_of_a_conflict_are_masked() -> None:
    values = [{"value": "p1", "device": "D"}, {"value": None, "device": "E"}]
    conflict = {"field": "password", "values": values, "chosen": "p1"}
    assert mask({"conflicts": [conflict]}) == {
        "conflicts": [
            {
                "field": "password",
                "values": [{"value": MASK, "device": "D"}, {"value": None, "device": "E"}],
                "chosen": MASK,
            }
        ]
    }


def test_what_came_from_another_device_cannot_steer_the_terminal() -> None:
    assert printable("ph\x1b[31mone\n\u202e") == "ph\\x1b[31mone\\x0a\\x202e"
    assert printable("Küche ☃") == "Küche ☃"


def test_a_table_is_aligned_and_empty_without_rows() -> None:
    assert table(("A", "BB"), [("xxx", 1), ("y", "")]) == ["A    BB", "xxx  1", "y"]
    assert table(("A",), []) == []


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (None, "never"),
        (0, "never"),
        (1_000_000, "just now"),
        (996_000, "just now"),
        (990_000, "10 s ago"),
        (700_000, "5 min ago"),
        (1_000_000 - 7_200_000, "never"),
        (1_030_000, "just now"),
        (1_600_000, "10 min ahead"),
    ],
)
def test_times_are_told_by_their_distance(milliseconds: int | None, words: str) -> None:
    assert ago(milliseconds, now=1000.0) == words


def test_spans_are_told_in_their_largest_unit() -> None:
    assert [span(s) for s in (0, 59, 60, 3599, 3600, 86399, 86400, 864000)] == [
        "0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "10 d",
    ]  # fmt: skip


def test_a_moment_is_told_as_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert clock_time(1_700_000_000_000) == "2023-11-14 22:13:20"
    assert clock_time(None) == ""


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert style("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert style("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert style("x", "red", Terminal()) == "x"
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert style("x", "red", Terminal()) == "x"


def test_waiting_is_one_line_without_a_terminal_and_leaves_none_on_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, live = io.StringIO(), Terminal()
    for stream in (plain, live):
        monkeypatch.setattr("sys.stderr", stream)
        waiting = output.Waiting("Waiting for it")
        waiting.update("Still waiting")
        waiting.done()
    assert plain.getvalue() == "Waiting for it …\n"
    shown = live.getvalue().split("\r")
    assert shown[1:] == ["Waiting for it", "Still waiting ", " " * len("Still waiting"), ""]
    assert "\n" not in live.getvalue()
