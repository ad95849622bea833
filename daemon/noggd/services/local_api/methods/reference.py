"""`reference.*`: one reference, or the list of them. What is removed or in conflict has a module of its own."""

from __future__ import annotations

from nogg.ids import seed_order
from noggd.core import Reply
from noggd.domain.hlc import milliseconds
from noggd.domain.session import Session
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Params, Query, Read

FIELDS = ("view", "password")


def register(caller: Caller, params: Params, reply: Reply) -> None:
    """Add a reference, or fill it in and touch it; answers with the new value."""
    now = caller.core.now
    caller.change(
        params["session"],
        lambda session: session.register(
            now(),
            params["microcosmID"],
            params.get("view"),
            params.get("password"),
            params.get("if_revision"),
        ),
        reply,
    )


def get(caller: Caller, params: Params) -> bytes:
    """Return a reference as it was before this access, or false. The hot path: no core, no disk, no copy."""
    name, microcosm_id = params["session"], params["microcosmID"]
    reference = caller.view(name).references.get(microcosm_id)
    if reference is None:
        return b"false"
    if params["touch"]:
        answer = reference.json()
        caller.touch(name, microcosm_id)
        return answer
    return reference.json()


def list_(caller: Caller, params: Params, reply: Reply) -> None:
    """List references by id or by last access, or the removed ones that can be restored."""
    name, limit = params["session"], params.get("limit")
    view = caller.view(name)
    if params["removed"]:
        now = caller.core.now()
        caller.query(name, lambda session: _removed(session, now, params["sort"], limit), reply)
        return
    references = view.ordered()
    if params["sort"] == "recent":
        references.sort(key=lambda reference: reference.last_accessed, reverse=True)
    listed = b",".join([reference.json() for reference in references[:limit]])
    reply(b'{"references":[%b],"revision":%d}' % (listed, view.revision))


def _removed(session: Session, now: int, sort: str, limit: int | None) -> object:
    references = sorted(session.restorable(now), key=lambda reference: seed_order(reference.microcosm_id))
    if sort == "recent":
        references.sort(key=lambda reference: reference.last_accessed, reverse=True)
    rows = [
        {**reference.value(), "removedAt": milliseconds(session.removed[reference.microcosm_id])}
        for reference in references[:limit]
    ]
    return {"references": rows, "revision": session.revision}


def update(caller: Caller, params: Params, reply: Reply) -> None:
    """Change fields of a reference; null clears, what is omitted stays."""
    now = caller.core.now
    fields = {field: params[field] for field in FIELDS if field in params}
    caller.change(
        params["session"],
        lambda session: session.update(now(), params["microcosmID"], fields, params.get("if_revision")),
        reply,
    )


def remove(caller: Caller, params: Params, reply: Reply) -> None:
    """Remove a reference; it can be restored."""
    now = caller.core.now
    caller.change(
        params["session"],
        lambda session: session.remove(now(), params["microcosmID"], params.get("if_revision")),
        reply,
    )


HANDLERS = (
    Change("reference.register", register),
    Read("reference.get", get),
    Query("reference.list", list_),
    Change("reference.update", update),
    Change("reference.remove", remove),
)
