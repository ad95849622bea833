"""Commands that start and stop the daemon by hand; a service manager does this by itself."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from nogg import paths
from nogg.errors import ConnectionLost, NotRunning, ShuttingDown
from noggd.cli.base import Group, pass_state
from noggd.cli.exits import FAILED, TIMEOUT, Failure, usage
from noggd.cli.output import Waiting, printable
from noggd.cli.service.running import installed, unit_of
from noggd.cli.state import State
from noggd.platform.files import private_directory

START_LIMIT = 30.0
"""Seconds that a daemon may take until it is ready."""
STOP_LIMIT = 15.0
"""Seconds that a daemon may take until it is gone; it promises 5."""
_STEP = 0.02
_TAIL = 5  # lines of the log that are shown when it does not start

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": True}


@click.group(cls=Group)
def daemon() -> None:
    """Run, start and stop noggd. Options of noggd are passed on (noggd --help lists them)."""


@daemon.command("run", context_settings=_PASSED_ON)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[NOGGD OPTION...]")
@pass_state
def run_daemon(state: State, options: tuple[str, ...]) -> None:
    """Become noggd, in the foreground."""
    command = _command(state, options)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


@daemon.command("start", context_settings=_PASSED_ON)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[NOGGD OPTION...]")
@pass_state
def start_daemon(state: State, options: tuple[str, ...]) -> None:
    """Start noggd in the background and wait until it is ready."""
    running = _hello(state)
    if running is not None:
        running = running if running["ready"] else _until_ready(state)
        answer = {"started": False, **running}
        state.output.result(answer, lambda: [f"already running: {_who(running)}"])
        return
    started = start(state, options)
    state.output.result({"started": True, **started}, lambda: [f"started: {_who(started)}"])


@daemon.command("stop")
@pass_state
def stop_daemon(state: State) -> None:
    """Stop noggd and wait until it is gone."""
    stopped = stop(state)
    state.output.result({"stopped": stopped}, lambda: ["stopped" if stopped else "not running"])


@daemon.command("restart", context_settings=_PASSED_ON)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[NOGGD OPTION...]")
@pass_state
def restart_daemon(state: State, options: tuple[str, ...]) -> None:
    """Stop noggd and start it again; give the options that it ran with."""
    before = _hello(state)
    unit = None if before is None else unit_of(state.call("daemon.status")["pid"])
    if unit is not None:
        if options:
            raise usage(
                f"{unit.name}.service runs it, with options of its own", "nogg config says where they stand"
            )
        unit.manager.run("restart", f"{unit.name}.service")
        after = _until_ready(state)
    else:
        stop(state)
        after = start(state, options)
    if before is not None and before["device"]["id"] != after["device"]["id"]:
        raise Failure(
            "the daemon that was stopped served another state dir than the one that runs now",
            hint="stop it and start it with the --state-dir that it had before",
        )
    state.output.result({"started": True, **after}, lambda: [f"restarted: {_who(after)}"])


def start(state: State, options: tuple[str, ...]) -> dict[str, Any]:
    """Start a daemon in the background, or its service if one is installed; return its `hello` once it is ready."""
    unit = installed() if not options and state.socket is None and not os.environ.get("NOGG_SOCKET") else None
    if unit is not None:
        unit.manager.run("start", *unit.both)
        return _until_ready(state)
    places = paths.resolve(socket=state.socket, state_dir=_option(options, "--state-dir"))
    private_directory(places.logs)
    log = places.logs / "noggd.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as opened:
        process = subprocess.Popen(
            _command(state, options),
            stdin=subprocess.DEVNULL,
            stdout=opened,
            stderr=opened,
            start_new_session=True,  # Ctrl-C in this terminal is not meant for it
        )
    return _until_ready(state, process, log)


def _until_ready(
    state: State, process: "subprocess.Popen[bytes] | None" = None, log: Path | None = None
) -> dict[str, Any]:
    """Wait until the daemon has loaded its store; `process` is watched meanwhile if it is ours."""
    waiting = Waiting("Starting noggd")
    deadline = time.monotonic() + START_LIMIT
    try:
        while time.monotonic() < deadline:
            status = None if process is None else process.poll()
            if status is not None:
                raise Failure(_last_words(status, log), kind="not_running", status=max(status, FAILED))
            hello = _hello(state)
            if hello is not None and hello["ready"]:
                return hello
            time.sleep(_STEP)
    finally:
        waiting.done()
    raise Failure(
        f"noggd is not ready after {START_LIMIT:.0f} s; it goes on starting",
        kind="timeout",
        hint=None if log is None else f"its log is {log}",
        status=TIMEOUT,
    )


def _last_words(status: int, log: Path | None) -> str:
    assert log is not None
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join(
        [f"noggd ended with status {status}; the end of {log}:", *(f"  {line}" for line in lines)]
    )


def stop(state: State) -> bool:
    """Stop the daemon and wait until its process is gone; return whether one was running."""
    try:
        pid = state.call("daemon.status")["pid"]
        unit = unit_of(pid)
        if unit is not None:  # its socket too, or the next app would start it again
            unit.manager.run("stop", *unit.both)
            return True
        state.call("daemon.shutdown")
    except NotRunning:
        return False
    except (ConnectionLost, ShuttingDown):
        pid = None  # it was going already
    waiting = Waiting("Stopping noggd")
    deadline = time.monotonic() + STOP_LIMIT
    try:
        while _hello(state) is not None or (isinstance(pid, int) and _alive(pid)):
            if time.monotonic() > deadline:
                raise Failure(
                    f"noggd has not stopped after {STOP_LIMIT:.0f} s", kind="timeout", status=TIMEOUT
                )
            time.sleep(_STEP)
    finally:
        waiting.done()
    return True


def _alive(pid: int) -> bool:
    """Say whether a process runs; one that ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:  # no /proc here, or gone just now: asked again
        return True
    return fields[:1] != [b"Z"]  # in a container nobody may ever notice


def _hello(state: State) -> dict[str, Any] | None:
    """Return what the daemon says of itself, None if nobody is there."""
    state.close()
    try:
        with state.connect() as connection:
            answer: dict[str, Any] = connection.call("hello")
            return answer
    except (NotRunning, ConnectionLost, ShuttingDown):
        return None


def _command(state: State, options: tuple[str, ...]) -> list[str]:
    socket = ["--socket", state.socket] if state.socket else []
    return [sys.executable, "-m", "noggd", *socket, *options]


def _option(options: tuple[str, ...], flag: str) -> str | None:
    """Return the value of one of noggd's own options, in either spelling."""
    for i, option in enumerate(options):
        if option == flag and i + 1 < len(options):
            return options[i + 1]
        if option.startswith(f"{flag}="):
            return option.partition("=")[2]
    return None


def _who(hello: dict[str, Any]) -> str:
    device = hello["device"]
    return f"noggd {hello['daemon']['version']} on {printable(device['name'])} ({device['id']})"
