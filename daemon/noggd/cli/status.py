"""What `nogg status` shows: how things are, and what to do next if something is missing.

No click here: `main` shows the status without loading it.
"""

from collections.abc import Iterator
from typing import Any

from noggd.cli.output import ago, printable, span, style
from noggd.cli.state import State

Facts = dict[str, Any]


def show_status(state: State) -> None:
    """Print the screen, or its facts under `--json`."""
    facts = gather(state)
    state.output.result(facts, lambda: _screen(facts))


def gather(state: State) -> Facts:
    """Ask the daemon for what the screen shows."""
    daemon = state.call("daemon.status")  # the first call waits, if it must, until the store is loaded
    hello = state.call("hello")
    sessions = {s["session"]: s for s in state.call("session.list")["sessions"]}
    mine = sessions.get(state.session, {"references": 0, "revision": 0})
    identity = state.call("identity.get")
    facts: Facts = {
        "daemon": daemon,
        "protocol": hello["protocol"],
        "device": hello["device"],
        "identity": identity,
        "session": {
            "session": state.session,
            "references": mine["references"],
            "revision": mine["revision"],
            "active": state.ask("active.get")["active"],
            "conflicts": len(state.ask("reference.conflicts")["conflicts"]),
        },
        "sync": state.call("sync.status"),
    }
    facts["next"] = next_step(facts)
    return facts


def next_step(facts: Facts) -> str | None:
    """Return the command that this installation most needs next, None if nothing is missing."""
    if facts["daemon"]["health"]["problems"]:
        return "nogg doctor  (says what to do about the problems)"
    if facts["session"]["conflicts"]:
        return "nogg conflicts  (two devices set different passwords)"
    if not facts["session"]["references"]:
        return "nogg open ID  (adds a microcosm)"
    if not facts["sync"]["peers"]:
        return "nogg pair  (connects another device)"
    if not facts["identity"]["username"]:
        return "nogg identity --username NAME  (tells your name to the apps)"
    return None


def _screen(facts: Facts) -> Iterator[str]:
    device, session, peers = facts["device"], facts["session"], facts["sync"]["peers"]
    yield _line("daemon", _daemon(facts["daemon"]))
    for problem in facts["daemon"]["health"]["problems"]:
        yield _line("", style(f"problem: {printable(problem)}", "red"))
    yield _line("device", f"{printable(device['name'])}  {device['id']}")
    yield _line("you", printable(facts["identity"]["username"] or "no name set"))
    count = session["references"]
    opened = f", {printable(session['active'])} is active" if session["active"] else ""
    yield _line("session", f"{session['session']}: {count} microcosm{'' if count == 1 else 's'}{opened}")
    if session["conflicts"]:
        yield _line("conflicts", style(str(session["conflicts"]), "yellow"))
    online = sum(peer["state"] == "online" for peer in peers)
    yield _line("devices", f"{online} of {len(peers)} online" if peers else "this one only")
    for peer in peers:
        yield _line("", _peer(peer))
    if facts["next"]:
        yield _line("next", facts["next"])


def _line(title: str, text: str) -> str:
    return f"{style(title.ljust(10), 'bold')} {text}".rstrip()


def _daemon(status: Facts) -> str:
    return f"noggd {status['version']}, up {span(status['uptime_s'])}, process {status['pid']}"


def _peer(peer: Facts) -> str:
    colour = "green" if peer["state"] == "online" else "dim"
    behind = f", {peer['behind']} behind" if peer["behind"] else ""
    seen = ago(peer["last_sync"])
    return f"{printable(peer['name'])}  {style(peer['state'], colour)}, last sync {seen}{behind}"
