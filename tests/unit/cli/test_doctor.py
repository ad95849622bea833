"""`nogg doctor`, with a daemon and without one."""

import fcntl
from pathlib import Path
from typing import Any

import pytest

from noggd.cli import doctor
from noggd.platform.checks import check
from noggd.storage.journal import Journal
from noggd.storage.keys import make_key
from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import FakeDaemon

WELL = check("store", True, "it is whole", "")
ILL = check("disk space", False, "5 MiB are free", "make room")


@pytest.fixture(autouse=True)
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "service_checks", lambda _: [])
    monkeypatch.setattr(doctor, "installed", lambda: None)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder as a stopped daemon leaves it."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("NOGG_STATE_DIR", str(folder))
    monkeypatch.setenv("NOGG_CONFIG", str(tmp_path / "config.toml"))
    journal = Journal(folder / "session.db")
    journal.append(b"a record")
    journal.close()
    make_key(folder / "device.pem")
    (folder / "trust.json").write_text('{"statements": []}')
    (folder / "trust.json").chmod(0o600)
    return folder


def found(run: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in run.json["checks"]}


def test_a_daemon_that_is_well(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers["daemon.doctor"] = {"checks": [WELL]}
    run = nogg("doctor")
    assert run.status == 0
    assert run.out.splitlines()[0].startswith("ok    daemon")


def test_what_is_wrong_comes_with_what_to_do(nogg: Nogg, daemon: FakeDaemon) -> None:
    daemon.answers["daemon.doctor"] = {"checks": [WELL, ILL]}
    run = nogg("doctor")
    assert run.status == 1
    assert "FAIL  disk space  5 MiB are free" in run.out
    assert "-> make room" in run.out
    assert nogg("doctor", "--json").json["ok"] is False


def test_without_a_daemon_what_is_on_disk_is_checked(nogg: Nogg, state: Path) -> None:
    run = nogg("doctor", "--json")
    assert run.status == 3
    rows = found(run)
    assert rows["daemon"]["ok"] is False
    assert all(
        rows[name]["ok"]
        for name in ("config", "lock", "store", "key", "trust", "state folder", "state files")
    )


def test_without_anything_there_is_nothing_wrong_but_that(
    nogg: Nogg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOGG_STATE_DIR", str(tmp_path / "none"))
    rows = found(nogg("doctor", "--json"))
    assert [name for name, row in rows.items() if not row["ok"]] == ["daemon"]
    assert not (tmp_path / "none").exists()


def test_a_store_that_cannot_be_read_exits_7_and_stays_as_it_is(nogg: Nogg, state: Path) -> None:
    store = state / "session.db"
    store.write_bytes(store.read_bytes()[:5000])
    before = {path: path.read_bytes() for path in state.iterdir()}
    run = nogg("doctor", "--json")
    assert run.status == 7
    row = found(run)["store"]
    assert row["ok"] is False
    assert "backup" in row["fix"]
    assert {path: path.read_bytes() for path in state.iterdir()} == before


@pytest.mark.parametrize(("file", "name"), [("device.pem", "key"), ("trust.json", "trust")])
def test_a_key_or_a_group_that_cannot_be_read_exits_7(nogg: Nogg, state: Path, file: str, name: str) -> None:
    (state / file).write_text("{")
    run = nogg("doctor", "--json")
    assert run.status == 7
    assert found(run)[name]["ok"] is False


def test_who_holds_the_state_folder_is_named(nogg: Nogg, state: Path) -> None:
    with (state / "lock").open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        (state / "lock").chmod(0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        row = found(nogg("doctor", "--json"))["lock"]
    assert (row["ok"], "process 4711" in row["message"]) == (False, True)


def test_a_bad_setting_is_named(nogg: Nogg, state: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("listen = 7\n")
    row = found(nogg("doctor", "--json"))["config"]
    assert (row["ok"], "config.toml:1: listen" in row["message"]) == (False, True)
