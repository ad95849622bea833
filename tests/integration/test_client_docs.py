"""The programs of docs/client.md run as they stand, and print what they should."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nogg
from tests.daemons import Daemon

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
BLOCKING, WITH_ASYNCIO = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(program: str, daemon: Daemon) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "NOGG_SOCKET": str(daemon.socket)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_blocking_program(daemon: Daemon) -> None:
    assert run(BLOCKING, daemon) == [
        "active: design-studio.0123456789abcdef",
        "design-studio.0123456789abcdef spatial",
        "['design-studio.0123456789abcdef', 'field-notes.1']",
    ]


def test_the_program_with_asyncio(daemon: Daemon) -> None:
    printed = run(WITH_ASYNCIO, daemon)
    assert "False False" in printed
    assert "now 1" in printed


def test_every_member_is_in_the_table() -> None:
    table = PAGE[PAGE.index("## From the seed") :]
    for shell in (nogg.Session, nogg.AsyncSession):
        members = {name for name in vars(shell) if not name.startswith("_")} | {"id"}
        assert {name for name in members if f"`{name}" not in table} == set()
