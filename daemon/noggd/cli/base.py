"""Commands and groups that share some options (`--socket`, `--json` …), given before or after the name.

Groups load the module of a command only when it is asked for: start-up time is most of a short command.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from noggd.cli.state import State

pass_state = click.make_pass_decorator(State, ensure=True)
"""Hands the run's `State` to a command as its first argument."""


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return the callback that keeps a shared option, wherever it was given; not given changes nothing."""

    def keep(context: click.Context, _: click.Parameter, value: object) -> None:
        if not value:
            return
        state = context.ensure_object(State)
        if name in ("json", "show_secrets"):
            setattr(state.output, name, True)
        else:
            setattr(state, name, value)

    return keep


def shared_options() -> list[click.Option]:
    """Return the options that every command and group takes."""

    def option(flag: str, **more: Any) -> click.Option:
        name = flag.removeprefix("--").replace("-", "_")
        return click.Option([flag], expose_value=False, callback=_set(name), **more)

    return [
        option("--socket", metavar="PATH", help="Socket of the daemon."),
        option("--session", metavar="NAME", help="Session to work on (default: default)."),
        option("--json", is_flag=True, help="Print JSON, errors too."),
        option("--show-secrets", is_flag=True, help="Print passwords instead of ********."),
    ]


_SHORT = 64  # so long may the line of a command be in a list of commands

SHARED = frozenset(name for option in shared_options() for name in option.opts)
"""The flags of the shared options; help, manual and reference describe them once."""


class Command(click.Command):
    """A command that takes the shared options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(shared_options())

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, the shared ones under a heading of their own."""
        _write_options(self, context, formatter)


def _write_options(command: click.Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    own: list[tuple[str, str]] = []
    shared: list[tuple[str, str]] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):  # arguments stand in the usage line
            (shared if SHARED.intersection(parameter.opts) else own).append(record)
    for title, records in (("Options", own), ("Options of every command", shared)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


class Group(click.Group):
    """A group of commands, each loaded from `module:attribute` when it is first needed."""

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, str] | None = None,
        sections: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs["no_args_is_help"] = False  # a missing command is a usage error
        super().__init__(*args, **kwargs)
        self.params.extend(shared_options())
        self._lazy = dict(lazy or {})
        self._sections = sections

    command_class = Command

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which they are declared."""
        return [*self._lazy, *self.commands]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Load a command by its name."""
        if name not in self._lazy:
            return super().get_command(context, name)
        module, _, attribute = self._lazy[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options and commands; the shared options under a heading of their own."""
        _write_options(self, context, formatter)
        self.format_commands(context, formatter)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, so that a long list stays readable."""
        if self._sections is None:
            super().format_commands(context, formatter)
            return
        for title, names in self._sections.items():
            commands = [(name, self.get_command(context, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl(
                    [(name, c.get_short_help_str(_SHORT)) for name, c in commands if c is not None]
                )
