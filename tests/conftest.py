"""What all tests share."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.daemons import Daemon, Daemons, running

pytest_plugins = ("tests.beside",)

settings.register_profile("shared machine", deadline=None)  # how long an example takes says nothing there
settings.load_profile("shared machine")

_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, which is what the daemon runs on."""
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether a test failed, for the fixture that shows logs."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture
def daemons(request: pytest.FixtureRequest) -> Iterator[Daemons]:
    """Real daemons in a folder whose path is short enough for sockets; logs are shown if the test fails."""
    with tempfile.TemporaryDirectory(prefix="nogg-", ignore_cleanup_errors=True) as folder:
        with running(Path(folder)) as found:
            yield found
        if request.node.stash.get(_FAILED, False):
            print("\n".join(daemon.words() for daemon in found.all))


@pytest.fixture
def daemon(daemons: Daemons) -> Daemon:
    """A real daemon, ready."""
    return daemons.start()
