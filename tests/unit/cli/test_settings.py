"""`nogg config`, with a daemon and without one."""

from pathlib import Path

import pytest

from noggd.platform.config import Settings, example
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import DAEMON, FakeDaemon


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("NOGG_CONFIG", str(path))
    for name in ("NOGG_LOG_LEVEL", "NOGG_LISTEN", "NOGG_DISCOVERY", "NOGG_DEVICE_NAME", "NOGG_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    return path


def test_values_say_where_they_came_from(nogg: Nogg, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('# mine\ndiscovery = false\nlog_level = "error"\n')
    monkeypatch.setenv("NOGG_LOG_LEVEL", "debug")
    answer = nogg("config", "--json").json
    rows = {row["setting"]: (row["value"], row["origin"]) for row in answer["settings"]}
    assert rows["discovery"] == (False, f"{file}:2")
    assert rows["log_level"] == ("debug", "$NOGG_LOG_LEVEL")
    assert rows["listen"] == (["[::]:7734", "0.0.0.0:7734"], "default")
    assert (answer["running"], answer["exists"], answer["config"]) == (False, True, str(file))


def test_a_running_daemon_tells_its_own(nogg: Nogg, file: Path, daemon: FakeDaemon) -> None:
    rows = Settings(discovery=False, origins={"discovery": "--no-discovery"}).rows()
    daemon.answers["daemon.status"] = {**DAEMON, "places": {"config": str(file)}, "settings": rows}
    run = nogg("config")
    assert "discovery    false" in run.out
    assert "--no-discovery" in run.out
    assert "restart" not in run.err, "a flag is not undone by a restart"


def test_a_file_that_changed_since_wants_a_restart(nogg: Nogg, file: Path, daemon: FakeDaemon) -> None:
    file.write_text('device_name = "kitchen"\n')
    daemon.answers["daemon.status"] = {
        **DAEMON, "places": {"config": str(file)}, "settings": Settings().rows(),
    }  # fmt: skip
    run = nogg("config")
    assert "another device_name now" in run.err
    assert run.err.count("another") == 1


def test_a_bad_setting_is_a_usage_error(nogg: Nogg, file: Path) -> None:
    file.write_text("nonsense = 1\n")
    run = nogg("config")
    assert run.status == 2
    assert "config.toml:1: nonsense" in run.err


def test_the_example_is_the_one_in_the_documentation(nogg: Nogg, file: Path) -> None:
    assert nogg("config", "--example").out == example()
    assert (Path(__file__).parents[3] / "docs/config.example.toml").read_text() == example()
