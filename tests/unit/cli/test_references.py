"""Commands on single references: what they ask the daemon, and what they tell."""

import pytest

from nogg.errors import Conflict, NotFound
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import FakeDaemon, reference

GARDEN, GARAGE, STUDIO = (reference(name) for name in ("garden.1", "garage.1", "studio.1"))


@pytest.fixture
def three(daemon: FakeDaemon) -> FakeDaemon:
    """A session of three references, the studio with a password and active."""
    by_id = {
        "garden.1": GARDEN,
        "garage.1": GARAGE,
        "studio.1": reference("studio.1", password="hush", view="map"),
    }
    removed = [
        reference("gone.1", removedAt=1_700_000_000_000),
        reference("gone.2", removedAt=1_700_000_000_000),
    ]
    daemon.answers |= {
        "reference.list": lambda p: {
            "references": removed if p.get("removed") else list(by_id.values()),
            "revision": 9,
        },
        "reference.get": lambda p: by_id.get(p["microcosmID"], False),
        "active.get": {"active": "studio.1"},
        "reference.register": lambda p: by_id.get(p["microcosmID"], reference(p["microcosmID"])),
        "reference.update": lambda p: by_id[p["microcosmID"]],
        "reference.restore": lambda p: reference(p["microcosmID"]),
        "reference.forget": {"forgotten": True},
        "session.transact": lambda p: {
            "revision": 10,
            "results": [
                {"removed": True} if op["op"] == "remove" else {"active": op["microcosmID"]}
                if op["op"] == "set_active" else reference(op["microcosmID"])
                for op in p["ops"]
            ],
        },
    }  # fmt: skip
    return daemon


def test_list_marks_the_active_one_and_masks_passwords(nogg: Nogg, three: FakeDaemon) -> None:
    run = nogg("list")
    assert [line.split()[:3] for line in run.out.splitlines()[1:]] == [
        ["garden.1", *run.out.splitlines()[1].split()[1:3]],
        ["garage.1", *run.out.splitlines()[2].split()[1:3]],
        ["*", "studio.1", "map"],
    ]
    assert "hush" not in run.out
    assert "********" in run.out


