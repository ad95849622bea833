"""Methods on a session as a whole: `session.*`, except `session.transact` (`nogg.methods.transact`)."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from nogg.errors import NotFound
from nogg.methods.method import Method
from nogg.methods.objects import (
    Count,
    Device,
    Empty,
    Epoch,
    Identity,
    IfRevision,
    InSession,
    MicrocosmID,
    Milliseconds,
    NamedSession,
    Params,
    Password,
    Reference,
    Revision,
    SubscriptionID,
    View,
    json_form,
)
from nogg.methods.rules import Checked, Field, Tagged

#: what can be subscribed to
Key = Literal["active", "microcosms", "identity", "devices"]


class OpenParams(InSession):
    """`ephemeral`: in memory, for this connection only, never stored and never synced."""

    ephemeral: NotRequired[Annotated[bool, Field(default=False)]]


class Opened(TypedDict):
    """The session under the name that later calls use."""

    session: str
    epoch: Epoch
    revision: Revision


class SessionLine(TypedDict):
    """One session in the list."""

    session: str
    revision: Revision
    references: Count


class Sessions(TypedDict):
    """All sessions of the person."""

    sessions: list[SessionLine]


class SessionState(TypedDict):
    """The seed's `get()`; `microcosms` in the seed's order."""

    active: MicrocosmID | None
    microcosms: list[Reference]
    epoch: Epoch
    revision: Revision


class DropParams(Params):
    """Which session; no default, it would be dropped by mistake."""

    session: NamedSession


class Dropped(TypedDict):
    """False if there was none."""

    dropped: bool


class Entry(Params):
    """A whole reference: an omitted field is null, an omitted or future `lastAccessed` is now."""

    microcosmID: MicrocosmID
    lastAccessed: NotRequired[Milliseconds]
    password: NotRequired[Password | None]
    view: NotRequired[View | None]


def _each_once(entries: list[Entry]) -> list[Entry]:
    if len({entry["microcosmID"] for entry in entries}) != len(entries):
        raise PydanticCustomError("double_id", "holds a microcosmID twice")
    return entries


class SetParams(InSession):
    """Given keys replace, others stay; references that `microcosms` does not list are removed."""

    active: NotRequired[MicrocosmID | None]
    microcosms: NotRequired[Annotated[list[Entry], Checked(_each_once)]]
    if_revision: NotRequired[IfRevision]


class Changed(TypedDict):
    """The session's revision after the change."""

    revision: Revision


class Keys(TypedDict):
    """What a session holds."""

    keys: list[Literal["active", "microcosms"]]


class ResetParams(InSession):
    """A revision to insist on, if any."""

    if_revision: NotRequired[IfRevision]


class Since(Params):
    """The last epoch and revision that the caller was told."""

    epoch: Epoch
    revision: Revision


def _usual_keys() -> list[Key]:
    return ["active", "microcosms"]


class SubscribeParams(InSession):
    """`since`: the point that the caller knows, to get the difference instead of everything."""

    keys: NotRequired[
        Annotated[
            list[Key],
            Field(default_factory=_usual_keys, max_length=8, description="Default: active and microcosms."),
        ]
    ]
    since: NotRequired[Since]


class Subscription(TypedDict):
    """A snapshot (`fresh`) or the exact difference since the given point, and the start of notifications."""

    subscription: SubscriptionID
    epoch: Epoch
    revision: Revision
    fresh: bool
    active: NotRequired[MicrocosmID | None]
    set: dict[str, Reference]
    removed: list[str]
    identity: NotRequired[Identity]
    devices: NotRequired[list[Device]]


class UnsubscribeParams(InSession):
    """Which subscription of this connection."""

    subscription: SubscriptionID


class ExportParams(InSession):
    """`secrets`: with passwords."""

    secrets: NotRequired[Annotated[bool, Field(default=False)]]


class Exported(TypedDict):
    """A versioned document that `session.import` takes, here or elsewhere."""

    document: dict[str, Any]


Document = Annotated[
    dict[str, Any] | list[Any] | str,
    Tagged(
        ("object", "array", "text"),
        by=json_form,
        error="document",
        message="must be an object, an array or the text of one",
    ),
]


class ImportParams(InSession):
    """Our export, the seed's stored text or the later app's list, parsed or as text."""

    document: Document


class Quarantined(TypedDict):
    """An entry that was left out, and why."""

    id: str | None
    reason: str


class Imported(TypedDict):
    """How many references were added or filled, how many brought nothing new, and which were left out."""

    imported: Count
    skipped: Count
    quarantined: list[Quarantined]


METHODS = (
    Method("session.open", OpenParams, Opened, "Open a session by name, or an ephemeral one."),
    Method("session.list", InSession, Sessions, "List the person's sessions."),
    Method("session.get", InSession, SessionState, "Read a session: what is active, and all references."),
    Method(
        "session.drop", DropParams, Dropped, "Remove a session on all of the person's devices.", mutates=True
    ),
    Method(
        "session.set", SetParams, Changed, "Replace what is active, or all references, or both.", mutates=True
    ),
    Method("session.keys", InSession, Keys, "Name what a session holds."),
    Method(
        "session.reset",
        ResetParams,
        Changed,
        "Remove every reference and clear what is active.",
        mutates=True,
    ),
    Method("session.subscribe", SubscribeParams, Subscription, "Get the state, then every change of it."),
    Method(
        "session.unsubscribe",
        UnsubscribeParams,
        Empty,
        "End a subscription of this connection.",
        errors=(NotFound,),
    ),
    Method("session.export", ExportParams, Exported, "Write a session as a versioned JSON document."),
    Method(
        "session.import", ImportParams, Imported, "Merge an export or the app's stored session.", mutates=True
    ),
)
