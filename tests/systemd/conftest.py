"""One lab for all tests of this folder; without namespaces they are skipped, saying why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.lab import Lab, Unavailable, booted, settle, what_is_shown

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The booted system, with noggd in /opt/noggd, alice and bob."""
    wheels = tmp_path_factory.mktemp("wheels")
    wheels.chmod(0o755)  # people of the lab install it too
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    try:
        with booted(tmp_path_factory.mktemp("lab"), what_is_shown(wheels)) as booted_lab:
            settle(booted_lab)
            yield booted_lab
    except Unavailable as reason:
        pytest.skip(f"no systemd can be booted here: {reason}")
