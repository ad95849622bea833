"""The recorded behaviour of the class that the daemon replaces, replayed on a real daemon through its socket.

A recording runs on its own clock and the daemon on the machine's, so times are compared by what they mean: a
recorded `lastAccessed` is the moment of one of the recorded steps, and the daemon's must lie within that step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nogg.blocking import Connection
from nogg.errors import ConnectionLost, NotRunning, Starting

VECTORS = Path(__file__).parents[1] / "vectors" / "session.jsonl"
CASES = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]
PATIENCE = 20.0  # seconds; reached only by a test that fails
RESTARTS = 3
"""Recorded reloads (of 51) for which the daemon is really stopped and started; the others are a new connection."""


class Daemon:
    """A daemon of this test's own, and the connection to it."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "s"
        (folder / "config.toml").touch()
        self._command = [
            *(sys.executable, "-m", "noggd", "--no-discovery", "--listen", "127.0.0.1:0"),
            *("--socket", str(self.socket), "--state-dir", str(folder / "state")),
            *("--config", str(folder / "config.toml")),
        ]
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.restarts = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, env=self._environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.connection = Connection(self.socket)
                if self.connection.call("hello")["ready"]:
                    return
                self.connection.close()
            except (NotRunning, ConnectionLost, Starting):
                assert self.process.poll() is None, "the daemon ended"
            assert time.monotonic() < deadline, "the daemon was not ready in time"
            time.sleep(0.01)

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0

    def reload(self) -> None:
        """What a reload of the page is to the app."""
        if self.restarts < RESTARTS:
            self.restarts += 1
            self.stop()
            self.start()
        else:
            self.connection.close()
            self.connection = Connection(self.socket)

    def call(self, method: str, /, **params: object) -> Any:
        return self.connection.call(method, **params)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = Daemon(tmp_path_factory.mktemp("seed"))
    yield running
    running.stop()


class Replay:
    """One recorded case in a session of its own."""

    def __init__(self, daemon: Daemon, session: str) -> None:
        self.daemon = daemon
        self.session = session
        self.moments: dict[int, tuple[int, int]] = {}
        """When each recorded moment really was: from, until (Unix milliseconds)."""

    def step(self, step: dict[str, Any]) -> Any:
        """Carry out a step, and return its result in the seed's terms."""
        began = time.time_ns() // 1_000_000
        result = self.carry_out(step["op"], step["args"])
        self.moments[step["now"]] = (began, time.time_ns() // 1_000_000)
        return result

    def carry_out(self, op: str, args: dict[str, Any]) -> Any:
        match op:
            case "register":
                return self.call("reference.register", **args)
            case "get":
                return self.call("reference.get", **args)
            case "remove":
                self.call("reference.remove", **args)
            case "list":
                return self.call("reference.list")["references"]
            case "setActive":
                self.call("active.set", **args)
            case "setActiveKey":
                self.call("active.set", microcosmID=args["active"])
            case "isActive":
                return self.call("active.is", **args)["active"]
            case "reset":
                self.call("session.reset")
            case "reload":
                self.daemon.reload()
            case _:
                raise AssertionError(f"an unknown step {op}")
        return None

    def call(self, method: str, /, **params: object) -> Any:
        return self.daemon.call(method, session=self.session, **params)

    def state(self) -> dict[str, Any]:
        found = self.call("session.get")
        return {"active": found["active"], "microcosms": found["microcosms"]}

    def assert_same(self, found: Any, recorded: Any) -> None:
        """Compare a value of the daemon with a recorded one; the daemon's has a revision besides."""
        if isinstance(recorded, list):
            assert len(found) == len(recorded)
            for one, other in zip(found, recorded, strict=True):
                self.assert_same(one, other)
        elif isinstance(recorded, dict) and "microcosms" in recorded:
            assert found["active"] == recorded["active"]
            self.assert_same(found["microcosms"], recorded["microcosms"])
        elif isinstance(recorded, dict):
            accessed, moment = found["lastAccessed"], recorded["lastAccessed"]
            began, ended = self.moments[moment]
            assert began <= accessed <= ended
            kept = {key: value for key, value in found.items() if key not in ("revision", "lastAccessed")}
            assert kept == {key: value for key, value in recorded.items() if key != "lastAccessed"}
        else:
            assert found == recorded


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_a_recorded_history_of_the_seed_reads_the_same(daemon: Daemon, case: dict[str, Any]) -> None:
    replay = Replay(daemon, str(case["name"]))
    for step in case["steps"]:
        replay.assert_same(replay.step(step), step["result"])
        replay.assert_same(replay.state(), step["state"])


def test_the_recordings_are_there() -> None:
    """Every operation of the seed stands in them, or the replay would show little."""
    ops = {step["op"] for case in CASES for step in case["steps"]}
    assert ops == {
        "register",
        "get",
        "remove",
        "list",
        "setActive",
        "setActiveKey",
        "isActive",
        "reset",
        "reload",
    }
    assert sum(len(case["steps"]) for case in CASES) == 700
