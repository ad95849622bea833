"""`hello`, `rpc.discover`, `daemon.*`: the daemon itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from nogg.errors import UnsupportedProtocol
from nogg.methods.daemon import PROTOCOL
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Params, Read, Work

CAPABILITIES = ("discover", "ephemeral", "pair", "since", "sync", "transact")
"""What a client may count on beyond the bare version number."""


def hello(caller: Caller, params: Params) -> object:
    """Agree on a version and learn who the app is; the only method that answers while the store is loaded."""
    if params.get("protocol", PROTOCOL) != PROTOCOL:
        raise UnsupportedProtocol(supported=[PROTOCOL])
    if "client" in params:
        caller.introduce(params["client"]["name"])
    return {
        "protocol": PROTOCOL,
        "supported": [PROTOCOL],
        **caller.about(),
        "capabilities": list(CAPABILITIES),
    }


async def discover(_caller: Caller, _params: Params) -> object:
    """Describe this API, from the same models that check its requests."""
    from nogg.openrpc import document  # only who asks pays for it

    return await asyncio.to_thread(document)  # the first time takes a while


def status(caller: Caller, _params: Params) -> object:
    """Describe the daemon on one screen."""
    return caller.parts.house.status()


async def doctor(caller: Caller, _params: Params) -> object:
    """Check what can be wrong, and say how to mend it."""
    return {"checks": await caller.parts.house.doctor()}


def metrics(caller: Caller, _params: Params) -> object:
    """Give what is measured, in Prometheus' text format."""
    return {"text": prometheus(caller.parts.house.metrics())}


def prometheus(values: Mapping[str, tuple[str, str, float]]) -> str:
    """Return `{name: (kind, help, value)}` in Prometheus' text format (exposition format 0.0.4)."""
    lines = []
    for labelled, (kind, meaning, value) in values.items():
        name = labelled.partition("{")[0]
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", f"{labelled} {value:.15g}"]
    return "\n".join(lines) + "\n"


def shutdown(caller: Caller, _params: Params) -> object:
    """Begin to stop; this is still answered."""
    caller.parts.house.stop()
    return {}


HELLO = Read("hello", hello)
HANDLERS = (
    HELLO,
    Work("rpc.discover", discover),
    Read("daemon.status", status),
    Work("daemon.doctor", doctor),
    Read("daemon.metrics", metrics),
    Read("daemon.shutdown", shutdown),
)
