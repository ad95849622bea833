"""`nogg watch`: what it tells, and that a restart of the daemon loses nothing."""

import json
from typing import Any

import pytest

from nogg.errors import NoggError, Starting
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import DEVICE, FakeDaemon, device, reference

FRESH = {
    "subscription": "s1", "epoch": "e:1", "revision": 5, "fresh": True, "active": "garden.1",
    "set": {"garden.1": reference()}, "removed": [],
}  # fmt: skip
CHANGE = {
    "subscription": "s1", "session": "default", "from": 5, "revision": 6,
    "set": {"studio.1": reference("studio.1", view="map", password="hush")}, "removed": ["garden.1"],
    "origin": {"device": DEVICE},
}  # fmt: skip


def subscriptions(daemon: FakeDaemon, *answers: dict[str, Any] | NoggError) -> None:
    """Answer the subscriptions in turn."""
    left = list(answers)

    def subscribe(_: dict[str, Any]) -> object:
        return left.pop(0)

    daemon.answers["session.subscribe"] = subscribe


@pytest.fixture
def watched(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """A daemon that hangs up after each subscription; the second attempt to wait for it ends the watch."""
    daemon.hang_up_after = {"session.subscribe"}
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("noggd.cli.watch.time.sleep", sleep)
    return daemon


def told(daemon: FakeDaemon, *events: tuple[str, dict[str, Any]]) -> None:
    daemon.after["session.subscribe"] = [{"method": name, "params": params} for name, params in events]


def test_the_state_comes_first_and_each_change_after_it(nogg: Nogg, watched: FakeDaemon) -> None:
    subscriptions(watched, FRESH, {**FRESH, "fresh": False, "set": {}})
    told(watched, ("session.changed", CHANGE))
    lines = [line.split(" ", 1)[1] for line in nogg("watch").out.splitlines()]
    assert lines[:5] == [
        "session default: microcosms: 1, revision: 5",
        "active: garden.1",
        "+ studio.1  view map  with password",
        "- garden.1",
        "active: garden.1",
    ]


def test_new_changed_and_removed_ones_are_told_apart(nogg: Nogg, watched: FakeDaemon) -> None:
    subscriptions(watched, FRESH, {**FRESH, "fresh": False, "set": {}})
    garden = {**CHANGE, "set": {"garden.1": reference(view="map")}, "removed": []}
    told(watched, ("session.changed", garden), ("session.changed", CHANGE), ("session.changed", garden))
    signs = [line.split(" ")[1:3] for line in nogg("watch").out.splitlines()[2:6]]
    assert signs == [["~", "garden.1"], ["+", "studio.1"], ["-", "garden.1"], ["+", "garden.1"]]


def test_a_restart_is_survived_without_a_gap(nogg: Nogg, watched: FakeDaemon) -> None:
    subscriptions(watched, FRESH, {**FRESH, "fresh": False, "revision": 8, "set": {}})
    told(watched, ("session.changed", CHANGE))
    run = nogg("watch")
    assert run.status == 130
    first, second = [params for name, params in watched.asked if name == "session.subscribe"]
    assert "since" not in first
    assert second["since"] == {"epoch": "e:1", "revision": 6}
    assert run.err.splitlines()[:2] == ["the daemon went away; waiting for it", "the daemon is back"]


def test_json_tells_where_to_go_on(nogg: Nogg, watched: FakeDaemon) -> None:
    subscriptions(watched, FRESH, {**FRESH, "fresh": False, "set": {}})
    told(watched, ("session.changed", CHANGE), ("identity.changed", {"identity": {"username": "Ada"}}))
    state, change, identity, since, *_ = [
        json.loads(line) for line in nogg("watch", "--json").out.splitlines()
    ]
    assert [line["event"] for line in (state, change, identity, since)] == [
        "state", "session.changed", "identity.changed", "since",
    ]  # fmt: skip
    assert (state["epoch"], state["revision"]) == ("e:1", 5)
    assert (change["epoch"], change["from"], change["revision"]) == ("e:1", 5, 6)
    assert change["set"]["studio.1"]["password"] == "********"
    assert "subscription" not in state


def test_a_watch_goes_on_where_it_is_told_to(nogg: Nogg, watched: FakeDaemon) -> None:
    subscriptions(watched, {**FRESH, "fresh": False}, FRESH)
    nogg("watch", "--since", "e:1:5", "--session", "work")
    first = watched.asked[0][1]
    assert (first["since"], first["session"]) == ({"epoch": "e:1", "revision": 5}, "work")


@pytest.mark.parametrize("wrong", ["5", ":5", "e:", "e:five", "e:-1"])
def test_a_place_that_is_none_is_refused(nogg: Nogg, watched: FakeDaemon, wrong: str) -> None:
    assert nogg("watch", "--since", wrong).status == 2


def test_other_news_is_told(nogg: Nogg, watched: FakeDaemon) -> None:
    subscriptions(watched, FRESH, FRESH)
    phone = device(name="phone", self=False)
    told(
        watched,
        ("identity.changed", {"identity": {"username": "Ada"}}),
        ("device.changed", {"devices": [device(), phone]}),
        ("device.changed", {"devices": [device()]}),
        ("reference.conflict", {"session": "default", "microcosmID": "garden.1", "field": "password"}),
        ("reference.conflict", {"session": "other", "microcosmID": "elsewhere.1", "field": "password"}),
        ("daemon.stopping", {}),
        ("something.new", {}),
    )
    out = nogg("watch").out
    for line in (
        "you are Ada",
        "phone online",
        "this one only",
        "two passwords for garden.1",
        "something.new",
    ):
        assert line in out
    assert "elsewhere" not in out
    assert "stopping" not in out


def test_a_lost_thread_is_taken_up_on_the_same_connection(nogg: Nogg, watched: FakeDaemon) -> None:
    watched.hang_up_after = set()
    second = {**FRESH, "subscription": "s2", "fresh": False, "set": {}}
    subscriptions(watched, FRESH, second, NoggError("enough"))
    resync = ("subscription.resync", {"subscription": "s1"})
    told(watched, ("session.changed", CHANGE), resync, ("subscription.resync", {"subscription": "s2"}))
    run = nogg("watch")
    assert "enough" in run.err
    assert "went away" not in run.err
    assert watched.asked[1][1]["since"] == {"epoch": "e:1", "revision": 6}


def test_no_daemon_at_the_beginning_is_an_error(nogg: Nogg) -> None:
    assert nogg("watch").status == 3


def test_a_daemon_that_is_loading_is_waited_for(nogg: Nogg, watched: FakeDaemon) -> None:
    subscriptions(watched, Starting(), FRESH)
    run = nogg("watch")
    assert "revision: 5" in run.out
