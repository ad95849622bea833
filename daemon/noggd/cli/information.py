"""Commands about the program itself, and the one that reaches every method of the API."""

import json
import platform
import sys
from importlib import metadata

import click

from nogg.errors import NoggError
from noggd.cli.base import Command, pass_state
from noggd.cli.choose import complete_methods
from noggd.cli.exits import usage
from noggd.cli.output import mask, printable
from noggd.cli.state import State
from noggd.cli.status import show_status

SHELLS = ("bash", "fish", "zsh")


@click.command(cls=Command)
@pass_state
def status(state: State) -> None:
    """Show how things are, and what to do next."""
    show_status(state)


@click.command(cls=Command)
@pass_state
def paths(state: State) -> None:
    """Print where socket, state, config and logs are."""
    from nogg import paths as places

    found = places.resolve(socket=state.socket)
    answer = {name: str(getattr(found, name)) for name in ("socket", "state", "config", "logs")}
    state.output.result(
        answer, lambda: [f"{name.ljust(6)}  {printable(path)}" for name, path in answer.items()]
    )


@click.command(cls=Command)
@pass_state
def version(state: State) -> None:
    """Print the versions of nogg and of the running daemon."""
    answer: dict[str, object] = {
        "noggd": metadata.version("noggd"),
        "python": platform.python_version(),
        "daemon": None,
        "protocol": None,
    }
    try:
        hello = state.call("hello")
    except NoggError:
        pass  # the versions of what is installed are an answer by themselves
    else:
        answer.update(daemon=hello["daemon"]["version"], protocol=hello["protocol"])
    running = (
        "not running" if answer["daemon"] is None else f"{answer['daemon']}, protocol {answer['protocol']}"
    )
    state.output.result(
        answer, lambda: [f"nogg {answer['noggd']} (Python {answer['python']})", f"daemon {running}"]
    )


@click.command(cls=Command)
@click.argument("method", metavar="METHOD", shell_complete=complete_methods)
@click.argument("parameters", metavar="[NAME=VALUE...|JSON|-]", nargs=-1)
@pass_state
def call(state: State, method: str, parameters: tuple[str, ...]) -> None:
    """Call a method of the API and print its result as JSON.

    A VALUE is read as JSON where it is JSON, else as text. - reads all parameters as one JSON object from
    stdin, which is the way for passwords. The session of --session is filled in where a method takes one.
    """
    given = _parameters(parameters)
    if method.partition(".")[0] in ("session", "reference", "active") and state.session != "default":
        given.setdefault("session", state.session)
    result = state.call(method, **given)
    if state.output.json:
        state.output.document({"result": result})
        return
    shown = result if state.output.show_secrets else mask(result)
    sys.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2) + "\n")


def _parameters(given: tuple[str, ...]) -> dict[str, object]:
    if given == ("-",):
        return _object(sys.stdin.read())
    if len(given) == 1 and given[0].lstrip().startswith("{"):
        parameters = _object(given[0])
    else:
        parameters = dict(_pair(one) for one in given)
    if _holds_password(parameters):
        raise usage(
            "a password on the command line can be read by others", "give the parameters as JSON on stdin: -"
        )
    return parameters


def _object(text: str) -> dict[str, object]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise usage(f"the parameters are not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise usage("the parameters must be a JSON object")
    return parsed


def _pair(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise usage(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _holds_password(value: object) -> bool:
    """Say whether a password is anywhere in the parameters (in `ops` and `microcosms` they are nested)."""
    if isinstance(value, dict):
        secret = value.get("field") == "password" and "value" in value
        return secret or any(
            (key == "password" and bool(item)) or _holds_password(item) for key, item in value.items()
        )
    return isinstance(value, list) and any(_holds_password(item) for item in value)


@click.command(cls=Command)
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    bash: eval "$(nogg completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc.
    fish: nogg completion fish > ~/.config/fish/completions/nogg.fish
    """
    from click import shell_completion

    from noggd.cli.tree import root

    complete = shell_completion.get_completion_class(shell)
    assert complete is not None
    sys.stdout.write(complete(root, {}, "nogg", "_NOGG_COMPLETE").source() + "\n")
