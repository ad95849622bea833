"""`session.export`, `session.import`: a session in and out of a document."""

from __future__ import annotations

from nogg.errors import NoggError
from noggd.core import Reply
from noggd.services.local_api import formats
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Change, Params, Read


def export(caller: Caller, params: Params) -> object:
    """Write a session as a document."""
    name = params["session"]
    view = caller.view(name)
    return {
        "document": formats.export(
            name, view.active, view.ordered(), caller.core.now(), secrets=params["secrets"]
        )
    }


def import_(caller: Caller, params: Params, reply: Reply) -> None:
    """Merge a document into a session; what cannot be taken is named."""
    parsed = formats.parse(params["document"])
    now = caller.core.now

    def done(result: object) -> None:
        if isinstance(result, NoggError):
            reply(result)
        else:
            assert isinstance(result, dict)
            reply({**result, "quarantined": parsed.quarantined})

    caller.change(
        params["session"],
        lambda session: session.import_entries(now(), parsed.entries, parsed.active),
        done,
    )


HANDLERS = (Read("session.export", export), Change("session.import", import_))
