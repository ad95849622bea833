"""`active.*`: what is open on this device, and on the others."""

from __future__ import annotations

from noggd.core import Reply
from noggd.domain.session import Session
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Params, Query, Read


def get(caller: Caller, params: Params) -> object:
    """Say what is active on this device."""
    return {"active": caller.view(params["session"]).active}


def set_(caller: Caller, params: Params, reply: Reply) -> None:
    """Make a microcosm active on this device, registered or not, or none."""
    now = caller.core.now
    caller.change(params["session"], lambda session: session.set_active(now(), params["microcosmID"]), reply)


def is_(caller: Caller, params: Params) -> object:
    """Say whether a microcosm is active on this device."""
    return {"active": caller.view(params["session"]).active == params["microcosmID"]}


def everywhere(caller: Caller, params: Params, reply: Reply) -> None:
    """Say what is active on each of the person's devices, one that never set anything included."""
    rows = {row["id"]: row for row in caller.parts.peers.devices() if row["state"] != "evicted"}

    def read(session: Session) -> object:
        told = {device: (active, at) for device, active, at in session.everywhere()}
        names = {device: row["name"] for device, row in rows.items()}
        unset = (None, None)
        return {
            "devices": [
                {"device": device, "name": name, "active": active, "at": at}
                for device, name in names.items()
                for active, at in (told.get(device, unset),)
            ]
        }

    caller.query(params["session"], read, reply)


HANDLERS = (
    Read("active.get", get),
    Change("active.set", set_),
    Read("active.is", is_),
    Query("active.everywhere", everywhere),
)
