"""`nogg doctor`: everything that can be wrong, and what to do about it, with or without a running daemon."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nogg import paths
from nogg.errors import Forbidden, NoggError
from noggd.cli.base import Command, pass_state
from noggd.cli.exits import FAILED, NOT_PERMITTED, OK, STORAGE, UNREACHABLE
from noggd.cli.output import printable, style
from noggd.cli.service.commands import facts
from noggd.cli.service.manager import Manager, user_name
from noggd.cli.service.plan import Target
from noggd.cli.service.running import installed
from noggd.cli.state import State
from noggd.platform import checks as machine
from noggd.platform.checks import Check, check

_STORED = ("store", "key", "trust")


@click.command(cls=Command)
@pass_state
def doctor(state: State) -> int:
    """Check what can be wrong, and say how to mend it.

    Looks at the running daemon, or at what is on disk if none runs. Changes nothing. Exits 0 if all is well, 7 if
    what is stored cannot be read, 3 if the daemon does not run, 1 for anything else.
    """
    found = examine(state)
    status = verdict(found)
    state.output.result({"ok": status == OK, "checks": found}, lambda: _lines(found))
    return status


def examine(state: State) -> list[Check]:
    """Make all checks that can be made from here."""
    try:
        found: list[Check] = list(state.call("daemon.doctor")["checks"])
        socket = str(state.connection.path)
    except NoggError as error:
        found = [_unreachable(state, error), *_on_disk(state)]
    else:
        found.insert(0, check("daemon", True, f"it answers at {socket}", ""))
    return found + service_checks({row["name"] for row in found})


def verdict(found: list[Check]) -> int:
    """Return the exit status for what was found: the gravest counts."""
    failed = {row["name"] for row in found if not row["ok"]}
    if failed & set(_STORED):
        return STORAGE
    if "daemon" in failed:
        return UNREACHABLE
    if "permission" in failed:
        return NOT_PERMITTED
    return FAILED if failed else OK


def _unreachable(state: State, error: NoggError) -> Check:
    if isinstance(error, Forbidden):
        return check("permission", False, error.message, "run it as the user whose daemon it is")
    return check("daemon", False, error.message, error.hint or "nogg daemon start")


def _on_disk(state: State) -> list[Check]:
    from noggd.storage.checks import (
        without_daemon,
    )  # needs the libraries of keys, which a running daemon has loaded

    unit = installed()
    places = paths.resolve(socket=state.socket)
    folder = (unit.state if unit is not None else None) or places.state
    found = [_settings_check(places.config)]
    try:
        if not folder.is_dir():
            missing = f"{folder} is not there yet; the first start makes it"
            return [*found, check("state folder", True, missing, "")]
        found += [machine.state_folder(folder), machine.state_files(folder)]
        found += without_daemon(folder)
        found += [machine.disk_space(folder), machine.disk_sync(folder)]
    except PermissionError as error:
        found.append(
            check("permission", False, f"{error.filename}: {error.strerror}", "run it as the owner of that")
        )
    return [*found, machine.clock()]


def _settings_check(file: Path) -> Check:
    from noggd.platform import config

    try:
        config.load(file, required=False, environ={}, flags={})
    except config.ConfigError as error:
        return check("config", False, str(error), "nogg config --example shows how it is written")
    return check("config", True, f"{file}" + ("" if file.exists() else " does not exist, which is well"), "")


def service_checks(already: set[str]) -> list[Check]:
    """Check the units that are installed for whoever asks; nothing where there are none."""
    found = []
    for target in (Target("user"), Target("person", user_name()), Target("headless")):
        if Manager(user=target.user).fault() is not None:
            continue
        told = facts(target)
        if told["installed"] and told["enabled"] in ("enabled", "enabled-runtime", "linked"):
            found.append(_service_check(target, told))
            if target.user and "lingering" not in already:
                found.append(machine.lingering(user_name()))
    return found


def _service_check(target: Target, told: dict[str, Any]) -> Check:
    name, scope = told["unit"], "" if target.user else " --system"
    renew = f"nogg service install{scope}" + (f" --for {target.person}" if target.person else "")
    if not told["interpreter_exists"]:
        gone = f"{name} runs {told['interpreter']}, which is gone"
        return check("service", False, gone, f"install noggd again, then {renew}")
    if told["socket"]["active"] != "active":
        return check("service", False, f"the socket of {name} is {told['socket']['active']}", renew)
    if told["active"] == "failed":
        return check("service", False, f"{name} failed ({told['result']})", "nogg logs says why")
    return check("service", True, f"{name} is {told['active']}, enabled, and runs {told['interpreter']}", "")


def _lines(found: list[Check]) -> Iterator[str]:
    width = max(len(row["name"]) for row in found)
    for row in found:
        mark = style("ok  ", "green") if row["ok"] else style("FAIL", "red")
        yield f"{mark}  {printable(row['name']).ljust(width)}  {printable(row['message'])}"
        if row["fix"]:
            yield f"{' ' * (width + 8)}{style('->', 'bold')} {printable(row['fix'])}"
