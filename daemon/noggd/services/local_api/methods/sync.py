"""`sync.*`: how far the other devices are."""

from __future__ import annotations

from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Params, Read, Wait


def status(caller: Caller, _params: Params) -> object:
    """Say which devices are linked, and how far they are."""
    return caller.parts.peers.status()


async def wait(caller: Caller, params: Params) -> object:
    """Wait until other devices have stored a revision, by default what the session is at now."""
    name = params["session"]
    revision = params.get("revision", caller.core.view(name).revision)
    synced = await caller.parts.peers.wait(name, revision, params["devices"], params["timeout_s"])
    return {"synced": synced}


HANDLERS = (Read("sync.status", status), Wait("sync.wait", wait))
