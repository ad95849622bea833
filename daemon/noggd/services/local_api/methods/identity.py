"""`identity.*`: the person, one for all of their devices."""

from __future__ import annotations

from typing import Any

from nogg.errors import NoggError
from noggd.core import Core, Reply
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Params, Read


def identity_of(core: Core) -> dict[str, Any]:
    """Return the person as the API shows them."""
    return {"identityID": core.identity_id, "username": core.username, "aliases": list(core.aliases)}


def get(caller: Caller, _params: Params) -> object:
    """Say who the person is."""
    return identity_of(caller.core)


def set_(caller: Caller, params: Params, reply: Reply) -> None:
    """Set the person's name, or clear it; answers with the person as they are then."""
    core, username = caller.core, params["username"]

    def done(result: object) -> None:
        # the core shows the new name only after its replies, so it is put in here
        reply(result if isinstance(result, NoggError) else {**identity_of(core), "username": username})

    core.change_person(lambda person: person.set_username(core.now(), username), done, caller.origin)


HANDLERS = (Read("identity.get", get), Change("identity.set", set_))
