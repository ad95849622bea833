"""What an installation writes, without a service manager."""

from pathlib import Path

import pytest

from noggd.cli.exits import Failure
from noggd.cli.service.manager import Manager
from noggd.cli.service.place import Place
from noggd.cli.service.plan import Plan, Target, make_plan, target_of
from noggd.cli.service.units import MARK, path_word, shipped, with_command, word

OPT = Place("venv", "/opt/noggd/bin/python", ("-I",), (Path("/opt/noggd"), Path("/opt/python")))
PIPX = Place("pipx", "/home/ada/v/bin/python", ("-I",), (Path("/home/ada/v"), Path("/home/ada/v/lib/noggd")))


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "NOGG_STATE_DIR",
        "NOGG_CONFIG",
        "NOGG_LISTEN",
        "SUDO_USER",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")


def texts(plan: Plan) -> dict[str, str]:
    return {str(path.relative_to(plan.manager.folder)): text for path, text in plan.files.items()}


def test_a_users_units_run_this_copy(tmp_path: Path) -> None:
    plan = make_plan(PIPX, Target("user"))
    files = texts(plan)
    assert set(files) == {"noggd.service", "noggd.socket"}
    assert plan.manager.folder == tmp_path / ".config/systemd/user"
    assert "\nExecStart=/home/ada/v/bin/python -I -m noggd\n" in files["noggd.service"]
    assert all(text.startswith(MARK) for text in files.values())
    assert files["noggd.socket"] == MARK + shipped("user/noggd.socket")
    assert plan.units == ("noggd.socket", "noggd.service")
    assert plan.target.socket == Path("/run/user/7/noggd/noggd.sock")


def test_a_strict_one_lets_the_venv_through() -> None:
    files = texts(make_plan(PIPX, Target("user"), hardened=True))
    assert "PrivateUsers=yes" in files["noggd.service.d/strict.conf"]
    assert files["noggd.service.d/place.conf"].splitlines()[-1] == "BindReadOnlyPaths=/home/ada/v"


def test_a_persons_unit_of_the_system_is_a_template() -> None:
    plan = make_plan(OPT, Target("person", "ada"), lan_only=True)
    assert set(texts(plan)) == {"noggd@.service", "noggd@.socket", "noggd@.service.d/lan-only.conf"}
    assert plan.units == ("noggd@ada.socket", "noggd@ada.service")
    assert plan.target.socket == Path("/run/noggd/ada.sock")
    assert plan.manager.folder == Path("/etc/systemd/system")


def test_a_system_service_cannot_see_home_folders() -> None:
    with pytest.raises(Failure, match="/home/ada/v"):
        make_plan(PIPX, Target("person", "ada"))
    with pytest.raises(Failure, match="/home/ada/v"):
        make_plan(PIPX, Target("headless"))


def test_a_venv_in_a_temporary_folder_is_not_hidden_but_said() -> None:
    plan = make_plan(Place("venv", "/tmp/v/bin/python", ("-I",), (Path("/tmp/v"),)), Target("user"))
    assert "PrivateTmp=no" in texts(plan)["noggd.service.d/place.conf"]
    assert any("/tmp/v" in note for note in plan.notes)


def test_a_distributions_own_units_are_used_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place("distribution", "/usr/bin/python3", ("-I",), ())
    assert "noggd.service" in texts(make_plan(place, Target("user"))), (
        "where there are none, ours are written"
    )
    (tmp_path / "noggd.service").touch()
    monkeypatch.setattr(Manager, "packaged", (tmp_path,))
    assert texts(make_plan(place, Target("user"))) == {}
    assert set(texts(make_plan(place, Target("user"), hardened=True))) == {"noggd.service.d/strict.conf"}


def test_places_that_only_this_shell_knows_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOGG_STATE_DIR", "/srv/my state")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/srv/config")
    monkeypatch.setenv("NOGG_LISTEN", "127.0.0.1:0")
    plan = make_plan(OPT, Target("user"))
    place = texts(plan)["noggd.service.d/place.conf"]
    assert "Environment=NOGG_STATE_DIR=/srv/my\\x20state\n" in place
    assert "Environment=NOGG_CONFIG=/srv/config/noggd/config.toml\n" in place
    assert 'BindPaths="/srv/my state"\n' in place
    assert plan.state == Path("/srv/my state")
    assert plan.notes == [
        "$NOGG_LISTEN is set in this shell; the service does not see it, write it into the config file"
    ]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/opt/noggd", "/opt/noggd"),
        ("/a b", "/a\\x20b"),
        ("100%h", "100%%h"),
        ("$HOME", "\\x24HOME"),
        ("\\", "\\x5c"),
    ],
)
def test_words_mean_only_themselves(text: str, written: str) -> None:
    assert word(text) == written


@pytest.mark.parametrize(
    ("text", "written"), [("/a", "/a"), ("/a b", '"/a b"'), ("/100%h", "/100%%h"), ('/"\\', '"/\\"\\\\"')]
)
def test_paths_mean_only_themselves(text: str, written: str) -> None:
    assert path_word(text) == written


def test_what_cannot_be_written_is_refused() -> None:
    for write, text in ((word, "a\nb"), (path_word, "a\nb"), (path_word, "a:b")):
        with pytest.raises(Failure):
            write(text)


def test_dollars_are_no_variables() -> None:
    unit = with_command("ExecStart=x\n", ("/opt/python", "-m", "$HOME"))
    assert unit == "ExecStart=/opt/python -m \\x24\\x24HOME\n"
    unit = with_command("ExecStart=x\n", ("/opt/$HOME/python", "-I"))
    assert unit == "ExecStart=/usr/bin/env /opt/\\x24\\x24HOME/python -I\n"


def test_whose_system_service_it_is_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_of(system=False, headless=False, person=None) == Target("user")
    assert target_of(system=True, headless=True, person=None).unit == "noggd"
    assert target_of(system=True, headless=False, person="ada").unit == "noggd@ada"
    with pytest.raises(Failure, match="for whom"):
        target_of(system=True, headless=False, person=None)
    monkeypatch.setenv("SUDO_USER", "ada")
    assert target_of(system=True, headless=False, person=None).person == "ada"
