"""`nogg service`: the daemon as a service of this machine, installed, looked at and taken away again."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from noggd.cli.asking import terminal
from noggd.cli.base import Group, pass_state
from noggd.cli.exits import FAILED, OK, Failure, usage
from noggd.cli.output import Waiting, note, printable
from noggd.cli.pair import pair
from noggd.cli.service import installing, launchd
from noggd.cli.service.manager import Manager, lingers, set_linger, user_name
from noggd.cli.service.place import Place, this_place
from noggd.cli.service.plan import Plan, Target, make_plan, target_of
from noggd.cli.state import State

_SHOWN = ("LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "NRestarts", "Result", "StatusText",
          "FragmentPath", "ExecStart")  # fmt: skip


def _target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--headless", is_flag=True, help="With --system: a daemon of the machine's own, under no user."
        ),
        click.option(
            "--for", "person", metavar="USER", help="With --system: whose daemon; whoever called sudo."
        ),
        click.option("--system", is_flag=True, help="The system's service manager; needs root."),
    ):
        command = option(command)
    return command


@click.group(cls=Group)
def service() -> None:
    """Run noggd as a service of this machine."""


@service.command("install")
@_target_options
@click.option(
    "--hardened", is_flag=True, help="The stricter sandbox, where this machine allows it to a user."
)
@click.option("--lan-only", is_flag=True, help="With --system: no packet beyond local networks.")
@click.option(
    "--linger/--no-linger", default=None, help="Run also while you are not logged in. Asked on a terminal."
)
@click.option("--pair", "code", metavar="CODE", help="Then pair with the device that shows this code.")
@click.option("--yes", is_flag=True, help="With --pair: do not ask before merging.")
@click.option("--dry-run", is_flag=True, help="Show what would be written and run; change nothing.")
@pass_state
def install(
    state: State,
    system: bool,
    person: str | None,
    headless: bool,
    hardened: bool,
    lan_only: bool,
    linger: bool | None,
    code: str | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Install noggd as a service and start it.

    It starts by itself from then on, restarts after a crash, and is there before the first app asks. Running it
    again renews the installation, e.g. after an update. Data is never touched.
    """
    place = this_place()
    if sys.platform == "darwin":
        launchd.install(state, place, dry_run=dry_run)
        return
    target = _target(system=system, headless=headless, person=person)
    if lan_only and target.user:
        raise usage("a user's service manager cannot filter packets", "--lan-only goes with --system")
    if code is not None and not target.user:
        raise usage("a system service is paired by the person whose it is", "nogg pair CODE, as that user")
    if hardened and not target.user:
        raise usage("the system service has the strict sandbox already", "leave --hardened out")
    plan = make_plan(place, target, hardened=hardened, lan_only=lan_only)
    if dry_run:
        _show_plan(state, plan, place)
        return
    if target.user and linger and plan.manager.fault() is not None:
        set_linger(user_name())  # this starts the manager
        _await_manager(plan.manager)
    installing.check(plan, place)
    if hardened and not plan.manager.can_make_namespaces():
        raise Failure(
            "this machine does not allow users the namespaces of the strict sandbox",
            hint="leave --hardened out",
        )
    waiting = Waiting(f"Starting {plan.units[1]}")
    try:
        hello = installing.carry_out(plan)
    finally:
        waiting.done()
    answer = _answer(plan, place) | {"device": hello["device"]}
    failure = _settle_linger(answer, linger) if target.user else None
    state.output.result(answer, lambda: _installed(answer, plan))
    for each in plan.notes:
        note(each)
    if failure is not None:
        raise failure
    if code is not None:
        state.socket = str(target.socket)
        click.get_current_context().invoke(pair, code=(code,), yes=yes)


def _target(*, system: bool, headless: bool, person: str | None) -> Target:
    if not system and (headless or person):
        raise usage("--headless and --for go with --system")
    return target_of(system=system, headless=headless, person=person)


def _await_manager(manager: Manager) -> None:
    deadline = time.monotonic() + installing.READY_LIMIT
    while manager.fault() is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def _answer(plan: Plan, place: Place) -> dict[str, Any]:
    return {
        "scope": plan.target.kind,
        "unit": plan.units[1],
        "socket": str(plan.target.socket),
        "installation": place.kind,
        "command": list(place.command),
        "files": [str(path) for path in plan.files],
    }


def _show_plan(state: State, plan: Plan, place: Place) -> None:
    texts = {str(path): text for path, text in plan.files.items()}
    answer = _answer(plan, place) | {
        "dry_run": True,
        "contents": texts,
        "commands": [plan.manager.line(*words) for words in plan.commands],
        "fault": plan.manager.fault(),
    }

    def lines() -> Iterator[str]:
        for path, text in texts.items():
            yield f"==> {path}"
            yield text
        yield "==> commands"
        yield from map(shlex.join, answer["commands"])

    state.output.result(answer, lines)
    for each in (*plan.notes, *([answer["fault"]] if answer["fault"] else [])):
        note(str(each))


