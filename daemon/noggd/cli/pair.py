"""`nogg pair`: shows a one-time code on one device, takes it on the other."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from nogg.errors import Timeout
from noggd.cli.asking import terminal
from noggd.cli.base import Command, pass_state
from noggd.cli.exits import NOT_PERMITTED, Failure, usage
from noggd.cli.output import Waiting, note, printable, style
from noggd.cli.state import State

JOIN_PATIENCE = 120.0
"""Seconds that joining may take: finding the other device, trying its addresses in turn, merging."""


@click.command(cls=Command)
@click.argument("code", metavar="[CODE]", nargs=-1)
@click.option(
    "--address", metavar="HOST:PORT", help="Where the other device is, if it is not found by itself."
)
@click.option(
    "--ttl",
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    default=600,
    show_default=True,
    help="How long a new code lives.",
)
@click.option("--no-wait", is_flag=True, help="Print the new code and do not wait for the other device.")
@click.option("--no-qr", is_flag=True, help="Print no QR code.")
@click.option("--yes", is_flag=True, help="Do not ask before merging.")
@pass_state
def pair(
    state: State, code: tuple[str, ...], address: str | None, ttl: int, no_wait: bool, no_qr: bool, yes: bool
) -> None:
    """Connect another device: show a code, or take one.

    nogg pair on one device shows a code, nogg pair CODE on the other takes it. CODE is the code (spaces
    or hyphens, any case) or the ticket.
    """
    if code:
        _join(state, " ".join(code), address, yes=yes)
    elif address is not None:
        raise usage("--address goes with a CODE")
    else:
        _invite(state, ttl, wait=not no_wait, qr=not no_qr)


def _join(state: State, code: str, address: str | None, *, yes: bool) -> None:
    from noggd.domain.codes import is_ticket  # the word list is not needed to show a code

    _consent(state, yes=yes)
    given = {"ticket": code} if is_ticket(code) else {"code": code}
    if address is not None:
        given["address"] = address
    waiting = Waiting("Pairing")
    try:
        with state.connect(timeout=JOIN_PATIENCE) as connection:
            answer = connection.call("pair.join", **given)
    finally:
        waiting.done()
    merged = answer["merged"]
    state.output.result(
        answer,
        lambda: [
            f"paired with {printable(answer['device']['name'])} ({answer['device']['id']})",
            f"merged {_count(merged['references'], 'reference')} in {_count(merged['sessions'], 'session')}",
        ],
    )


def _consent(state: State, *, yes: bool) -> None:
    """Ask before this device's references become the group's; without a terminal only --yes says so."""
    if yes:
        return
    total = sum(s["references"] for s in state.call("session.list")["sessions"])
    merges = f"this merges {_count(total, 'reference')} into that person's group"
    if not terminal():
        raise usage(f"{merges}; nobody can be asked here", "add --yes if that is meant")
    click.confirm(f"{merges[0].upper()}{merges[1:]}, and theirs come here. Go on?", abort=True, err=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _invite(state: State, ttl: int, *, wait: bool, qr: bool) -> None:
    if not wait:
        _show(state, state.call("pair.invite", ttl_s=ttl), qr=qr)
        return
    state.ask("session.subscribe", keys=["devices"])  # who subscribed to anything is told of pairing too
    try:
        answer = state.call("pair.invite", ttl_s=ttl)
        _show(state, answer, qr=qr)
        device = _wait_for_join(state, answer["expires_at"])
    except KeyboardInterrupt:
        state.call("pair.cancel")  # the code must not outlive the person who showed it
        raise
    state.output.result(
        {"device": device},
        lambda: [f"paired with {printable(device.get('name', ''))} ({device.get('id', '')})"],
    )


def _show(state: State, answer: dict[str, Any], *, qr: bool) -> None:
    state.output.result(answer, lambda: _invitation(answer, qr=qr and sys.stdout.isatty()))


def _invitation(answer: dict[str, Any], *, qr: bool) -> Iterator[str]:
    yield "On the other device:"
    yield ""
    yield f"    nogg pair {style(answer['code'], 'bold')}"
    yield ""
    if answer["addresses"]:
        yield f"If it does not find this one, add: --address {answer['addresses'][0]}"
        for other in answer["addresses"][1:]:
            yield f"                              or: --address {other}"
    yield f"Ticket (code and addresses in one): {answer['ticket']}"
    if qr:
        yield from _qr(answer["ticket"])


def _qr(text: str) -> list[str]:
    import io

    import segno  # only here: it costs 30 ms

    drawn = io.StringIO()
    capitals = text.upper()  # make a smaller drawing, and a ticket is read in any case
    segno.make(capitals, error="l").terminal(out=drawn, compact=True)
    return drawn.getvalue().splitlines()


def _wait_for_join(state: State, expires_at: int) -> dict[str, Any]:
    waiting = Waiting("Waiting for the other device")
    try:
        while True:
            try:
                for method, params in state.connection.notifications(timeout=1.0):
                    if method == "pair.changed":
                        device = _outcome(params)
                        if device is not None:
                            return device
            except Timeout:
                left = expires_at / 1000 - time.time()
                waiting.update(f"Waiting for the other device, {max(int(left), 0)} s left")
    finally:
        waiting.done()


def _outcome(params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the device that joined, None while the window is still open; raises Failure when it closed."""
    if params["state"] == "paired":
        return dict(params.get("device") or {})
    if params["state"] == "closed":
        raise Failure(
            "the code is not valid any more: it expired, was cancelled or was guessed wrong three times",
            kind="pairing_failed",
            hint="nogg pair makes a new one",
            status=NOT_PERMITTED,
        )
    if params["state"] == "failed":
        note("a device gave a wrong code")
    return None
