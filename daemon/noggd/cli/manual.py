"""Makes the manual page `nogg.1` from the tree of commands, so that it cannot tell another story than `--help`.

    python -m noggd.cli.manual > docs/man/nogg.1

A test holds the committed page equal to what this makes.
"""

import sys
from collections.abc import Iterable, Iterator

import click

from noggd.cli.base import SHARED, shared_options
from noggd.cli.tree import SECTIONS, root

_FILES = {
    "$XDG_RUNTIME_DIR/noggd/noggd.sock": "The socket, unless --socket or $NOGG_SOCKET names another.",
    "~/.local/state/noggd": "Keys and store; $NOGG_STATE_DIR names another place.",
    "~/.config/noggd/config.toml": "Settings of the daemon; $NOGG_CONFIG names another file.",
}
_ENVIRONMENT = {
    "NOGG_SOCKET": "Socket of the daemon, where --socket is not given.",
    "NOGG_STATE_DIR, NOGG_CONFIG": "Places of the daemon's state and settings.",
    "NO_COLOR": "If set to anything, no colour is used.",
}
_EXAMPLES = {
    "nogg demo": "See what it does, in a few seconds, without touching anything.",
    "nogg daemon start": "Start the daemon.",
    "nogg open garden.k3v9x2m7q4w8z1pd --view map --active": "Add a microcosm and make it the active one.",
    "nogg pair": "Show a code; on the other device, nogg pair CODE takes it.",
    "nogg list --json | jq -r '.references[].microcosmID'": "Use it in a script.",
}


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield each command under a group with its full name, groups left out."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def usage(path: str, command: click.Command) -> str:
    """Return the line that shows how a command is written."""
    pieces = command.collect_usage_pieces(click.Context(command))
    return " ".join([path, *(piece for piece in pieces if piece != "[OPTIONS]")])


def own_options(command: click.Command) -> list[click.Option]:
    """Return the options of a command, without --help and those that every command takes."""
    return [o for o in command.params if isinstance(o, click.Option) and not SHARED & {*o.opts}]


def described(option: click.Option) -> tuple[str, str]:
    """Return how an option is written, and what it does."""
    written = ", ".join((*option.opts, *option.secondary_opts))
    if not option.is_flag:
        written += f" {option.metavar}"
    default = f" Default: {option.default}." if option.show_default else ""
    return written, f"{option.help}{default}"


def paragraphs(command: click.Command) -> list[str]:
    """Return the help text of a command, one string per paragraph."""
    return [" ".join(part.split()) for part in (command.help or "").split("\n\n")]


def page() -> Iterator[str]:
    """Make the page, line by line."""
    yield '.TH NOGG 1 "" noggd "User Commands"'
    yield from (".SH NAME", "nogg \\- your session of microcosms, the same on all your devices")
    yield from (".SH SYNOPSIS", ".B nogg", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]")
    yield ".SH DESCRIPTION"
    for text in paragraphs(root):
        yield from (".PP", _escaped(text))
    yield ".SH OPTIONS OF EVERY COMMAND"
    yield ".PP"
    yield "They may stand before or after the name of the command."
    yield from _definitions(described(option) for option in shared_options())
    yield ".SH COMMANDS"
    by_top = {name: list(_under(name)) for names in SECTIONS.values() for name in names}
    for title, names in SECTIONS.items():
        yield f".SS {_escaped(title)}"
        for name in names:
            for path, command in by_top[name]:
                yield from _entry(path, command)
    yield ".SH EXIT STATUS"
    yield _escaped((root.epilog or "").removeprefix("Exit status: "))
    for title, table in (("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES), ("EXAMPLES", _EXAMPLES)):
        yield f".SH {title}"
        yield from _definitions(table.items())
    yield from (".SH SEE ALSO", "\\fBnoggd\\fR \\fB\\-\\-help\\fR shows the options of the daemon.")


def _under(name: str) -> Iterator[tuple[str, click.Command]]:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    if isinstance(command, click.Group):
        yield from commands(command, f"nogg {name}")
    else:
        yield f"nogg {name}", command


def _entry(path: str, command: click.Command) -> Iterator[str]:
    yield from (".TP", f".B {_escaped(usage(path, command))}")
    first, *more = paragraphs(command)
    yield _escaped(first)
    for text in more:
        yield from (".IP", _escaped(text))
    options = own_options(command)
    if options:
        yield ".RS"
        yield from _definitions(described(option) for option in options)
        yield ".RE"


def _definitions(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in pairs:
        yield from (".TP", f".B {_escaped(term)}", _escaped(text))


def _escaped(text: str) -> str:
    """Return text that roff prints as it stands."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
