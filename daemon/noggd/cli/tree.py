"""The tree of commands. They live in the modules named in `COMMANDS` and are loaded when they are used."""

import click

from noggd.cli import exits
from noggd.cli.base import Group
from noggd.cli.report import reporting
from noggd.cli.state import State

COMMANDS = {
    "demo": "noggd.cli.demo:demo",
    "status": "noggd.cli.information:status",
    "list": "noggd.cli.references:list_",
    "get": "noggd.cli.references:get",
    "open": "noggd.cli.references:open_",
    "update": "noggd.cli.references:update",
    "touch": "noggd.cli.references:touch",
    "rm": "noggd.cli.removal:rm",
    "restore": "noggd.cli.removal:restore",
    "forget": "noggd.cli.removal:forget",
    "active": "noggd.cli.sessions:active",
    "watch": "noggd.cli.watch:watch",
    "session": "noggd.cli.sessions:session",
    "reset": "noggd.cli.sessions:reset",
    "conflicts": "noggd.cli.conflicts:conflicts",
    "resolve": "noggd.cli.conflicts:resolve",
    "export": "noggd.cli.transfer:export",
    "import": "noggd.cli.transfer:import_",
    "pair": "noggd.cli.pair:pair",
    "device": "noggd.cli.devices:device",
    "identity": "noggd.cli.devices:identity",
    "sync": "noggd.cli.sync:sync",
    "doctor": "noggd.cli.doctor:doctor",
    "logs": "noggd.cli.logs:logs",
    "config": "noggd.cli.settings:config",
    "service": "noggd.cli.service.commands:service",
    "daemon": "noggd.cli.daemon:daemon",
    "paths": "noggd.cli.information:paths",
    "call": "noggd.cli.information:call",
    "completion": "noggd.cli.information:completion",
    "version": "noggd.cli.information:version",
}
"""Every command and where it lives."""

SECTIONS = {
    "Start here": ["demo", "status"],
    "Microcosms": ["list", "get", "open", "update", "touch", "rm", "restore", "forget", "active", "watch"],
    "The session": ["session", "reset", "conflicts", "resolve", "export", "import"],
    "Devices and the person": ["pair", "device", "identity", "sync"],
    "The daemon": ["doctor", "logs", "config", "service", "daemon", "paths", "call", "completion", "version"],
}

root = Group(
    name="nogg",
    lazy=COMMANDS,
    sections=SECTIONS,
    help="Your session of microcosms, the same on all your devices.\n\n"
    "nogg talks to noggd, the session daemon. Ids of microcosms and devices may be shortened to any "
    "unique beginning.",
    epilog="Exit status: 0 ok, 1 failed or no, 2 usage, 3 daemon not reachable, 4 not permitted or not "
    "paired, 5 conflict, 6 timeout, 7 storage, 130 interrupted.",
)


def run(given: list[str]) -> int:
    """Parse a command line, run its command and return the exit status."""
    state = State()
    return reporting(state, lambda: _invoke(state, given or ["--help"]))


def _invoke(state: State, given: list[str]) -> object:
    """Let click run the command; its failures are turned into ours."""
    try:
        return root.main(given, prog_name="nogg", standalone_mode=False, obj=state)
    except click.UsageError as error:
        # the parser stopped before it had read all options, so --json is looked for by hand
        state.output.json |= "--json" in given
        path = error.ctx.command_path if error.ctx is not None else "nogg"
        raise exits.usage(error.format_message(), f"{path} --help shows how to use it") from error
    except click.ClickException as error:
        raise exits.Failure(error.format_message()) from error
    except click.Abort:
        raise KeyboardInterrupt from None
