"""README's way from nothing to two paired devices, command by command; alice and bob play the two machines."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.lab import Lab, install, needs_user_managers, until

pytestmark = [pytest.mark.root, pytest.mark.timeout(90)]

README = Path(__file__).parents[2] / "README.md"
CODE = re.compile(r"nogg pair (\d+(?:-[a-z]+){3})")
FIRST, SECOND = "alice", "bob"


def commands() -> list[list[str]]:
    """What README shows, without its comments."""
    section = README.read_text(encoding="utf-8").split("\n## Install\n")[1].split("\n## ")[0]
    block = re.search(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert block
    return [shlex.split(line, comments=True) for line in block[1].splitlines()]


def test_it_takes_five_commands_at_most() -> None:
    assert len(commands()) <= 5


@pytest.fixture
def people(lab: Lab) -> Iterator[Lab]:
    """Two people with a service manager, which a login would start; neither knows noggd."""
    needs_user_managers(lab)
    for person in (FIRST, SECOND):
        lab.run("loginctl", "enable-linger", person)
        runtime = lab.path(f"/run/user/{lab.uids[person]}/systemd/private")
        until(runtime.exists, f"the manager of {person}")
        forget(lab, person)
    yield lab
    for person in (FIRST, SECOND):
        lab.nogg("service", "uninstall", user=person)
        lab.run("loginctl", "disable-linger", person)
        forget(lab, person)


def forget(lab: Lab, person: str) -> None:
    """Let a home folder know nothing of noggd."""
    lab.run("rm", "-rf", f"/home/{person}/.local", f"/home/{person}/.config", user=person)


def pipx(lab: Lab, person: str) -> None:
    """Do what `pipx install` does, without a network: a venv of its own, and links in ~/.local."""
    venv = f"/home/{person}/.local/share/pipx/venvs/noggd"
    install(lab, venv, user=person)
    lab.run("mkdir", "-p", f"/home/{person}/.local/bin", user=person)
    for program in ("nogg", "noggd"):
        lab.run("ln", "-s", f"{venv}/bin/{program}", f"/home/{person}/.local/bin/{program}", user=person)


def test_readme_leads_to_two_paired_devices(people: Lab) -> None:
    lab, person, waiting, code = people, FIRST, None, ""
    for nth, words in enumerate(commands()):
        if words[0] == "pipx":
            person = FIRST if nth == 0 else SECOND
            pipx(lab, person)
        elif words == ["nogg", "pair"]:
            waiting = lab.popen(*words, user=person)
            code = said_code(waiting)
        else:
            words = [code if word == "CODE" else word for word in words]
            asked = ["--yes"] if "--pair" in words else []  # nobody sits at a terminal
            done = lab.run(*words, *asked, user=person, limit=90)
            assert "lingering is on" in done.out
    assert waiting is not None
    with waiting:
        assert waiting.wait(30) == 0, "the first device was told"
    lab.nogg("open", "garden.newcomer", user=FIRST)
    until(lambda: seen(lab, SECOND, "garden.newcomer"), "it is on the second device")
    ill = {
        row["name"]
        for row in lab.nogg("doctor", "--json", user=SECOND, check=False).json["checks"]
        if not row["ok"]
    }
    assert ill <= {"disk sync"}, "the lab's disk is memory, which the doctor notices"


def said_code(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = CODE.search(line)
        if found:
            return found[1]
    raise AssertionError("no code was shown")


def seen(lab: Lab, person: str, microcosm: str) -> bool:
    return lab.nogg("get", microcosm, user=person, check=False).status == 0
