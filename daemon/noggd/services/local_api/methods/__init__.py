"""What each method does, one module a noun; `HANDLERS` is all of them."""

from noggd.services.local_api.calls import Handler
from noggd.services.local_api.methods import (
    active,
    conflict,
    daemon,
    device,
    identity,
    pair,
    reference,
    session,
    subscribe,
    sync,
    transfer,
)

HANDLERS: tuple[Handler, ...] = (
    *daemon.HANDLERS,
    *session.HANDLERS,
    *subscribe.HANDLERS,
    *transfer.HANDLERS,
    *reference.HANDLERS,
    *conflict.HANDLERS,
    *active.HANDLERS,
    *identity.HANDLERS,
    *device.HANDLERS,
    *pair.HANDLERS,
    *sync.HANDLERS,
)
