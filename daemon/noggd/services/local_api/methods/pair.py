"""`pair.*`: the way of a new device into the group. Consent is asked by the command line, not here."""

from __future__ import annotations

from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Params, Wait, Work


async def invite(caller: Caller, params: Params) -> object:
    """Open a window on this device; it outlives the connection."""
    return await caller.parts.pairing.invite(params["ttl_s"], params.get("addresses"))


async def join(caller: Caller, params: Params) -> object:
    """Go through the window of another device."""
    return await caller.parts.pairing.join(
        code=params.get("code"), ticket=params.get("ticket"), address=params.get("address")
    )


async def cancel(caller: Caller, _params: Params) -> object:
    """Close the window."""
    await caller.parts.pairing.cancel()
    return {}


HANDLERS = (Work("pair.invite", invite), Wait("pair.join", join), Work("pair.cancel", cancel))
