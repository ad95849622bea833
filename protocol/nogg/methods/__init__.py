"""Every method and notification of the local API, declared once.

The daemon checks requests with these declarations, `rpc.discover` and `docs/openrpc.json` are generated from
them (`nogg.openrpc`), and apps can import the objects as types. Here: the tables. Not here: behaviour.

This package is the only part of `nogg` that imports pydantic: only its engine, to check parameters; all of it to
describe the API.
"""

from nogg.methods import active, daemon, device, notifications, reference, session, transact
from nogg.methods.method import Method, Notification

#: by name, in the order of the contract
METHODS: dict[str, Method] = {
    method.name: method
    for module in (daemon, session, transact, reference, active, device)
    for method in module.METHODS
}
#: by name
NOTIFICATIONS: dict[str, Notification] = {
    notification.name: notification for notification in notifications.NOTIFICATIONS
}

__all__ = ["METHODS", "NOTIFICATIONS", "Method", "Notification"]
