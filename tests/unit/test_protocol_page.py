"""The page about the protocol says what the code does: its tables are compared with it."""

import importlib
import re
from pathlib import Path

import pytest

from noggd.domain import frames, statements
from noggd.domain.pairing_wire import REFUSALS
from noggd.services.peers import link
from noggd.services.peers.hello import Hello

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "name", "value"), re.findall(r"^\| `(\w+)\.([A-Z_]+)` \| (\d+) \|", PAGE, re.MULTILINE)
)
def test_limits(module: str, name: str, value: str) -> None:
    assert getattr(importlib.import_module(f"noggd.domain.{module}"), name) == int(value)


def test_there_are_limits() -> None:
    assert PAGE.count("| `frames.") == 3


@pytest.mark.parametrize("kind", ["STORED", "SUMMARY", "HELLO", "STATEMENTS", "STATEMENTS_STORED"])
def test_frames(kind: str) -> None:
    number = f"{getattr(frames, kind):02x}"
    words = kind.lower().replace("_", " ")
    assert re.search(rf"^\| `[^`]* {number} buf[^`]*` \| {words}: ", PAGE, re.MULTILINE)


@pytest.mark.parametrize("code", ["MALFORMED", "CLONE", "OTHER_VERSION", "TRY_AGAIN", "NORMAL", "GOING_AWAY"])
def test_close_codes(code: str) -> None:
    assert re.search(rf"^\| [\d, ]*{getattr(link, code)}\b", PAGE, re.MULTILINE)


def test_hello() -> None:
    hello = Hello(clock=1, name="n", instance="i", digest="d")
    for field in [*hello.__dataclass_fields__]:
        assert f'"{field}":' in PAGE
        assert f"`{field}`" in PAGE


def test_statements() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| `by ", PAGE, re.MULTILINE)) == set(statements._READERS)


def test_refusals() -> None:
    told = re.search(r"A reason is one of ([^.]*)\.", PAGE)
    assert told is not None
    assert set(re.findall(r"`(\w+)`", told[1])) == set(REFUSALS)
