"""Commands on a session as a whole, on what is active, and on conflicts."""

import pytest

from nogg.errors import InvalidParams
from tests.unit.cli.conftest import Nogg, Terminal
from tests.unit.cli.fake import DEVICE, OTHER, FakeDaemon, device, reference


@pytest.fixture
def session(daemon: FakeDaemon) -> FakeDaemon:
    """A session with one reference; a phone that has another one open; a conflict between the two."""
    values = [
        {"value": "mine", "device": DEVICE, "at": 1_700_000_000_000},
        {"value": "theirs", "device": OTHER, "at": 1_700_000_001_000},
    ]
    conflict = {"microcosmID": "garden.1", "field": "password", "values": values, "chosen": "theirs"}
    daemon.answers |= {
        "active.get": {"active": "garden.1"},
        "active.set": lambda p: {"active": p["microcosmID"], "revision": 3},
        "active.everywhere": {
            "devices": [
                {"device": DEVICE, "name": "laptop", "active": "garden.1", "at": 1},
                {"device": OTHER, "name": "phone", "active": "studio.1", "at": 1},
            ]
        },
        "device.list": {"devices": [device(), device(id=OTHER, name="phone", self=False)]},
        "reference.list": {"references": [reference("garden.1")], "revision": 3},
        "reference.get": lambda p: reference() if p["microcosmID"] == "garden.1" else False,
        "reference.conflicts": {"conflicts": [conflict]},
        "reference.resolve": lambda p: reference(p["microcosmID"], password=p["value"]),
        "session.list": {"sessions": [{"session": "work", "revision": 3, "references": 1}]},
        "session.drop": {"dropped": True},
        "session.reset": {"revision": 4},
    }
    return daemon


def test_active_is_shown(nogg: Nogg, session: FakeDaemon) -> None:
    assert nogg("active").out == "garden.1\n"
    assert nogg("active", "--json").json == {"session": "default", "active": "garden.1"}


def test_no_active_one_prints_nothing_on_stdout(nogg: Nogg, session: FakeDaemon) -> None:
    session.answers["active.get"] = {"active": None}
    run = nogg("active")
    assert (run.status, run.out) == (0, "")
    assert "no microcosm is active" in run.err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["gard"], "garden.1"),
        (["unknown.9"], "unknown.9"),
        (["--clear"], None),
        (["--from", "phone"], "studio.1"),
        (["--from", "qqqq"], "studio.1"),
    ],
)
def test_active_is_set(nogg: Nogg, session: FakeDaemon, arguments: list[str], wanted: str | None) -> None:
    assert nogg("active", *arguments, "--json").json["active"] == wanted
    assert session.params("active.set") == {"microcosmID": wanted}


def test_active_takes_one_wish_at_a_time(nogg: Nogg, session: FakeDaemon) -> None:
    assert nogg("active", "garden.1", "--clear").status == 2
    assert nogg("active", "--clear", "--from", "phone").status == 2


def test_active_from_a_device_without_one_is_a_no(nogg: Nogg, session: FakeDaemon) -> None:
    session.answers["active.everywhere"] = {
        "devices": [{"device": OTHER, "name": "phone", "active": None, "at": None}]
    }
    assert nogg("active", "--from", "phone").status == 1
    assert nogg("active", "--from", "fridge").status == 1


def test_sessions_are_listed_and_dropped(nogg: Nogg, session: FakeDaemon) -> None:
    assert nogg("session", "list").out.splitlines()[1].split() == ["work", "1", "3"]
    assert nogg("session", "drop", "work", "--json").json == {"session": "work", "dropped": True}
    assert nogg("session", "drop", "wor").status == 1, "a session is dropped by its whole name only"


def test_reset_asks_a_person(nogg: Nogg, session: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noggd.cli.asking.terminal", lambda: True)
    assert nogg("reset", stdin="\n").status == 130
    assert "session.reset" not in dict(session.asked)
    assert nogg("reset", "--yes").status == 0


def test_reset_in_a_script_does_not_wait_for_an_answer(nogg: Nogg, session: FakeDaemon) -> None:
    assert nogg("reset").out == "session default is empty\n"


def test_a_bad_session_name_is_a_usage_error(nogg: Nogg, session: FakeDaemon) -> None:
    session.answers["session.reset"] = InvalidParams(errors=[{"path": "session", "message": "must be …"}])
    run = nogg("reset", "--session", "work", "--json")
    assert (run.status, run.json["error"]["type"]) == (2, "invalid_params")


def test_conflicts_name_the_devices_and_mask_the_values(nogg: Nogg, session: FakeDaemon) -> None:
    rows = [line.split() for line in nogg("conflicts").out.splitlines()]
    assert [row[2] for row in rows[1:]] == ["laptop", "phone"]
    assert rows[2][-2:] == ["in", "use"]
    for run in (nogg("conflicts"), nogg("conflicts", "--json")):
        assert "theirs" not in run.out
    assert "theirs" in nogg("conflicts", "--show-secrets").out


def test_no_conflicts_is_said(nogg: Nogg, session: FakeDaemon) -> None:
    session.answers["reference.conflicts"] = {"conflicts": []}
    assert nogg("conflicts").out == "No conflicts.\n"
    assert nogg("resolve", "gard", "--take", "phone").status == 1


@pytest.mark.parametrize(
    ("options", "stdin", "value"),
    [
        (["--take", "laptop"], "", "mine"),
        (["--take", OTHER.lower()], "", "theirs"),
        (["--password-stdin"], "third\n", "third"),
    ],
)
def test_a_conflict_is_resolved(
    nogg: Nogg, session: FakeDaemon, options: list[str], stdin: str, value: str
) -> None:
    assert nogg("resolve", "gard", *options, stdin=stdin).status == 0
    assert session.params("reference.resolve") == {
        "microcosmID": "garden.1",
        "field": "password",
        "value": value,
    }


def test_resolve_asks_a_person_and_refuses_a_script(
    nogg: Nogg, session: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nogg("resolve", "gard").status == 2
    monkeypatch.setattr("noggd.cli.conflicts.terminal", lambda: True)
    run = nogg("resolve", "gard", stdin=Terminal("1\n"))
    assert run.status == 0
    assert session.params("reference.resolve")["value"] == "mine"
    assert "mine" not in run.err


def test_resolve_knows_who_took_no_part(nogg: Nogg, session: FakeDaemon) -> None:
    third = device(id=DEVICE.replace("A", "Z"), name="tablet", self=False)
    session.answers["device.list"]["devices"].append(third)
    assert nogg("resolve", "gard", "--take", "tablet").status == 1
    assert nogg("resolve", "gard", "--take", "phone", "--password-stdin", stdin="x\n").status == 2
