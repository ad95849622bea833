"""A backup of everything, in files: out of a real daemon, into a running one, a new one, and the same one again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import Daemon, Daemons, environment, until

GARDEN, STUDIO, LATER = "garden.aaaaaaaaaaaaaaaa", "studio.bbbbbbbbbbbbbbbb", "later.cccccccccccccccc"
SECRET = "open sesame 4711"


def nogg(daemon: Daemon, *words: str, status: int = 0) -> dict[str, Any]:
    """Run the command line for a daemon's places, whether it runs or not; returns its JSON answer."""
    env = environment(
        daemon.folder,
        NOGG_SOCKET=str(daemon.socket),
        NOGG_STATE_DIR=str(daemon.state),
        NOGG_CONFIG=str(daemon.config),
    )
    done = subprocess.run(
        [sys.executable, "-m", "noggd.cli", *words, "--json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def fill(daemon: Daemon) -> None:
    daemon.call("identity.set", username="Ada")
    daemon.call("reference.register", microcosmID=GARDEN, view="map", password=SECRET)
    daemon.call("reference.register", microcosmID=STUDIO, session="work", view="list")
    daemon.call("active.set", microcosmID=GARDEN)


def contents(daemon: Daemon, session: str = "default") -> dict[str, tuple[str | None, str | None]]:
    found = daemon.call("session.get", session=session)["microcosms"]
    return {each["microcosmID"]: (each["view"], each["password"]) for each in found}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.json"


def test_without_being_asked_no_secret_is_in_it(daemon: Daemon, file: Path) -> None:
    fill(daemon)
    nogg(daemon, "export", "--all", str(file))
    text = file.read_text()
    assert SECRET not in text
    assert "PRIVATE KEY" not in text
    backup = json.loads(text)
    assert set(backup["sessions"]) == {"default", "work"}
    assert backup["person"]["username"] == "Ada"
    assert [each["self"] for each in backup["devices"]] == [True]
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_is_merged_into_another_running_daemon(daemons: Daemons, file: Path) -> None:
    one, other = daemons.together("one", "other")
    fill(one)
    nogg(one, "export", "--all", "--show-secrets", str(file))
    other.call("reference.register", microcosmID=GARDEN, view="mine")
    answer = nogg(other, "import", str(file))
    assert (answer["imported"], answer["skipped"], answer["username"]) == (2, 0, True)
    assert contents(other) == {GARDEN: ("mine", SECRET)}, (
        "what was there is not overwritten, what was empty is filled"
    )
    assert contents(other, "work") == {STUDIO: ("list", None)}
    assert nogg(other, "import", str(file))["imported"] == 0, "a second time changes nothing"


def test_one_session_can_be_taken_out_of_it(daemons: Daemons, file: Path) -> None:
    one, other = daemons.together("one", "other")
    fill(one)
    nogg(one, "export", "--all", str(file))
    assert list(nogg(other, "import", str(file), "--session", "work")["sessions"]) == ["work"]
    assert contents(other) == {}


def test_a_new_device_of_the_same_person(daemons: Daemons, file: Path) -> None:
    """Without secrets: the person, sessions and references, but another device without passwords."""
    one, new = daemons.start("one"), daemons.make("new")
    fill(one)
    nogg(one, "export", "--all", str(file))
    answer = nogg(new, "import", "--reinstall", str(file))
    assert answer["same_device"] is False
    new.start()
    assert new.call("identity.get")["identityID"] == one.call("identity.get")["identityID"]
    assert new.call("identity.get")["username"] == "Ada"
    assert new.call("hello")["device"]["id"] != one.call("hello")["device"]["id"]
    assert contents(new) == {GARDEN: ("map", None)}
    assert contents(new, "work") == {STUDIO: ("list", None)}
    assert new.call("active.get") == {"active": GARDEN}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (new.state, *new.state.iterdir()))


def test_the_same_device_again_takes_its_place_and_undoes_nothing(daemons: Daemons, file: Path) -> None:
    """With secrets: known to the other device without pairing; what happened there since the backup stands."""
    one, other = daemons.together("one", "other")
    fill(one)
    invitation = one.call("pair.invite")
    other.call("pair.join", code=invitation["code"], address=invitation["addresses"][0])
    until(lambda: len(contents(other)) == 1 and len(contents(other, "work")) == 1, "the first sync")
    nogg(one, "export", "--all", "--show-secrets", str(file))
    device = one.call("hello")["device"]
    one.kill()
    other.call("reference.remove", microcosmID=STUDIO, session="work")
    other.call("reference.update", microcosmID=GARDEN, view="newer")
    other.call("reference.register", microcosmID=LATER)

    one.state.rename(one.state.with_name("lost"))
    answer = nogg(one, "import", "--reinstall", str(file))
    assert (answer["same_device"], answer["device"]["id"]) == (True, device["id"])
    one.start()
    until(lambda: LATER in contents(one), "what was missed")
    until(lambda: contents(one) == contents(other), "both in step")
    assert contents(one) == {GARDEN: ("newer", SECRET), LATER: (None, None)}
    assert contents(one, "work") == contents(other, "work") == {}, "what was removed meanwhile stays removed"
    assert {each["id"] for each in other.call("device.list")["devices"]} == {
        device["id"], other.call("hello")["device"]["id"],
    }  # fmt: skip
    one.call("reference.register", microcosmID=STUDIO, view="again")
    until(lambda: STUDIO in contents(other), "a change of the one that came back")
    assert one.call("reference.conflicts") == {"conflicts": []}


def test_a_device_that_has_a_state_is_not_overwritten(daemons: Daemons, file: Path) -> None:
    one, other = daemons.together("one", "other")
    nogg(one, "export", "--all", "--show-secrets", str(file))
    other.stop()
    before = {path.name: path.read_bytes() for path in other.state.iterdir()}
    refused = nogg(other, "import", "--reinstall", str(file), status=1)
    assert "has a state already" in refused["error"]["message"]
    assert {path.name: path.read_bytes() for path in other.state.iterdir()} == before


def test_a_restore_that_was_interrupted_is_no_state_and_begins_anew(daemons: Daemons, file: Path) -> None:
    one, new = daemons.start("one"), daemons.make("new")
    fill(one)
    nogg(one, "export", "--all", "--show-secrets", str(file))
    one.stop()
    nogg(new, "import", "--reinstall", str(file))
    (new.state / "session.db").unlink()  # as if it had been killed before the store was there
    (new.state / "reinstalling").touch()
    new.launch()
    assert new.wait() == 7
    assert "nogg import --reinstall FILE" in new.words()
    checks = {row["name"]: row for row in nogg(new, "doctor", status=7)["checks"]}
    assert checks["store"]["ok"] is False
    assert "interrupted" in checks["store"]["message"]
    nogg(new, "import", "--reinstall", str(file))
    new.start()
    assert contents(new) == {GARDEN: ("map", SECRET)}
    assert contents(new, "work") == {STUDIO: ("list", None)}


@pytest.mark.parametrize("damage", ["key", "trust", "forged", "sessions", "version", "session"])
def test_a_damaged_backup_leaves_nothing(daemons: Daemons, file: Path, damage: str) -> None:
    one, new = daemons.start("one"), daemons.make("new")
    fill(one)
    nogg(one, "export", "--all", "--show-secrets", str(file))
    backup = json.loads(file.read_text())
    if damage in ("key", "trust"):
        backup["device"][damage] = "nothing"
    elif damage == "forged":  # somebody else's name, and the digest to match
        group = backup["device"]["trust"]
        group["genesis"] = group["genesis"].replace('"name":"', '"name":"x')
        group["checked"] = hashlib.sha256(
            "\n".join([group["genesis"], *group["statements"]]).encode()
        ).hexdigest()
    elif damage == "session":
        backup["sessions"]["default"]["microcosms"] = "nothing"
    else:
        backup[damage] = 99
    file.write_text(json.dumps(backup))
    refused = nogg(
        new,
        "import",
        "--reinstall",
        str(file),
        status=7 if damage in ("key", "trust", "forged") else 2 if damage == "session" else 1,
    )
    assert refused["error"]["message"]
    assert not new.state.exists() or [path.name for path in new.state.iterdir()] in ([], ["lock"])
