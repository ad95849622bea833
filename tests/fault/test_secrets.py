"""Where a password can be found: in the answers to who asks for it and, while it is live, in the store."""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nogg.errors import NoggError
from tests.daemons import Daemon, Daemons, until
from tests.lines import Line

pytestmark = pytest.mark.fault

A, B = "alpha.aaaaaaaaaaaaaaaa", "beta.bbbbbbbbbbbbbbbb"
FIRST, SECOND, THIRD, BAD = "correct-horse-1", "battery-staple-2", "tr0ub4dor-three-3", "never-taken-at-all-4"
GONE_WITHIN = 60.0
"""Seconds (contract, section 5)."""


def forms(secret: str) -> list[bytes]:
    """The ways in which a secret could stand somewhere."""
    raw = secret.encode()
    return [
        raw,
        raw.hex().encode(),
        base64.b64encode(raw).rstrip(b"="),
        secret.encode("utf-16-le"),
        raw[::-1],
    ]


def found_in(data: bytes, *secrets: str) -> list[str]:
    return [secret for secret in secrets if any(form in data for form in forms(secret))]


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def told(daemon: Daemon) -> bytes:
    """What the daemon says about itself to anybody who may ask, and what the system shows of its process."""
    said = [
        daemon.call(method)
        for method in ("daemon.status", "daemon.doctor", "daemon.metrics", "hello", "sync.status")
    ]
    process = Path(f"/proc/{daemon.pid}")
    return repr(said).encode() + (process / "cmdline").read_bytes() + (process / "environ").read_bytes()


def provoke(daemon: Daemon, line: Line) -> None:
    """Let go wrong what can go wrong with a password in hand."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("reference.register", {"microcosmID": A, "password": BAD, "view": "x" * 300}),
        ("reference.register", {"microcosmID": A, "password": BAD, BAD: BAD}),
        ("reference.register", {"microcosmID": BAD + "!", "password": BAD}),
        ("reference.update", {"microcosmID": "no.such.one", "password": BAD}),
        ("reference.update", {"microcosmID": A, "password": BAD, "if_revision": 999_999}),
        ("reference.register", {"microcosmID": A, "password": [BAD]}),
        ("reference.register", {"microcosmID": A, "password": BAD * 100}),
        ("session.set", {"microcosms": [{"microcosmID": A, "password": BAD}, {"microcosmID": A}]}),
        ("session.transact", {"ops": [{"op": "register", "microcosmID": A, "password": BAD}, {"op": BAD}]}),
        ("session.import", {"document": BAD}),
        ("session.import", {"document": {"format": BAD, "microcosms": []}}),
        ("pair.join", {"code": f"7-{BAD}"}),
        (BAD, {"password": BAD}),
    ]  # fmt: skip
    for method, params in wrong:
        with contextlib.suppress(NoggError):
            daemon.call(method, **params)
    imported = daemon.call(
        "session.import", document=[[BAD + "!", {"password": BAD}], [A, {"password": {"x": BAD}}]]
    )
    assert BAD not in repr([each["reason"] for each in imported["quarantined"]])
    for raw in (
        f'{{"id":1,"method":"x","params":{{"password":"{BAD}"',
        f'["{BAD}"]',
        f'{{"{BAD}":NaN}}',
        BAD * 10,
    ):
        line.send(raw.encode())
        assert BAD not in repr(line.read())


def test_a_password_is_in_no_log_no_metric_and_nothing_that_is_told(daemons: Daemons) -> None:
    daemon = daemons.start("d", "--log-level", "debug", "--log-format", "json")
    daemon.call("reference.register", microcosmID=A, password=FIRST)
    daemon.call("reference.update", microcosmID=A, password=SECOND)
    daemon.call("session.export", secrets=True)
    with contextlib.closing(Line(daemon.socket)) as line:
        provoke(daemon, line)
    daemon.call("reference.remove", microcosmID=A)
    daemon.call("reference.restore", microcosmID=A)
    said = told(daemon)
    daemon.restart()
    said += told(daemon) + daemon.log.read_bytes()
    assert b"ready" in said
    assert found_in(said, FIRST, SECOND, BAD) == []
    assert found_in(bytes_of(daemon.state), BAD) == [], "what was refused is not stored"


def test_the_command_line_never_takes_or_shows_one_unasked(daemon: Daemon) -> None:
    daemon.call("reference.register", microcosmID=A, password=FIRST)
    env = {**daemon.env, "NOGG_SOCKET": str(daemon.socket), "NOGG_STATE_DIR": str(daemon.state)}
    commands = [
        "list",
        "status",
        "export",
        "export --all",
        "doctor",
        "conflicts",
        f"get {A}",
        "call session.get",
        "logs",
        "config",
    ]
    for command in commands:
        for json in ([], ["--json"]):
            words = [sys.executable, "-m", "noggd.cli", *command.split(), *json]
            done = subprocess.run(words, env=env, capture_output=True, timeout=60)
            assert found_in(done.stdout + done.stderr, FIRST) == [], command
            if command != "logs":
                assert done.returncode in (0, 1), (command, done)


@pytest.mark.beside
def test_what_was_changed_cleared_and_forgotten_leaves_the_disk(daemons: Daemons) -> None:
    """From every file of the state folder, free pages and the write-ahead log included, within a minute.

    And from then on nothing that is logged or told, at any level, brings it back.
    """
    daemon = daemons.start("d", "--log-level", "debug")
    for microcosm, secret in ((A, FIRST), (B, SECOND)):
        daemon.call("reference.register", microcosmID=microcosm, password=secret)
    daemon.call("reference.register", session="work", microcosmID=A, password=THIRD)
    assert found_in(bytes_of(daemon.state), FIRST, SECOND, THIRD) == [FIRST, SECOND, THIRD], (
        "or the search finds nothing"
    )
    daemon.call("reference.update", microcosmID=A, password="another-one")
    daemon.call("reference.update", microcosmID=B, password=None)
    daemon.call("reference.forget", session="work", microcosmID=A)
    since = time.monotonic()
    until(lambda: not found_in(bytes_of(daemon.state), FIRST, SECOND, THIRD), "no trace of them", every=0.2)
    assert time.monotonic() - since < GONE_WITHIN
    assert daemon.call("reference.get", microcosmID=A)["password"] == "another-one"
    daemon.kill()
    assert found_in(bytes_of(daemon.state), FIRST, SECOND, THIRD) == []
    daemon.start()
    said = told(daemon) + repr(daemon.call("session.export", session="work", secrets=True)).encode()
    daemon.stop()
    everything = said + daemon.log.read_bytes() + bytes_of(daemon.state)
    assert found_in(everything, FIRST, SECOND, THIRD) == []


def test_the_process_leaves_no_core(daemons: Daemons) -> None:
    """Its memory holds keys and passwords: a crash must not put them on the disk, whatever the shell allows."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0 and os.geteuid() != 0:
        pytest.skip("this environment allows no cores anyway")
    daemon = daemons.make()
    wide = (resource.RLIM_INFINITY, resource.RLIM_INFINITY) if os.geteuid() == 0 else (hard, hard)
    daemon.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, wide))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_CORE) == (0, 0)
