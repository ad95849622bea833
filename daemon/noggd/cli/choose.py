"""Finding what a user means: microcosms by the beginning of their id, devices also by name.

Completion of ids in the shell is here too, since it asks the same questions.
"""

from collections.abc import Callable, Iterable
from typing import Any

import click

from nogg.ids import is_microcosm_id
from noggd.cli.exits import Failure, usage
from noggd.cli.state import State

_SHOWN = 5  # so many candidates are named when a beginning is ambiguous


def one_of(text: str, candidates: Iterable[str], what: str) -> str | None:
    """Return the one candidate that is `text` or begins with it, None if there is none.

    Raises Failure (usage) when several begin with it.
    """
    found = sorted(c for c in candidates if c.startswith(text))
    if text in found:
        return text
    if len(found) > 1:
        more = "" if len(found) <= _SHOWN else f" and {len(found) - _SHOWN} more"
        raise usage(
            f"{text!r} begins {len(found)} {what}s: {', '.join(found[:_SHOWN])}{more}", "give more of it"
        )
    return found[0] if found else None


def known_ids(state: State, *, removed: bool = False) -> list[str]:
    """Return the ids in the session; with `removed` those that were removed and can be restored."""
    answer = state.ask("reference.list", removed=removed)
    return [reference["microcosmID"] for reference in answer["references"]]


def known_id(state: State, text: str, *, removed: bool = False) -> str:
    """Return the id in the session that `text` is or begins; raises Failure if there is none."""
    if not removed and is_microcosm_id(text) and state.ask("reference.get", microcosmID=text, touch=False):
        return text
    found = one_of(text, known_ids(state, removed=removed), "microcosm")
    if found is None:
        where = "removed from" if removed else "in"
        shown = "nogg list --removed" if removed else "nogg list"
        raise Failure(
            f"no microcosm {text!r} was {where} session {state.session!r}"
            if removed
            else f"no microcosm {text!r} in session {state.session!r}",
            kind="not_found",
            hint=f"{shown} shows what there is",
        )
    return found


def any_id(state: State, text: str) -> str:
    """Return the known id that `text` begins, else `text` itself, which may be an id not known here."""
    return one_of(text, known_ids(state), "microcosm") or text


def known_device(state: State, text: str) -> str:
    """Return the id of the device that `text` names: its name, its id or the beginning of that (any case)."""
    devices: list[dict[str, Any]] = state.call("device.list")["devices"]
    named = [d["id"] for d in devices if d["name"] == text]
    wanted = _plain(text)
    found = named or [d["id"] for d in devices if wanted and _plain(d["id"]).startswith(wanted)]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise usage(f"{text!r} names {len(found)} devices: {', '.join(sorted(found))}", "give more of the id")
    raise Failure(f"no device {text!r}", kind="not_found", hint="nogg device list shows the devices")


def _plain(device: str) -> str:
    return device.replace("-", "").replace(" ", "").upper()


def complete_with(names: Callable[[State], Iterable[str]]) -> Callable[..., list[str]]:
    """Return a completion callback for click that asks the daemon, and offers nothing if that fails."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        state = context.ensure_object(State)
        try:
            return [name for name in names(state) if name.startswith(incomplete)]
        except Exception:  # a Tab must never print a traceback into someone's command line
            return []
        finally:
            state.close()

    return complete


complete_ids = complete_with(known_ids)
complete_removed = complete_with(lambda state: known_ids(state, removed=True))
complete_devices = complete_with(lambda state: [d["id"] for d in state.call("device.list")["devices"]])
complete_methods = complete_with(lambda state: [m["name"] for m in state.call("rpc.discover")["methods"]])
