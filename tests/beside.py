"""Tests marked `beside` wait more than they work: they run in a process of their own, beside all the others.

The process is started with the first test, runs them one after another as they stand, and tells what came of each;
they are reported here when all others have ended. Where nothing else was asked for they run as any test does.
`tests/conftest.py` takes its hooks from here.
"""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOLD = "NOGG_TOLD"
"""The variable that names the file in which the process beside tells what came of its tests."""


def is_beside(item: pytest.Item) -> bool:
    """Say whether a test is to run beside the others."""
    return item.get_closest_marker("beside") is not None


class Beside:
    """The process beside, seen from the one that reports."""

    def __init__(self, items: list[pytest.Item]) -> None:
        self.waiting = {item.nodeid for item in items}
        self._items = items
        self._folder = tempfile.TemporaryDirectory(prefix="nogg-beside-")
        self._told = Path(self._folder.name) / "told"
        self._said = Path(self._folder.name) / "said"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, config: pytest.Config) -> None:
        """Begin with all of them."""
        self._told.touch()
        options = ["-p", "no:cacheprovider", f"--rootdir={config.rootpath}"]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *(item.nodeid for item in self._items)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=config.rootpath,
                env={**os.environ, TOLD: str(self._told)},
            )

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Wait until a test has ended there; yield what it reported."""
        ended = False
        while not ended:
            ended = self._process is None or self._process.poll() is not None
            whole, _, _ = self._told.read_text().rpartition("\n")
            told = [ast.literal_eval(line) for line in whole.split("\n") if line]
            mine = [each for each in told if each["nodeid"] == item.nodeid]
            if any(each["when"] == "teardown" for each in mine):
                for data in mine:
                    yield item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
                return
            time.sleep(0.05)
        said = self._said.read_text(errors="replace")
        yield pytest.TestReport(
            item.nodeid, item.location, {item.name: 1}, "failed", f"it never ended\n{said}", "call"
        )

    def close(self) -> None:
        """End what still runs, as the keyboard would: its fixtures end what they began."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


_BESIDE = pytest.StashKey[Beside]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let those that run beside be reported last, if there are others."""
    apart = [item for item in items if is_beside(item)]
    watched = config.getoption("usepdb") or config.getoption("capture") == "no"
    if apart and len(apart) < len(items) and not watched and TOLD not in os.environ:
        config.stash[_BESIDE] = Beside(apart)
        items.sort(key=is_beside)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start them with the first test."""
    if _BESIDE in session.config.stash and not session.config.getoption("collectonly"):
        session.config.stash[_BESIDE].start(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Report what came of a test that ran beside."""
    beside = item.config.stash.get(_BESIDE, None)
    if beside is None or item.nodeid not in beside.waiting:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in beside.reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


class Teller:
    """Tells, in the process beside, what came of each test: a line for each report."""

    def __init__(self, config: pytest.Config, file: Path) -> None:
        self._config = config
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a report down: with `repr`, since JSON would make lists of tuples."""
        data: dict[str, Any] = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report
        )
        with self._file.open("a") as file:
            file.write(f"{data!r}\n")


def pytest_configure(config: pytest.Config) -> None:
    """Tell, where somebody waits for it."""
    if TOLD in os.environ:
        config.pluginmanager.register(Teller(config, Path(os.environ[TOLD])))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing running."""
    if _BESIDE in config.stash:
        config.stash[_BESIDE].close()
