"""`session.transact`: several changes as one, all or nothing."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from nogg.errors import Conflict, NotFound
from nogg.methods.method import Method
from nogg.methods.objects import (
    IfRevision,
    InSession,
    MicrocosmID,
    Params,
    Password,
    Reference,
    Revision,
    View,
)
from nogg.methods.reference import LoosePassword, LooseView, Removed
from nogg.methods.rules import Tagged


class RegisterOp(Params):
    """As `reference.register`."""

    op: Literal["register"]
    microcosmID: MicrocosmID
    view: NotRequired[LooseView | None]
    password: NotRequired[LoosePassword | None]
    if_revision: NotRequired[IfRevision]


class UpdateOp(Params):
    """As `reference.update`."""

    op: Literal["update"]
    microcosmID: MicrocosmID
    view: NotRequired[View | None]
    password: NotRequired[Password | None]
    if_revision: NotRequired[IfRevision]


class RemoveOp(Params):
    """As `reference.remove`."""

    op: Literal["remove"]
    microcosmID: MicrocosmID
    if_revision: NotRequired[IfRevision]


class SetActiveOp(Params):
    """As `active.set`."""

    op: Literal["set_active"]
    microcosmID: MicrocosmID | None


class TouchOp(Params):
    """As the touch of `reference.get`."""

    op: Literal["touch"]
    microcosmID: MicrocosmID


Op = Annotated[
    RegisterOp | UpdateOp | RemoveOp | SetActiveOp | TouchOp,
    Tagged(("register", "update", "remove", "set_active", "touch"), by="op"),
]


class TransactParams(InSession):
    """What to do, in order."""

    ops: list[Op]
    if_revision: NotRequired[IfRevision]


class NowActive(TypedDict):
    """What is active after a `set_active`."""

    active: MicrocosmID | None


class Touched(TypedDict):
    """False if there is no such reference."""

    touched: bool


class Transacted(TypedDict):
    """One result an operation, as its own method would answer."""

    revision: Revision
    results: list[Reference | Removed | NowActive | Touched]


METHODS = (
    Method(
        "session.transact",
        TransactParams,
        Transacted,
        "Do several changes as one commit and one event; one that fails fails all (its place: data.index).",
        mutates=True,
        errors=(NotFound, Conflict),
    ),
)