def test_list_passes_order_and_limit_on(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("list", "--sort", "recent", "--limit", "2").status == 0
    assert three.params("reference.list") == {"sort": "recent", "limit": 2, "removed": False}


def test_list_of_nothing_says_how_to_begin(nogg: Nogg, three: FakeDaemon) -> None:
    three.answers["reference.list"] = {"references": [], "revision": 0}
    assert "nogg open ID" in nogg("list").out


def test_list_removed_shows_when(nogg: Nogg, three: FakeDaemon) -> None:
    run = nogg("list", "--removed")
    assert run.out.startswith("MICROCOSM  REMOVED\ngone.1     ")


@pytest.mark.parametrize(
    "command", [["list"], ["get", "studio.1"], ["open", "studio.1"], ["update", "studio.1", "--view", "map"]]
)
def test_secrets_are_shown_only_on_request(nogg: Nogg, three: FakeDaemon, command: list[str]) -> None:
    for more in ([], ["--json"]):
        assert "hush" not in nogg(*command, *more).out
        assert "hush" in nogg(*command, *more, "--show-secrets").out


def test_json_is_the_answer_of_the_api(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("get", "garden.1", "--json").json == GARDEN
    listed = nogg("list", "--json", "--show-secrets").json
    assert [r["microcosmID"] for r in listed["references"]] == ["garden.1", "garage.1", "studio.1"]
    assert (listed["active"], listed["revision"], listed["session"]) == ("studio.1", 9, "default")


def test_an_id_may_be_shortened_while_it_is_clear(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("get", "gard", "--json").json == GARDEN
    ambiguous = nogg("get", "gar")
    assert ambiguous.status == 2
    assert "garage.1, garden.1" in ambiguous.err
    missing = nogg("get", "x", "--json")
    assert missing.status == 1
    assert missing.json["error"]["type"] == "not_found"


def test_a_whole_id_wins_over_longer_ones(nogg: Nogg, daemon: FakeDaemon) -> None:
    short, long = reference("a"), reference("a.b")
    daemon.answers["reference.get"] = lambda p: {"a": short, "a.b": long}.get(p["microcosmID"], False)
    assert nogg("get", "a", "--json").json == short


def test_what_is_no_id_may_still_begin_one(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("get", "garden.", "--json").json == GARDEN


def test_get_touches_only_on_request(nogg: Nogg, three: FakeDaemon) -> None:
    nogg("get", "garden.1")
    assert all(params["touch"] is False for name, params in three.asked if name == "reference.get")
    nogg("get", "garden.1", "--touch")
    assert three.asked[-1][1]["touch"] is True


def test_open_takes_the_id_as_it_stands(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("open", "gard", "--view", "map").status == 0
    assert three.params("reference.register") == {"microcosmID": "gard", "view": "map"}


def test_open_reads_a_password_from_stdin(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("open", "garden.1", "--password-stdin", stdin="päss word\nmore\n").status == 0
    assert three.params("reference.register") == {"microcosmID": "garden.1", "password": "päss word"}
    assert nogg("open", "garden.1", "--password-stdin", stdin="\n").status == 2


def test_open_active_is_one_step(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("open", "garden.1", "--view", "map", "--active", "--json").json["microcosmID"] == "garden.1"
    assert three.params("session.transact") == {
        "ops": [
            {"op": "register", "microcosmID": "garden.1", "view": "map"},
            {"op": "set_active", "microcosmID": "garden.1"},
        ]
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--view", "map"], {"view": "map"}),
        (["--no-view"], {"view": None}),
        (["--no-password"], {"password": None}),
        (["--password-stdin", "--no-view"], {"password": "new", "view": None}),
        (["--no-view", "--if-revision", "7"], {"view": None, "if_revision": 7}),
    ],
)
def test_update_changes_what_is_given(
    nogg: Nogg, three: FakeDaemon, options: list[str], fields: dict[str, object]
) -> None:
    assert nogg("update", "gard", *options, stdin="new\n").status == 0
    assert three.params("reference.update") == {"microcosmID": "garden.1", **fields}


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--view", "a", "--no-view"],
        ["--password-stdin", "--no-password"],
        ["--password-stdin", "--ask-password"],
    ],
)
def test_update_refuses_what_cannot_be_meant(nogg: Nogg, three: FakeDaemon, options: list[str]) -> None:
    assert nogg("update", "gard", *options, stdin="new\n").status == 2
    assert not [name for name, _ in three.asked if name == "reference.update"]


def test_update_tells_of_a_conflict_with_5(nogg: Nogg, three: FakeDaemon) -> None:
    three.answers["reference.update"] = Conflict(revision=8)
    assert nogg("update", "gard", "--no-view", "--if-revision", "7").status == 5


def test_touch_notes_an_access(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("touch", "gard").status == 0
    assert three.params("session.transact") == {"ops": [{"op": "touch", "microcosmID": "garden.1"}]}


def test_rm_removes_all_or_none(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("rm", "gard", "studio.1", "garden.1", "--json").json["removed"] == ["garden.1", "studio.1"]
    assert three.params("session.transact") == {
        "ops": [{"op": "remove", "microcosmID": "garden.1"}, {"op": "remove", "microcosmID": "studio.1"}]
    }
    three.asked.clear()
    assert nogg("rm", "gard", "nothing").status == 1
    assert "session.transact" not in dict(three.asked)


def test_restore_looks_among_the_removed(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("restore", "gone.2", "--json").json["microcosmID"] == "gone.2"
    assert nogg("restore", "gone").status == 2
    assert nogg("restore", "garden.1").status == 1


def test_forget_takes_present_and_removed_ones(nogg: Nogg, three: FakeDaemon) -> None:
    assert nogg("forget", "gone.1", "--json").json == {"microcosmID": "gone.1", "forgotten": True}
    assert nogg("forget", "garden.1").status == 0
    assert nogg("forget", "nothing").status == 1


def test_forget_asks_a_person(nogg: Nogg, three: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noggd.cli.asking.terminal", lambda: True)
    assert nogg("forget", "garden.1", stdin="n\n").status == 130
    assert "reference.forget" not in dict(three.asked)
    assert nogg("forget", "garden.1", stdin="y\n").status == 0
    assert nogg("forget", "garden.1", "--yes").status == 0


def test_a_reference_that_goes_in_between_is_not_found(nogg: Nogg, three: FakeDaemon) -> None:
    three.answers["reference.restore"] = NotFound()
    assert nogg("restore", "gone.1").status == 1
