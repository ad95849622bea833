"""Every example of docs/app-guide.md does what the page says, in the order of the page, on one daemon."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.home import PATIENCE, Home, until

GUIDE = Path(__file__).parents[2] / "docs" / "app-guide.md"
TOOLS = {
    "python": r"$^",
    "sh": r"\b(?:jq|nc|socat)\b",
    "js": r"\bnode(?=:)",
}  # what a program needs to have installed


class Example(NamedTuple):
    """A program of the page; a follower is told something by the example after it, and then ends."""

    language: str
    follows: bool
    program: str
    prints: list[str]


def examples() -> list[Example]:
    """Read the page: each program is followed by what it prints; a follower by what tells it, then both outputs."""
    blocks = re.findall(r"^```(\w+)( follow)?\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    found: list[Example] = []
    for language, follows, text in blocks:
        if language == "text":
            found[-1].prints.append(text)
        else:
            found.append(Example(language, bool(follows), text, []))
    return found


def test_the_page_is_understood() -> None:
    found = examples()
    assert {example.language for example in found} == set(TOOLS)
    for example, after in zip(found, [*found[1:], None], strict=True):
        if example.follows:
            assert example.prints == []
            assert after is not None
            assert len(after.prints) == 2, "what the teller prints, and what the follower says to it"
    tellers = [after for example, after in pairwise(found) if example.follows]
    assert all(
        len(example.prints) == 1 for example in found if not example.follows and example not in tellers
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    folder = home.folder / "bin"
    folder.mkdir()
    nogg = folder / "nogg"  # the command need not be installed where the tests run
    nogg.write_text(f"#!{sys.executable}\nfrom noggd.cli.main import main\nraise SystemExit(main())\n")
    nogg.chmod(0o755)
    home.environment["PATH"] = f"{folder}:{home.environment['PATH']}"
    home.start()
    yield home
    home.close()


def begin(example: Example, home: Home) -> subprocess.Popen[str]:
    command = {"python": [sys.executable, "-c"], "sh": ["sh", "-e", "-c"], "js": ["node", "-e"]}[
        example.language
    ]
    return subprocess.Popen(
        [*command, example.program],
        env=home.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    return out


def test_every_example_does_what_the_page_says(home: Home) -> None:
    following: subprocess.Popen[str] | None = None
    for example in examples():
        for tool in re.findall(TOOLS[example.language], example.program):
            if shutil.which(tool) is None:  # the examples after it go on where it ended
                pytest.skip(f"{tool} is not installed; the examples before it were run")
        if example.follows:
            following = begin(example, home)
            until(lambda: home.json("status")["daemon"]["counts"]["subscriptions"] == 1)
            continue
        assert end(begin(example, home)) == example.prints[0]
        if following is not None:
            assert end(following) == example.prints[1]
            following = None
