"""`session.*`: a session as a whole. Subscriptions and transfer have modules of their own."""

from __future__ import annotations

from pydantic_core import to_json

from nogg.errors import LimitExceeded
from noggd.core import Reply
from noggd.domain.changes import ABSENT
from noggd.services.local_api.caller import MAX_PRIVATE, Caller
from noggd.services.local_api.calls import Change, Params, Read

DEFAULT_SESSION = "default"  # what `nogg.methods` fills in where no name was given


def open_(caller: Caller, params: Params) -> object:
    """Say where a session stands; nothing is stored before its first change."""
    name = params["session"]
    if params["ephemeral"]:
        if len(caller.private) >= MAX_PRIVATE:
            raise LimitExceeded(limit="ephemeral sessions of a connection", max=MAX_PRIVATE)
        name = caller.open_private(None if name == DEFAULT_SESSION else name).name
    return {"session": name, "epoch": caller.epoch(name), "revision": caller.view(name).revision}


def list_(caller: Caller, _params: Params) -> object:
    """List the person's sessions, by name."""
    views = ((name, caller.core.view(name)) for name in sorted(caller.core.sessions))
    return {
        "sessions": [
            {"session": name, "revision": view.revision, "references": len(view.references)}
            for name, view in views
        ]
    }


def get(caller: Caller, params: Params) -> bytes:
    """Return the whole session, from the cached bytes of its references."""
    name = params["session"]
    view = caller.view(name)
    return b'{"active":%b,"microcosms":[%b],"epoch":%b,"revision":%d}' % (
        to_json(view.active),
        b",".join([reference.json() for reference in view.ordered()]),
        to_json(caller.epoch(name)),
        view.revision,
    )


def set_(caller: Caller, params: Params, reply: Reply) -> None:
    """Replace what is given, as one change."""
    now = caller.core.now
    active, microcosms = params.get("active", ABSENT), params.get("microcosms", ABSENT)
    caller.change(
        params["session"],
        lambda session: session.set(now(), active, microcosms, params.get("if_revision")),
        reply,
    )


def keys(_caller: Caller, _params: Params) -> bytes:
    """Name what a session holds."""
    return b'{"keys":["active","microcosms"]}'


def reset(caller: Caller, params: Params, reply: Reply) -> None:
    """Remove every reference that is visible here and clear what is active."""
    now = caller.core.now
    caller.change(params["session"], lambda session: session.reset(now(), params.get("if_revision")), reply)


def transact(caller: Caller, params: Params, reply: Reply) -> None:
    """Carry out several operations as one change, or none of them."""
    now = caller.core.now
    caller.change(
        params["session"],
        lambda session: session.transact(now(), params["ops"], params.get("if_revision")),
        reply,
    )


def drop(caller: Caller, params: Params, reply: Reply) -> None:
    """Remove a session; a private one just ends."""
    if caller.private.pop(params["session"], None) is not None:
        reply({"dropped": True})
        return
    caller.core.drop_session(params["session"], reply, caller.origin)


HANDLERS = (
    Read("session.open", open_),
    Read("session.list", list_),
    Read("session.get", get),
    Change("session.set", set_),
    Read("session.keys", keys),
    Change("session.reset", reset),
    Change("session.transact", transact),
    Change("session.drop", drop),
)
