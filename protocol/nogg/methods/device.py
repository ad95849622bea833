"""The person and their devices: `identity.*`, `device.*`, `pair.*`, `sync.*`."""

from typing import Annotated, Literal, NotRequired

from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from nogg.errors import NotPaired, PairingFailed, Timeout
from nogg.methods.method import Method
from nogg.methods.objects import (
    Address,
    Count,
    Device,
    DeviceID,
    DeviceName,
    Empty,
    Identity,
    InSession,
    MicrocosmID,
    Milliseconds,
    Name,
    Params,
    Revision,
    json_form,
)
from nogg.methods.rules import Checked, Field, Tagged


class SetIdentityParams(Params):
    """Null clears the name."""

    username: Name | None


class Devices(TypedDict):
    """All of the person's devices, this one included."""

    devices: list[Device]


class RenameParams(Params):
    """What this device shall be called."""

    name: Name


class EvictParams(Params):
    """Which device."""

    device: DeviceID


class SharedPassword(TypedDict):
    """A password that the evicted device knows."""

    session: str
    microcosmID: MicrocosmID


class Evicted(TypedDict):
    """What is left to do: passwords to change, and devices that do not know of the eviction yet."""

    passwords_to_change: list[SharedPassword]
    unaware: list[str]


class InviteParams(Params):
    """How long the window stays open, and where to be found if not at the usual addresses."""

    ttl_s: NotRequired[Annotated[float, Field(default=600, gt=0, le=86_400)]]
    addresses: NotRequired[Annotated[list[Address], Field(max_length=32)]]


class Invitation(TypedDict):
    """The code to type on the other device, or the ticket to scan."""

    code: str
    ticket: str
    expires_at: Milliseconds
    addresses: list[str]


class JoinFields(Params):
    """A code or a ticket, not both; `address` where the code's window is not found by itself."""

    code: NotRequired[Annotated[str, Field(min_length=1, max_length=200)]]
    ticket: NotRequired[Annotated[str, Field(min_length=1, max_length=8192)]]
    address: NotRequired[Address]


def _code_or_ticket(fields: JoinFields) -> JoinFields:
    if ("code" in fields) == ("ticket" in fields):
        raise PydanticCustomError("code_or_ticket", "needs either a code or a ticket")
    return fields


JoinParams = Annotated[JoinFields, Checked(_code_or_ticket)]


class Merged(TypedDict):
    """How much came together."""

    sessions: Count
    references: Count


class Joined(TypedDict):
    """The device that was joined."""

    device: DeviceName
    merged: Merged


class Peer(TypedDict):
    """The link to one other device; `behind`: changes that it has not stored yet, as far as is known.

    `clock_ahead_ms`: how far this device's clock is ahead of the other's. `held_back`: so far that this device's
    changes are held back until that is mended. `fault`: why it was not reached when it was last tried; with `fix`,
    what it did against the protocol in the last minutes, and what to do about that.
    """

    device: str
    name: str
    state: Literal["online", "offline", "evicted"]
    address: str | None
    rtt_ms: float | None
    last_sync: Milliseconds | None
    behind: Count | None
    held_back: NotRequired[bool]
    fault: NotRequired[str]
    fix: NotRequired[str]
    clock_ahead_ms: NotRequired[int]


class SyncStatus(TypedDict):
    """Where this device listens, and its links."""

    listen: str
    peers: list[Peer]


Which = Annotated[
    Literal["any", "all"] | Annotated[list[DeviceID], Field(max_length=1000)],
    Tagged(
        ("text", "array"),
        by=json_form,
        error="devices",
        message="must be 'any', 'all' or an array of device ids",
    ),
]


class WaitParams(InSession):
    """Which revision (default: the current one) shall be stored on which devices, and how long to wait."""

    revision: NotRequired[Revision]
    devices: Which
    timeout_s: NotRequired[Annotated[float, Field(default=10, ge=0, le=300)]]


class SyncedDevice(TypedDict):
    """A device that has stored it, and since when that is known."""

    device: str
    at: Milliseconds


class Synced(TypedDict):
    """Who has it."""

    synced: list[SyncedDevice]


METHODS = (
    Method("identity.get", Params, Identity, "Say who the person is."),
    Method("identity.set", SetIdentityParams, Identity, "Set the person's name.", mutates=True),
    Method("device.list", Params, Devices, "List the person's devices."),
    Method("device.rename", RenameParams, Empty, "Rename this device.", mutates=True),
    Method(
        "device.evict",
        EvictParams,
        Evicted,
        "Shut a device out, for good.",
        mutates=True,
        errors=(NotPaired,),
    ),
    Method("device.leave", Params, Empty, "Leave the group; the data stays here.", mutates=True),
    Method(
        "pair.invite",
        InviteParams,
        Invitation,
        "Open a pairing window on this device.",
        errors=(PairingFailed,),
    ),
    Method(
        "pair.join",
        JoinParams,
        Joined,
        "Pair with the device that shows this code or ticket.",
        mutates=True,
        errors=(PairingFailed, Timeout),
    ),
    Method("pair.cancel", Params, Empty, "Close the pairing window."),
    Method("sync.status", Params, SyncStatus, "Say which devices are linked, and how far they are."),
    Method(
        "sync.wait",
        WaitParams,
        Synced,
        "Wait until other devices have stored a revision.",
        errors=(Timeout, NotPaired),
    ),
)
