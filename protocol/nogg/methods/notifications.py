"""What the daemon tells without being asked, to connections that subscribed to it."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from nogg.methods.method import Notification
from nogg.methods.objects import (
    Device,
    DeviceName,
    Identity,
    MicrocosmID,
    Origin,
    Reference,
    Revision,
    SubscriptionID,
)

#: `from` is a keyword of Python, so this one has no class syntax
SessionChanged = TypedDict(
    "SessionChanged",
    {
        "subscription": SubscriptionID,
        "session": str,
        "from": Revision,
        "revision": Revision,
        "active": NotRequired[MicrocosmID | None],
        "set": dict[str, Reference],
        "removed": list[str],
        "origin": Origin,
    },
)


class IdentityChanged(TypedDict):
    """The person, as it is now."""

    identity: Identity


class DevicesChanged(TypedDict):
    """The devices, as they are now."""

    devices: list[Device]


class PairChanged(TypedDict):
    """How the pairing window stands; `device` is the one that was paired."""

    state: Literal["open", "paired", "failed", "closed"]
    device: NotRequired[DeviceName]


class ConflictFound(TypedDict):
    """A field that two devices set differently at the same time."""

    session: str
    microcosmID: MicrocosmID
    field: str


class Stopping(TypedDict):
    """The daemon stops; the connection ends soon."""

    reason: NotRequired[str]


class Resync(TypedDict):
    """The subscription can no longer be continued: subscribe again."""

    subscription: SubscriptionID


NOTIFICATIONS = (
    Notification(
        "session.changed",
        SessionChanged,
        "A session changed from one revision to another; `active` null: cleared, absent: unchanged.",
    ),
    Notification("identity.changed", IdentityChanged, "The person's identity changed."),
    Notification("device.changed", DevicesChanged, "A device came, went, was renamed, paired or evicted."),
    Notification("pair.changed", PairChanged, "The pairing window opened, closed or did its work."),
    Notification(
        "reference.conflict", ConflictFound, "A field waits for a decision (`reference.conflicts`)."
    ),
    Notification("daemon.stopping", Stopping, "The daemon is about to stop."),
    Notification(
        "subscription.resync", Resync, "Changes cannot be told one by one any more: subscribe again."
    ),
)
