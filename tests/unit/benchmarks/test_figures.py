from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import record
from benchmarks.figures import Row, paired_ratio, quantile, table
from benchmarks.plot import cost, plot

TIME = Row("a change", 2.0, "ms", 1.6, "y-websocket", 1.0, 2.0, 1.2)
RATE = Row("a stream", 900.0, "per s", 1.3, "y-websocket", 300.0, 3.0, 2.0, at_least=True)
BESIDE = Row("a change", 2.0, "ms", None, "automerge-repo", 100.0, 0.02)


def test_a_target_is_met_missed_or_not_there() -> None:
    assert [row.verdict for row in (TIME, RATE, BESIDE)] == ["MISSED", "stretch", ""]
    assert dataclasses.replace(TIME, ratio=1.6).verdict == "ok"
    assert dataclasses.replace(RATE, ratio=1.29).verdict == "MISSED"


def test_without_a_peer_the_own_number_is_judged() -> None:
    assert Row("idle", 61.0, "MB", 60).verdict == "MISSED"
    assert Row("worn", 30.0, "kB", 3.0, "fresh", 10.0).figure == 3.0


def test_ratios_are_taken_round_by_round() -> None:
    assert paired_ratio([2, 100, 4], [1, 100, 2]) == 2
    assert quantile([5, 1, 3], 0.5) == 3


def test_a_table_says_what_was_promised() -> None:
    assert "| <= 1.6x (1.2x) | MISSED " in table([TIME])
    assert "| >= 1.3x (2x) | stretch " in table([RATE])


def test_of_rates_more_is_better_in_the_plot_too() -> None:
    assert cost(TIME) == 2.0
    assert cost(RATE) == pytest.approx(1 / 3)


def test_a_plot_has_a_line_for_each_figure_and_a_mark_for_each_peer() -> None:
    drawn = plot([TIME, BESIDE, RATE])
    assert drawn == plot([TIME, BESIDE, RATE])
    marks = [each.text for each in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}title")]
    assert marks == [
        "a change, against y-websocket: 2.00x",
        "a change, against automerge-repo: 0.02x",
        "a stream, against y-websocket: 3.00x",
    ]


def test_what_did_not_run_keeps_its_figures(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    order = ["change", "stream"]
    record.merge(path, {"stream": [RATE]}, {"cores": "2"}, order)
    record.merge(path, {"change": [TIME, BESIDE]}, {"cores": "2"}, order)
    better = dataclasses.replace(TIME, ratio=1.0)
    record.merge(path, {"change": [better]}, {"cores": "4"}, order)
    assert record.load(path) == ({"cores": "4"}, {"change": [better, BESIDE], "stream": [RATE]})
    assert list(json.loads(path.read_text())["benchmarks"]) == order
