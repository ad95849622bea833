"""What runs beside the other tests is reported as if it ran among them: above all, when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import beside

CONFTEST = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
pytest_plugins = ("tests.beside",)
"""
SETTINGS = '[tool.pytest.ini_options]\nmarkers = ["beside: as in this project"]\n'
TESTS = """
import os, signal
import pytest

pids = []

@pytest.mark.beside
def test_passes():
    pids.append(os.getpid())
    print("beside", os.getpid())

@pytest.mark.beside
def test_is_in_the_same_process():
    assert pids == [os.getpid()]

@pytest.mark.beside
def test_fails():
    assert "what it saw" == "what it should see"

@pytest.mark.beside
def test_is_skipped():
    pytest.skip("there is no moon")

@pytest.fixture
def broken():
    yield
    raise OSError("it does not end")

@pytest.mark.beside
def test_ends_badly(broken):
    pass

def test_is_here():
    assert not pids

@pytest.mark.beside
def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: Path, *words: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *words]
    env = {key: value for key, value in os.environ.items() if key not in (beside.TOLD, "PYTEST_ADDOPTS")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_all_that_can_come_of_a_test_is_told(tmp_path: Path) -> None:
    status, said = run(tmp_path)
    assert status == 1
    assert "2 failed, 4 passed, 1 skipped, 1 error" in said, said
    assert "assert 'what it saw' == 'what it should see'" in said
    assert "there is no moon" in said
    assert "it does not end" in said
    assert "it never ended" in said


def test_alone_they_run_where_they_were_asked_for(tmp_path: Path) -> None:
    status, said = run(tmp_path, "-k", "passes or same", "-s")
    assert (status, "beside " in said) == (0, True), said
