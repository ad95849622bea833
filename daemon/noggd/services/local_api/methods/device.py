"""`device.*`: the person's devices."""

from __future__ import annotations

from nogg.errors import NoggError
from noggd.core import Reply
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Params, Read, Work


def list_(caller: Caller, _params: Params) -> object:
    """List the person's devices, this one included."""
    return {"devices": caller.parts.peers.devices()}


def rename(caller: Caller, params: Params, reply: Reply) -> None:
    """Rename this device."""
    core, name = caller.core, params["name"]

    def done(result: object) -> None:
        reply(result if isinstance(result, NoggError) else {})

    core.change_person(lambda person: person.rename_device(core.now(), name), done, caller.origin)


async def evict(caller: Caller, params: Params) -> object:
    """Shut a device out, for good."""
    return await caller.parts.peers.evict(params["device"])


async def leave(caller: Caller, _params: Params) -> object:
    """Leave the group; the data stays here."""
    await caller.parts.peers.leave()
    return {}


HANDLERS = (
    Read("device.list", list_),
    Change("device.rename", rename),
    Work("device.evict", evict),
    Work("device.leave", leave),
)
