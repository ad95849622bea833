"""The one screen: what it asks, what it tells, and which next step it names."""

from typing import Any

import pytest

from noggd.cli.status import next_step
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import DAEMON, DEVICE, PEER, FakeDaemon


def test_the_screen_tells_how_things_are(nogg: Nogg, home: FakeDaemon) -> None:
    run = nogg("status")
    assert run.status == 0
    for told in (
        "noggd 1.2.3, up 2 h, process 42", f"laptop  {DEVICE}", "Ada", "default: 2 microcosms, garden.1 is active",
        "1 of 1 online", "phone  online", "2 behind",
    ):  # fmt: skip
        assert told in run.out
    assert "next" not in run.out


def test_problems_are_told(nogg: Nogg, home: FakeDaemon) -> None:
    home.answers["daemon.status"] = {**DAEMON, "health": {"ok": False, "problems": ["disk full"]}}
    out = nogg("status").out
    assert "problem: disk full" in out
    assert "nogg doctor" in out


def test_json_has_the_same_facts(nogg: Nogg, home: FakeDaemon) -> None:
    facts = nogg("status", "--json", "--session", "default").json
    assert facts["session"] == {
        "session": "default", "references": 2, "revision": 5, "active": "garden.1", "conflicts": 0,
    }  # fmt: skip
    assert facts["sync"]["peers"] == [PEER]
    assert facts["next"] is None


def test_another_session_is_shown_on_request(nogg: Nogg, home: FakeDaemon) -> None:
    assert "work: 0 microcosms" in nogg("status", "--session", "work").out
    assert ("active.get", {"session": "work"}) in home.asked


def test_the_long_way_shows_the_same(nogg: Nogg, home: FakeDaemon) -> None:
    assert nogg("status", "--show-secrets").out == nogg("status").out


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({}, None),
        ({"conflicts": 1}, "nogg conflicts"),
        ({"references": 0}, "nogg open ID"),
        ({"peers": []}, "nogg pair"),
        ({"username": None}, "nogg identity --username"),
    ],
)
def test_the_next_step_is_the_first_thing_missing(change: dict[str, Any], step: str | None) -> None:
    facts = {
        "daemon": DAEMON,
        "session": {"conflicts": change.get("conflicts", 0), "references": change.get("references", 1)},
        "sync": {"peers": change.get("peers", [PEER])},
        "identity": {"username": change.get("username", "Ada")},
    }
    found = next_step(facts)
    assert found is step or (step is not None and found is not None and found.startswith(step))
