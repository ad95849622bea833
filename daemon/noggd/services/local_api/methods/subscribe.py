"""`session.subscribe`, `session.unsubscribe`: the state now, and from then on every change of it."""

from __future__ import annotations

from pydantic_core import to_json

from nogg.errors import LimitExceeded, NotFound
from noggd.domain.revisions import Difference
from noggd.services.local_api.caller import Caller
from noggd.services.local_api.calls import Params, Read
from noggd.services.local_api.methods.identity import identity_of
from noggd.services.local_api.subscriptions import Subscription, mapping

MAX_SUBSCRIPTIONS = 256
"""Subscriptions of one connection."""

DEFAULT_KEYS = ("active", "microcosms")


def subscribe(caller: Caller, params: Params) -> bytes:
    """Register and answer in one step, so that nothing falls between the snapshot and the first change."""
    if len(caller.outlet.subscriptions) >= MAX_SUBSCRIPTIONS:
        raise LimitExceeded(limit="subscriptions of a connection", max=MAX_SUBSCRIPTIONS)
    name = params["session"]
    keys = frozenset(params.get("keys", DEFAULT_KEYS))
    view, private = caller.view(name), caller.private.get(name)
    subscription = Subscription(
        caller.next_subscription(), name, private or name, keys, view.revision, caller.outlet
    )
    caller.hub.add(subscription)
    difference = _since(caller, params)
    parts = [
        b'{"subscription":%b,"epoch":%b' % (to_json(subscription.name), to_json(caller.epoch(name))),
        b'"revision":%d,"fresh":%b' % (view.revision, b"true" if difference is None else b"false"),
    ]
    if "active" in keys and (difference is None or difference.active):
        parts.append(b'"active":' + to_json(view.active))
    changed, removed = view.ordered(), []
    if "microcosms" not in keys:
        changed = []
    elif difference is not None:
        changed, removed = [view.references[one] for one in difference.set], difference.removed
    parts.append(b'"set":%b,"removed":%b' % (mapping(changed), to_json(removed)))
    if "identity" in keys:
        parts.append(b'"identity":' + to_json(identity_of(caller.core)))
    if "devices" in keys:
        parts.append(b'"devices":' + to_json(caller.parts.peers.devices()))
    return b",".join(parts) + b"}"


def _since(caller: Caller, params: Params) -> Difference | None:
    """Return what the caller missed; None if it has to start afresh."""
    since, name = params.get("since"), params["session"]
    if since is None or since["epoch"] != caller.epoch(name):
        return None
    return caller.view(name).since(since["revision"])


def unsubscribe(caller: Caller, params: Params) -> object:
    """End a subscription of this connection."""
    subscription = caller.outlet.subscriptions.get(params["subscription"])
    if subscription is None:
        raise NotFound("this connection has no such subscription")
    caller.hub.remove(subscription)
    return {}


HANDLERS = (Read("session.subscribe", subscribe), Read("session.unsubscribe", unsubscribe))
