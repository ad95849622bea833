"""`nogg sync`: how far the other devices are, and waiting until they have what is here."""

from typing import Any

import click

from noggd.cli.base import Command, pass_state
from noggd.cli.choose import known_device
from noggd.cli.output import Waiting, ago, printable, table
from noggd.cli.state import State


@click.command(cls=Command)
@click.option("--wait", metavar="any|all|DEVICE", help="Wait until they have stored what is here now.")
@click.option(
    "--timeout",
    type=click.IntRange(0, 300),
    metavar="SECONDS",
    default=10,
    show_default=True,
    help="How long to wait; exits 6 after.",
)
@pass_state
def sync(state: State, wait: str | None, timeout: int) -> None:
    """Show the links to the other devices, or wait for them."""
    if wait is None:
        answer = state.call("sync.status")
        state.output.result(answer, lambda: _rows(answer))
        return
    devices = wait if wait in ("any", "all") else [known_device(state, wait)]
    waiting = Waiting("Waiting for the other devices")
    try:
        answer = state.ask("sync.wait", devices=devices, timeout_s=timeout)
    finally:
        waiting.done()
    state.output.result(answer, lambda: [f"stored by {one['device']}" for one in answer["synced"]])


def _rows(answer: dict[str, Any]) -> list[str]:
    rows = [
        (
            peer["name"],
            peer["state"],
            peer["address"] or "",
            "" if peer["rtt_ms"] is None else f"{peer['rtt_ms']:.1f} ms",
            ago(peer["last_sync"]),
            "" if peer["behind"] is None else peer["behind"],
        )
        for peer in answer["peers"]
    ]
    peers = table(("DEVICE", "STATE", "ADDRESS", "RTT", "LAST SYNC", "BEHIND"), rows)
    return [
        f"listening on {answer['listen']}",
        *(peers or ["Not paired with any device. Pair with: nogg pair"]),
        *(_trouble(peer) for peer in answer["peers"] if peer.get("fault")),
    ]


def _trouble(peer: dict[str, Any]) -> str:
    fix = f". What to do: {printable(peer['fix'])}" if peer.get("fix") else ""
    return f"{printable(peer['name'])}: {printable(peer['fault'])}{fix}"
