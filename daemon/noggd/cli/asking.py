"""Asking a person at the terminal: consent, passwords. A script is never asked, and never waits for an answer."""

import sys

import click

from noggd.cli.exits import usage


def terminal() -> bool:
    """Return whether a person can be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person before something that cannot simply be taken back; a script is not asked.

    Raises click.Abort when the answer is no.
    """
    if not yes and terminal():
        click.confirm(question, abort=True, err=True)


def read_password(*, from_stdin: bool, ask: bool) -> str | None:
    """Return the password that stdin or the prompt gives, None if neither was asked for.

    A password never comes from argv, where every process of the machine could read it.
    """
    if from_stdin and ask:
        raise usage("--password-stdin and --ask-password exclude each other")
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise usage("--password-stdin: stdin gave no password")
        return password
    if ask:
        if not terminal():
            raise usage("--ask-password needs a terminal", "use --password-stdin")
        return str(click.prompt("Password", hide_input=True, err=True))
    return None
