"""The objects and value rules that several methods share (contract, section 2.1).

Here: annotated types with their bounds, and the TypedDicts of what the API answers. Not here: parameters of
one method only; they stand with their method.
"""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from nogg.ids import IDENTITY_ID, MICROCOSM_ID, MICROCOSM_ID_MAX, SESSION_NAME, parse_device_id
from nogg.methods.rules import Checked, Field

MICROCOSM_PATTERN = f"^{MICROCOSM_ID}$"
SESSION_PATTERN = f"^{SESSION_NAME}$"
#: the largest integer that every JSON reader keeps exactly
MAX_INTEGER = 2**53 - 1
PASSWORD_MAX = 1024
VIEW_MAX = 255
NAME_MAX = 255

MicrocosmID = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MICROCOSM_ID_MAX,
        pattern=MICROCOSM_PATTERN,
        description="Names a microcosm: letters, digits, _ and -, in parts joined by single dots.",
    ),
]
#: a session named by its caller; `SessionName` is the same with the default that most methods have
NamedSession = Annotated[str, Field(pattern=SESSION_PATTERN, description="Which of the person's sessions.")]
SessionName = Annotated[
    str, Field(default="default", pattern=SESSION_PATTERN, description="Which of the person's sessions.")
]
Revision = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
IfRevision = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_INTEGER,
        description="Only if this is still its revision, else `conflict`; 0: must not exist.",
    ),
]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_INTEGER, description="Unix time in milliseconds.")]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Password = Annotated[str, Field(min_length=1, max_length=PASSWORD_MAX)]
View = Annotated[str, Field(min_length=1, max_length=VIEW_MAX)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
Address = Annotated[str, Field(min_length=1, max_length=300, description="HOST:PORT")]
Epoch = Annotated[str, Field(min_length=1, max_length=64, description="Names one life of the local store.")]
SubscriptionID = Annotated[str, Field(min_length=1, max_length=64)]
#: a device id as typed or pasted; the handler gets the canonical form
DeviceID = Annotated[
    str,
    Field(min_length=1, max_length=200, description="A device's id; its check letters are checked."),
    Checked(parse_device_id),
]
IdentityID = Annotated[str, Field(pattern=f"^{IDENTITY_ID}$")]


def json_form(value: object) -> str | None:
    """Name the branch of a union that tells objects, arrays and texts apart; None for anything else."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "text" if isinstance(value, str) else None


class Params(TypedDict):
    """Parameters by name; nothing unknown is taken, nothing is converted."""


# where pydantic looks for it too; a TypedDict has no syntax for this
Params.__pydantic_config__ = {"strict": True, "extra": "forbid", "allow_inf_nan": False}  # type: ignore[attr-defined]


class InSession(Params):
    """Parameters of a method that acts on one session."""

    session: NotRequired[SessionName]


class Reference(TypedDict):
    """What a person keeps about a microcosm."""

    microcosmID: MicrocosmID
    lastAccessed: Milliseconds
    password: Password | None
    view: View | None
    revision: Revision


class RemovedReference(Reference):
    """A reference that was removed and can still be restored."""

    removedAt: Milliseconds


class Identity(TypedDict):
    """The person: one for all of their devices."""

    identityID: IdentityID
    username: Name | None
    aliases: list[IdentityID]


class DeviceName(TypedDict):
    """A device and what its person calls it."""

    id: str
    name: str


class Device(TypedDict):
    """One device of the person, as this one sees it."""

    id: str
    name: str
    self: bool
    state: Literal["online", "offline", "evicted"]
    address: str | None
    last_seen: Milliseconds | None
    active: MicrocosmID | None


class Point(TypedDict):
    """A moment in one life of the local store."""

    epoch: Epoch
    revision: Revision


class Origin(TypedDict):
    """Who made a change: a device, and the app on it if it is this one."""

    device: str
    client: NotRequired[str | None]


class Empty(TypedDict):
    """Nothing but success."""