def _settle_linger(answer: dict[str, Any], wanted: bool | None) -> Failure | None:
    """Ask whether the daemon shall run without a login, unless that is known; never switch it on unasked."""
    user = user_name()
    answer["linger"] = lingers(user)
    if answer["linger"] or wanted is False:
        return None
    if wanted is None:
        if not terminal():
            return None
        question = (
            "Keep noggd running while you are not logged in, so that your devices stay in step (lingering)?"
        )
        if not click.confirm(question, default=False, err=True):
            return None
    try:
        set_linger(user)
    except Failure as failure:
        return failure
    answer["linger"] = True
    return None


def _installed(answer: dict[str, Any], plan: Plan) -> Iterator[str]:
    for path in answer["files"]:
        yield f"wrote {printable(path)}"
    yield f"{answer['unit']} is enabled and runs; apps connect at {printable(answer['socket'])}"
    yield f"this device is {printable(answer['device']['name'])} ({answer['device']['id']})"
    if "linger" not in answer:
        yield "it starts with the machine"
    elif answer["linger"]:
        yield "it starts with the machine and runs also while you are not logged in (lingering is on)"
    else:
        yield "it runs while you are logged in; nogg service install --linger keeps it running"


@service.command("uninstall")
@_target_options
@pass_state
def uninstall(state: State, system: bool, person: str | None, headless: bool) -> None:
    """Stop the service and remove its units.

    What the daemon keeps (nogg paths) stays, and so does lingering.
    """
    if sys.platform == "darwin":
        launchd.uninstall(state)
        return
    target = _target(system=system, headless=headless, person=person)
    manager = Manager(user=target.user)
    if not target.user:
        installing.need_root()
    before = manager.show(f"{target.unit}.service", "LoadState")["LoadState"]
    removed = [str(path) for path in installing.take_back(manager, target)]
    gone = bool(removed) or before == "loaded"
    answer = {"uninstalled": gone, "unit": f"{target.unit}.service", "files": removed}

    def lines() -> Iterator[str]:
        if not gone:
            yield f"{target.unit}.service is not installed"
            return
        for path in removed:
            yield f"removed {printable(path)}"
        yield f"{target.unit}.service is stopped and disabled; its data stays"
        if target.user and lingers(user_name()):
            yield "lingering stays on; loginctl disable-linger switches it off"

    state.output.result(answer, lines)


@service.command("status")
@_target_options
@pass_state
def status(state: State, system: bool, person: str | None, headless: bool) -> int:
    """Show how the service is doing. Exits 1 if it does not run."""
    if sys.platform == "darwin":
        return launchd.status(state)
    target = _target(system=system, headless=headless, person=person)
    answer = facts(target)
    state.output.result(answer, lambda: _status_lines(answer))
    return OK if answer["active"] == "active" else FAILED


def facts(target: Target) -> dict[str, Any]:
    """Return what is known of an installed service."""
    manager = Manager(user=target.user)
    shown = manager.show(f"{target.unit}.service", *_SHOWN)
    door = manager.show(f"{target.unit}.socket", "ActiveState", "UnitFileState")
    path = re.search(r"path=(.*?) ;", shown["ExecStart"])
    interpreter = path[1] if path else None
    return {
        "unit": f"{target.unit}.service",
        "installed": shown["LoadState"] == "loaded",
        "enabled": shown["UnitFileState"],
        "active": shown["ActiveState"] or "unknown",
        "state": shown["SubState"],
        "result": shown["Result"],
        "pid": int(shown["MainPID"] or 0) or None,
        "restarts": int(shown["NRestarts"] or 0),
        "says": shown["StatusText"],
        "socket": {
            "path": str(target.socket),
            "active": door["ActiveState"],
            "enabled": door["UnitFileState"],
        },
        "file": shown["FragmentPath"] or None,
        "drop_ins": [
            each.name for each in installing.installed_files(manager, target) if each.suffix == ".conf"
        ],
        "interpreter": interpreter,
        "interpreter_exists": interpreter is not None and Path(interpreter).exists(),
        "linger": lingers(user_name()) if target.user else None,
        "fault": manager.fault(),
    }


def _status_lines(answer: dict[str, Any]) -> Iterator[str]:
    if not answer["installed"]:
        yield f"{answer['unit']} is not installed" + (f": {answer['fault']}" if answer["fault"] else "")
        return
    process = f", process {answer['pid']}" if answer["pid"] else ""
    yield f"unit       {answer['unit']}, {answer['enabled']}"
    yield f"state      {answer['active']} ({answer['state']}){process}, {answer['restarts']} restarts"
    if answer["result"] not in ("", "success"):
        yield f"ended      {answer['result']}; nogg logs says why"
    if answer["says"]:
        yield f"says       {printable(answer['says'])}"
    yield f"socket     {printable(answer['socket']['path'])}, {answer['socket']['active']}"
    yield f"file       {printable(answer['file'])}" + "".join(f" + {name}" for name in answer["drop_ins"])
    missing = "" if answer["interpreter_exists"] else "  MISSING: nogg service install renews it"
    yield f"runs       {printable(answer['interpreter'])}{missing}"
    if answer["linger"] is not None:
        yield "lingering  " + (
            "on: it runs without a login" if answer["linger"] else "off: it runs during logins"
        )
