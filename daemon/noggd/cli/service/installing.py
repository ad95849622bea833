"""Carrying a plan out, and taking it back: files written, units enabled, the daemon waited for.

Only files that carry our mark are ever replaced or removed.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nogg.blocking import Connection
from nogg.errors import ConnectionLost, NotRunning
from noggd.cli.exits import NOT_PERMITTED, TIMEOUT, Failure
from noggd.cli.service.manager import Manager, user_name
from noggd.cli.service.place import Place
from noggd.cli.service.plan import Plan, Target
from noggd.cli.service.units import MARK
from noggd.platform.files import private_directory

READY_LIMIT = 30.0
"""Seconds for which the daemon may go on loading after its manager has started it."""
_STEP = 0.05
_LAST_LINES = 5


def check(plan: Plan, place: Place) -> None:
    """Refuse what could not work, before anything is changed. Raises Failure."""
    target, manager = plan.target, plan.manager
    if not target.user:
        need_root()
    fault = manager.fault()
    if fault is not None:
        raise Failure(fault, hint=_instead(target))
    if target.person:
        try:
            pwd.getpwnam(target.person)
        except KeyError:
            raise Failure(f"there is no user {target.person}") from None
    for path in plan.files:
        if path.exists() and not is_ours(path):
            raise Failure(
                f"{path} was not made by nogg", hint="move it away, or install nothing: it is in charge"
            )
    _refuse_second(plan)
    _prove_command(place)
    wrong = manager.verify({str(path.relative_to(manager.folder)): text for path, text in plan.files.items()})
    if wrong is not None:
        raise Failure(f"this systemd does not take the units:\n{wrong}")


def need_root() -> None:
    """Refuse what only root can do. Raises Failure."""
    if os.geteuid() != 0:
        raise Failure(
            "a system service is root's to install", kind="forbidden", hint="use sudo", status=NOT_PERMITTED
        )


def _instead(target: Target) -> str:
    if target.user and Path("/run/systemd/system").is_dir():
        name = user_name()
        return f"log in as {name} (not by su or sudo), or have it started: sudo loginctl enable-linger {name}"
    return "nogg daemon start runs it without a service manager"


def _prove_command(place: Place) -> None:
    """Load the daemon as the unit will, in an environment that has nothing of ours.

    This also leaves compiled what was not (uv does not do it): in its sandbox the daemon may not, and would
    take a second more at each start.
    """
    command = [place.python, *place.options, "-c", "import noggd.__main__, noggd.app"]
    try:
        done = subprocess.run(
            command, cwd="/", env={}, capture_output=True, text=True, timeout=60, check=False
        )
    except OSError as error:
        raise Failure(f"{place.python} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise Failure(f"{' '.join(command)} fails: {done.stderr.strip()}", hint="install noggd again")


def _refuse_second(plan: Plan) -> None:
    """Refuse to set a daemon beside another one of the same person."""
    target, manager = plan.target, plan.manager
    if target.user:
        other = Manager(user=False).show(f"noggd@{user_name()}.socket", "ActiveState")["ActiveState"]
        if other == "active":
            raise Failure(
                f"noggd@{user_name()} runs for you already, as a system service",
                hint=f"sudo nogg service uninstall --system --for {user_name()}",
            )
    if manager.show(plan.units[0], "ActiveState")["ActiveState"] == "active":
        return  # ours: this is a renewal
    hello = greet(target.socket)
    if hello is not None:
        raise Failure(
            f"a daemon that was started by hand answers at {target.socket}",
            hint="nogg daemon stop, then again",
        )


def greet(socket: Path) -> dict[str, Any] | None:
    """Return the daemon's `hello` at a socket, None if nobody answers."""
    try:
        with Connection(socket) as connection:
            answer: dict[str, Any] = connection.call("hello")
            return answer
    except (NotRunning, ConnectionLost):
        return None


def is_ours(path: Path) -> bool:
    """Tell whether an installation of ours wrote a file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    except OSError:
        return False


def carry_out(plan: Plan) -> dict[str, Any]:
    """Write, enable, start, and wait until the daemon answers; return its `hello`. Raises Failure."""
    if plan.state is not None:
        private_directory(plan.state)  # a sandbox can show only what exists
    _remove(plan.manager, plan.target, but=plan.files.keys())
    for path, text in plan.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(path)
    for command in plan.commands:
        try:
            plan.manager.run(*command)
        except Failure as failure:
            raise Failure(
                f"{failure.message}\n{last_words(plan)}", hint="nogg doctor says what can be wrong"
            ) from None
    return _until_ready(plan)


def _until_ready(plan: Plan) -> dict[str, Any]:
    deadline = time.monotonic() + READY_LIMIT
    while time.monotonic() < deadline:
        hello = greet(plan.target.socket)
        if hello is not None and hello["ready"]:
            return hello
        time.sleep(_STEP)
    raise Failure(
        f"the service runs, but does not answer at {plan.target.socket}\n{last_words(plan)}",
        kind="timeout",
        status=TIMEOUT,
    )


def last_words(plan: Plan) -> str:
    """Return the end of the daemon's log, as far as the journal lets us read it."""
    scope = ["--user"] if plan.manager.user else []
    command = ["journalctl", *scope, "-u", plan.units[1], "-n", str(_LAST_LINES), "-o", "cat", "--no-pager"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return "\n".join(f"  {line}" for line in done.stdout.splitlines())


def take_back(manager: Manager, target: Target) -> list[Path]:
    """Stop and disable the units of a target and remove our files; return those that were removed."""
    units = (f"{target.unit}.socket", f"{target.unit}.service")
    manager.try_to("disable", "--now", *units)  # fails where they never were
    removed = [] if target.person and _instances(manager) else _remove(manager, target)
    manager.try_to("daemon-reload")
    manager.try_to("reset-failed", *units)
    return removed


def _instances(manager: Manager) -> list[Path]:
    """Return what still starts instances of the template for other people."""
    return [path for path in manager.folder.glob("*.wants/noggd@*") if path.name != "noggd@.service"]


def installed_files(manager: Manager, target: Target) -> list[Path]:
    """Return the files that an installation of ours left for a target."""
    names = [f"{target.template}.service", f"{target.template}.socket"]
    candidates = [manager.folder / name for name in names]
    candidates += sorted((manager.folder / f"{names[0]}.d").glob("*.conf"))
    return [path for path in candidates if is_ours(path)]


def _remove(manager: Manager, target: Target, but: Collection[Path] = ()) -> list[Path]:
    gone = [path for path in installed_files(manager, target) if path not in but]
    for path in gone:
        path.unlink()
    folder = manager.folder / f"{target.template}.service.d"
    if gone and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return gone
