"""The manual page and docs/cli.md say what the program does, no more and no less."""

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from noggd.cli.base import SHARED
from noggd.cli.exits import _BY_TYPE
from noggd.cli.manual import commands, own_options, page, usage
from noggd.cli.tree import COMMANDS, SECTIONS, root

DOCS = Path(__file__).parents[3] / "docs"
MANUAL = DOCS / "man" / "nogg.1"
EVERY = dict(commands(root, "nogg"))


def described() -> dict[str, str]:
    """The parts of docs/cli.md by the usage line in their heading."""
    parts = re.split(r"^### `(.+)`$", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    return {
        heading: re.split(r"^## ", body, flags=re.MULTILINE)[0]
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def flags(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", text))


def test_the_committed_manual_is_what_the_program_makes() -> None:
    assert MANUAL.read_text() == "\n".join(page()) + "\n", "python -m noggd.cli.manual > docs/man/nogg.1"


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_the_manual_is_good_roff() -> None:
    ran = subprocess.run(["man", "--warnings", "-l", str(MANUAL)], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    for path in EVERY:
        assert path in ran.stdout


def test_every_command_is_in_the_reference_and_no_other() -> None:
    assert set(described()) == {usage(path, command) for path, command in EVERY.items()}


@pytest.mark.parametrize("path", EVERY)
def test_every_option_is_in_the_reference_and_no_other(path: str) -> None:
    command = EVERY[path]
    body = described()[usage(path, command)]
    own = {
        flag
        for option in own_options(command)
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("--")
    }
    assert flags(body) - SHARED == own
    for option in own_options(command):
        if not option.is_flag:
            written = f"{option.opts[0]} {option.metavar}".replace("|", "\\|")
            assert f"`{written}`" in body


def test_the_reference_lists_the_shared_options_and_exit_statuses() -> None:
    head = (DOCS / "cli.md").read_text().split("## Start here")[0]
    rows = dict(re.findall(r"^\| `?([^ |`]+)[^|]*\| ([^|]+) \|$", head, flags=re.MULTILINE))
    assert {row for row in rows if row.startswith("--")} == SHARED | {"--help"}
    assert {int(row) for row in rows if row.isdecimal()} == {0, 1, 130, *_BY_TYPE.values()}


def test_the_sections_of_the_help_hold_every_command_once() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)


def test_every_option_says_what_it_does() -> None:
    for path, command in EVERY.items():
        for option in own_options(command):
            assert option.help, (path, option.name)
            assert option.is_flag or option.metavar, (path, option.name)


def test_no_command_takes_a_password_from_the_command_line() -> None:
    for path, command in EVERY.items():
        for parameter in command.params:
            secret = any("password" in name for name in [parameter.name or "", *parameter.opts])
            assert not secret or (isinstance(parameter, click.Option) and parameter.is_flag), path
