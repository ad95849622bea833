"""The command line against a real daemon."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.home import NETWORK, Home, until

GARDEN, STUDIO = "garden.k3v9x2m7q4w8z1pd", "studio.h5t8r2y6n1c4b7fs"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    home.start()
    yield home
    home.close()


def test_a_daemon_is_started_asked_and_stopped(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.json("status", status=3)["error"]["type"] == "not_running"
    started = home.json("daemon", "start", *NETWORK)
    assert (started["started"], started["ready"]) == (True, True)
    assert home.json("daemon", "start", *NETWORK)["started"] is False
    home.nogg("open", GARDEN)
    before = home.pid()
    restarted = home.json("daemon", "restart", *NETWORK)
    assert restarted["device"] == started["device"]
    assert home.pid() != before
    assert home.ids() == [GARDEN]
    assert home.json("daemon", "stop")["stopped"] is True
    assert home.json("daemon", "stop")["stopped"] is False
    assert not home.socket.exists()


def test_a_restart_on_another_store_is_noticed(home: Home) -> None:
    answer = home.json("daemon", "restart", "--state-dir", str(home.folder / "other"), *NETWORK, status=1)
    assert "another state dir" in answer["error"]["message"]


def test_a_second_daemon_on_a_state_dir_says_who_holds_it(home: Home) -> None:
    other = str(home.folder / "other")
    answer = home.json("daemon", "start", "--socket", other, *NETWORK, status=1)
    assert str(home.pid()) in answer["error"]["message"]


def test_a_broken_store_ends_with_7_and_stays_as_it_is(home: Home) -> None:
    home.nogg("open", GARDEN)
    home.nogg("daemon", "stop")
    store = home.folder / "state" / "session.db"
    broken = b"\xff" * store.stat().st_size
    store.write_bytes(broken)
    home.nogg("daemon", "start", *NETWORK, status=7)
    assert store.read_bytes() == broken


def test_the_life_of_a_reference(home: Home) -> None:
    opened = home.json("open", GARDEN, "--view", "map", "--password-stdin", "--active", stdin="hush\n")
    assert (opened["view"], opened["password"]) == ("map", "********")
    home.nogg("open", STUDIO)
    assert home.nogg("active") == f"{GARDEN}\n"
    assert home.ids() == [GARDEN, STUDIO]
    home.nogg("touch", "gar")
    assert home.ids("--sort", "recent") == [GARDEN, STUDIO]
    assert "hush" not in home.nogg("get", "gar") + home.nogg("list")
    assert home.json("get", "gar", "--show-secrets")["password"] == "hush"

    revision = str(home.json("get", "gar")["revision"])
    home.nogg("update", "gar", "--no-view", "--if-revision", revision)
    home.nogg("update", "gar", "--view", "list", "--if-revision", revision, status=5)

    home.nogg("rm", "gar", "studio")
    assert (home.ids(), home.ids("--removed")) == ([], [GARDEN, STUDIO])
    assert home.json("restore", "gar", "--show-secrets")["password"] == "hush"
    home.nogg("forget", "studio")
    home.nogg("restore", "studio", status=1)
    assert home.ids() == [GARDEN]


def test_a_get_leaves_no_trace_and_a_touch_does(home: Home) -> None:
    accessed = home.json("open", GARDEN)["lastAccessed"]
    assert home.json("get", GARDEN)["lastAccessed"] == accessed
    assert home.json("touch", GARDEN)["lastAccessed"] > accessed


def test_what_is_wrong_is_told_by_the_exit_status(home: Home) -> None:
    home.nogg("open", "not an id", status=2)
    home.nogg("get", "nothing", status=1)
    home.nogg("list", "--session", "NOT A NAME", status=2)
    home.nogg("call", "no.such", status=2)
    home.nogg("list", "--socket", str(home.folder / "none"), status=3)
    home.nogg("pair", "7-wrong-words-here", status=2)


def test_sessions_live_apart(home: Home) -> None:
    home.nogg("open", GARDEN, "--session", "work")
    assert home.ids() == []
    assert home.ids("--session", "work") == [GARDEN]
    assert [s["session"] for s in home.json("session", "list")["sessions"]] == ["work"]
    home.nogg("session", "drop", "work")
    assert home.ids("--session", "work") == []


def test_an_export_comes_back_and_a_rehearsal_foretells_it(home: Home) -> None:
    home.nogg("open", GARDEN, "--password-stdin", stdin="hush\n")
    home.nogg("open", STUDIO)
    file = home.folder / "session.json"
    home.nogg("export", str(file), "--show-secrets")
    assert "hush" not in home.nogg("export")
    for rehearsal in (["--dry-run"], []):
        answer = home.json("import", str(file), "--session", "copy", *rehearsal)
        assert (answer["imported"], answer["skipped"], answer["quarantined"]) == (2, 0, [])
    assert home.json("import", str(file), "--session", "copy", "--dry-run")["imported"] == 0
    assert home.json("get", GARDEN, "--session", "copy", "--show-secrets")["password"] == "hush"
    home.nogg("rm", GARDEN, "--session", "copy")
    for rehearsal in (["--dry-run"], []):
        answer = home.json("import", str(file), "--session", "copy", *rehearsal)
        assert (answer["imported"], answer["skipped"]) == (0, 2), "what was removed since does not come back"


def test_what_the_app_kept_is_imported(home: Home) -> None:
    reference = {"microcosmID": GARDEN, "lastAccessed": 1_700_000_000_000, "password": None, "view": None}
    stored = {"json": {"active": GARDEN, "microcosms": [[GARDEN, reference], ["bad id", {}]]}, "meta": {}}
    answer = home.json("import", "-", stdin=json.dumps(stored))
    assert (answer["imported"], len(answer["quarantined"])) == (1, 1)
    assert home.nogg("active") == f"{GARDEN}\n"


def test_a_watch_misses_nothing_when_the_daemon_is_killed(home: Home) -> None:
    watch = home.watch()
    state = watch.next()
    assert (state["event"], state["set"]) == ("state", {})
    home.nogg("open", GARDEN)
    change = watch.next()
    assert (change["from"], list(change["set"])) == (state["revision"], [GARDEN])
    home.kill()
    home.start()
    since = watch.next()
    assert (since["event"], since["set"]) == ("since", {}), "it knew that already"
    home.nogg("open", STUDIO)
    change = watch.next()
    assert (change["from"], list(change["set"])) == (since["revision"], [STUDIO])
    assert watch.interrupt() == 130


def test_a_watch_can_go_on_where_another_ended(home: Home) -> None:
    state = home.watch().next()
    home.nogg("open", GARDEN)
    home.nogg("daemon", "restart", *NETWORK)
    since = home.watch("--since", f"{state['epoch']}:{state['revision']}").next()
    assert (since["event"], list(since["set"])) == ("since", [GARDEN])


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_tab_completes_ids_in_bash(home: Home) -> None:
    home.nogg("open", GARDEN)
    home.nogg("open", "garage.1")
    # the script calls `nogg`, which need not be installed where the tests run
    (home.folder / "bin").mkdir()
    nogg = home.folder / "bin" / "nogg"
    nogg.write_text(f"#!{sys.executable}\nfrom noggd.cli.main import main\nraise SystemExit(main())\n")
    nogg.chmod(0o755)
    script = (
        'eval "$(nogg completion bash)"; COMP_WORDS=(nogg get gar); COMP_CWORD=2; _nogg_completion nogg;'
        'echo "${COMPREPLY[@]}"'
    )
    environment = {**home.environment, "PATH": f"{nogg.parent}:{home.environment['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["garage.1", GARDEN]


def test_an_interrupted_command_ends_with_130(home: Home) -> None:
    watch = home.watch()
    watch.next()
    assert watch.interrupt() == 130
    until(lambda: home.json("status")["daemon"]["counts"]["subscriptions"] == 0)
