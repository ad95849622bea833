"""Second thoughts about references: restore, forget, conflicts, resolve."""

from __future__ import annotations

from noggd.core import Reply
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Params, Query


def restore(caller: Caller, params: Params, reply: Reply) -> None:
    """Bring a removed reference back as it stood."""
    now = caller.core.now
    caller.change(params["session"], lambda session: session.restore(now(), params["microcosmID"]), reply)


def forget(caller: Caller, params: Params, reply: Reply) -> None:
    """Remove a reference for good, everywhere."""
    now = caller.core.now
    caller.change(params["session"], lambda session: session.forget(now(), params["microcosmID"]), reply)


def conflicts(caller: Caller, params: Params, reply: Reply) -> None:
    """List the fields that were set differently at the same time."""
    caller.query(params["session"], lambda session: {"conflicts": session.conflicts()}, reply)


def resolve(caller: Caller, params: Params, reply: Reply) -> None:
    """Decide such a field."""
    now = caller.core.now
    caller.change(
        params["session"],
        lambda session: session.resolve(now(), params["microcosmID"], params["value"]),
        reply,
    )


HANDLERS = (
    Change("reference.restore", restore),
    Change("reference.forget", forget),
    Query("reference.conflicts", conflicts),
    Change("reference.resolve", resolve),
)
