"""What is open on this device and on the others: `active.*`."""

from typing_extensions import TypedDict

from nogg.methods.method import Method
from nogg.methods.objects import InSession, MicrocosmID, Milliseconds, Revision


class SetActiveParams(InSession):
    """Any valid id, whether it is registered or not, or null."""

    microcosmID: MicrocosmID | None


class IsActiveParams(InSession):
    """Which microcosm."""

    microcosmID: MicrocosmID


class Active(TypedDict):
    """What is active on this device."""

    active: MicrocosmID | None


class ActiveSet(Active):
    """What is active now, and the session's revision."""

    revision: Revision


class IsActive(TypedDict):
    """Whether that one is active on this device."""

    active: bool


class ActiveOnDevice(TypedDict):
    """What is active on one device, and since when."""

    device: str
    name: str
    active: MicrocosmID | None
    at: Milliseconds | None


class ActiveEverywhere(TypedDict):
    """What is active on the person's devices."""

    devices: list[ActiveOnDevice]


METHODS = (
    Method("active.get", InSession, Active, "Say what is active on this device."),
    Method(
        "active.set",
        SetActiveParams,
        ActiveSet,
        "Make a microcosm active on this device, or none.",
        mutates=True,
    ),
    Method("active.is", IsActiveParams, IsActive, "Say whether a microcosm is active on this device."),
    Method(
        "active.everywhere",
        InSession,
        ActiveEverywhere,
        "Say what is active on each of the person's devices.",
    ),
)
