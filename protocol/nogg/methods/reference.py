"""Methods on one reference or on the list of them: `reference.*`."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from nogg.errors import NotFound
from nogg.methods.method import Method
from nogg.methods.objects import (
    PASSWORD_MAX,
    VIEW_MAX,
    Count,
    IfRevision,
    InSession,
    MicrocosmID,
    Milliseconds,
    Password,
    Reference,
    RemovedReference,
    Revision,
    View,
)
from nogg.methods.rules import Field

#: as in the seed, registering with "" keeps what is there
LoosePassword = Annotated[str, Field(max_length=PASSWORD_MAX)]
LooseView = Annotated[str, Field(max_length=VIEW_MAX)]


class OneReference(InSession):
    """Which reference."""

    microcosmID: MicrocosmID


class RegisterParams(OneReference):
    """Omitted, null and empty fields keep what is there."""

    view: NotRequired[LooseView | None]
    password: NotRequired[LoosePassword | None]
    if_revision: NotRequired[IfRevision]


class GetParams(OneReference):
    """`touch`: the access counts as one."""

    touch: NotRequired[Annotated[bool, Field(default=True)]]


class ListParams(InSession):
    """`removed`: only removed references that can still be restored."""

    sort: NotRequired[Annotated[Literal["id", "recent"], Field(default="id")]]
    limit: NotRequired[Count]
    removed: NotRequired[Annotated[bool, Field(default=False)]]


class References(TypedDict):
    """References in the order asked for; removed ones also say when they were removed."""

    references: list[Reference] | list[RemovedReference]
    revision: Revision


class UpdateParams(OneReference):
    """Null clears a field, an omitted one stays."""

    view: NotRequired[View | None]
    password: NotRequired[Password | None]
    if_revision: NotRequired[IfRevision]


class RemoveParams(OneReference):
    """Which reference, and a revision to insist on, if any."""

    if_revision: NotRequired[IfRevision]


class Removed(TypedDict):
    """False if there was none."""

    removed: bool


class Forgotten(TypedDict):
    """False if there was nothing to forget."""

    forgotten: bool


class ConflictValue(TypedDict):
    """A value that a device set without knowing of the other ones."""

    value: str | None
    device: str
    at: Milliseconds


class FieldConflict(TypedDict):
    """A field that was set differently at the same time; `chosen` is what it shows until it is resolved."""

    microcosmID: MicrocosmID
    field: str
    values: list[ConflictValue]
    chosen: str | None


class Conflicts(TypedDict):
    """Everything that waits for a decision."""

    conflicts: list[FieldConflict]


class ResolveParams(OneReference):
    """The value to keep; null clears the field."""

    field: Literal["password", "view"]
    value: Password | None


METHODS = (
    Method(
        "reference.register",
        RegisterParams,
        Reference,
        "Add a reference, or fill in and touch it.",
        mutates=True,
    ),
    Method(
        "reference.get",
        GetParams,
        Reference | Literal[False],
        "Read a reference as it was before this access, or false; the access is recorded.",
    ),
    Method("reference.list", ListParams, References, "List references by id or by last access."),
    Method(
        "reference.update",
        UpdateParams,
        Reference,
        "Change fields of a reference.",
        mutates=True,
        errors=(NotFound,),
    ),
    Method(
        "reference.remove", RemoveParams, Removed, "Remove a reference; it can be restored.", mutates=True
    ),
    Method(
        "reference.restore",
        OneReference,
        Reference,
        "Bring a removed reference back as it stood.",
        mutates=True,
        errors=(NotFound,),
    ),
    Method(
        "reference.forget", OneReference, Forgotten, "Remove a reference for good, everywhere.", mutates=True
    ),
    Method(
        "reference.conflicts", InSession, Conflicts, "List fields that were set differently at the same time."
    ),
    Method(
        "reference.resolve",
        ResolveParams,
        Reference,
        "Decide such a field.",
        mutates=True,
        errors=(NotFound,),
    ),
)
