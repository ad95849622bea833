"""paths, version, call and completion."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from noggd.cli.state import State
from noggd.cli.tree import root
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import DEVICE, HELLO, FakeDaemon, reference


def test_paths_are_where_the_environment_says(
    nogg: Nogg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOGG_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("NOGG_CONFIG", str(tmp_path / "config.toml"))
    assert nogg("paths", "--json").json == {
        "socket": str(tmp_path / "socket"),
        "state": str(tmp_path / "state"),
        "config": str(tmp_path / "config.toml"),
        "logs": str(tmp_path / "state" / "log"),
    }
    assert nogg("paths", "--socket", "/else/where").out.splitlines()[0] == "socket  /else/where"


def test_version_needs_no_daemon(nogg: Nogg) -> None:
    assert nogg("version").out.endswith("daemon not running\n")
    assert nogg("version", "--json").json["daemon"] is None


def test_version_asks_a_daemon_that_runs(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers["hello"] = HELLO
    assert nogg("version").out.endswith("daemon 9.9, protocol 1\n")


@pytest.mark.parametrize(
    ("given", "stdin", "sent"),
    [
        ([], "", {}),
        (["microcosmID=a.1", "touch=false"], "", {"microcosmID": "a.1", "touch": False}),
        (['{"microcosmID": "a.1"}'], "", {"microcosmID": "a.1"}),
        (["-"], '{"microcosmID": "a.1"}', {"microcosmID": "a.1"}),
        (['microcosmID="17"'], "", {"microcosmID": "17"}),
    ],
)
def test_call_sends_what_is_given(
    nogg: Nogg, daemon: FakeDaemon, given: list[str], stdin: str, sent: dict[str, Any]
) -> None:
    daemon.answers["reference.get"] = reference("a.1", password="hush")
    run = nogg("call", "reference.get", *given, stdin=stdin)
    if sent:
        assert json.loads(run.out) == reference("a.1", password="********")
        assert daemon.params("reference.get") == sent
    else:
        assert run.status == 2, "the daemon misses a parameter"


def test_call_shows_secrets_on_request_and_wraps_its_json(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers["reference.get"] = reference("a.1", password="hush")
    run = nogg("call", "reference.get", "microcosmID=a.1", "--json", "--show-secrets")
    assert run.json == {"result": reference("a.1", password="hush")}


def test_call_fills_the_session_in(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers |= {"active.get": {"active": None}, "hello": HELLO}
    nogg("call", "active.get", "--session", "work")
    nogg("call", "hello", "--session", "work")
    assert daemon.asked == [("active.get", {"session": "work"}), ("hello", {})]


@pytest.mark.parametrize(
    "given",
    [
        ["microcosmID=a", "password=hush"],
        ['{"microcosmID":"a","password":"hush"}'],
        ['ops=[{"op":"update","microcosmID":"a","password":"hush"}]'],
        ["microcosmID=a", "field=password", "value=hush"],
    ],
)
def test_call_takes_no_password_from_the_command_line(
    nogg: Nogg, daemon: FakeDaemon, given: list[str]
) -> None:
    run = nogg("call", "reference.update", *given)
    assert run.status == 2
    assert "stdin" in run.err
    assert "hush" not in run.err
    assert daemon.asked == []


@pytest.mark.parametrize("given", [["x"], ["=1"], ["{"], ["-"], ["[1]"]])
def test_call_refuses_what_is_no_object(nogg: Nogg, daemon: FakeDaemon, given: list[str]) -> None:
    assert nogg("call", "hello", *given, stdin="[]").status == 2


def test_call_of_nothing_known_is_a_usage_error(nogg: Nogg, daemon: FakeDaemon) -> None:
    assert nogg("call", "no.such").status == 2


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_prints_a_script_that_the_shell_takes(nogg: Nogg, shell: str) -> None:
    run = nogg("completion", shell)
    assert run.status == 0
    assert "nogg" in run.out
    if shutil.which(shell):
        subprocess.run([shell, "-n", "-c", run.out], check=True, capture_output=True)


def completed(arguments: list[str], incomplete: str) -> list[str]:
    shell = ShellComplete(root, {"obj": State()}, "nogg", "_NOGG_COMPLETE")
    return [item.value for item in shell.get_completions(arguments, incomplete)]


@pytest.mark.usefixtures("nogg")
def test_names_are_completed(daemon: FakeDaemon) -> None:
    daemon.answers |= {
        "reference.list": lambda p: {
            "references": [{**reference("gone.1"), "removedAt": 1}]
            if p["removed"]
            else [reference("garden.1"), reference("studio.1")],
            "revision": 1,
        },
        "rpc.discover": {"methods": [{"name": "hello"}, {"name": "active.get"}]},
    }
    assert completed(["get"], "g") == ["garden.1"]
    assert completed(["restore"], "") == ["gone.1"]
    assert completed(["device", "evict"], "") == [DEVICE]
    assert completed(["call"], "act") == ["active.get"]
    assert completed([], "dev") == ["device"]
    assert completed(["get", "--session", "work"], "s") == ["studio.1"]
    assert daemon.asked[-1][1]["session"] == "work"


@pytest.mark.usefixtures("nogg")
def test_a_tab_without_a_daemon_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert completed(["get"], "g") == []
    assert capsys.readouterr() == ("", "")


def test_every_command_helps_in_a_line_that_fits() -> None:
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert not command.get_short_help_str(64).endswith("..."), name
