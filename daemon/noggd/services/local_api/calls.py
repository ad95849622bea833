"""The kinds of methods, and the table that says which function carries out which.

A `Read` answers at once, a `Query` is a read that the writer answers, a `Change` is answered by the writer after
fsync, a `Work` takes its time in a task, and a `Wait` is a work that later requests of the same connection overtake
(their replies do not). What each method is called, takes and returns is declared in `nogg.methods`; here it only
meets its function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from nogg.errors import NoggError
from nogg.methods import METHODS, Method
from noggd.core import Reply
from noggd.services.local_api.caller import Caller

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """Carried out and answered at once; `bytes` that it returns are JSON already."""

    name: str
    run: Callable[[Caller, Params], object]


@dataclass(frozen=True, slots=True)
class Query:
    """Answered through `reply`, now or later; sees every earlier change of its connection."""

    name: str
    run: Callable[[Caller, Params, Reply], None]


@dataclass(frozen=True, slots=True)
class Change:
    """Handed to the writer; `reply` is called once, now or later, with a result or an error."""

    name: str
    run: Callable[[Caller, Params, Reply], None]


@dataclass(frozen=True, slots=True)
class Work:
    """Carried out in a task; later reads and works of its connection wait until it is done."""

    name: str
    run: Callable[[Caller, Params], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Wait:
    """Carried out in a task that may last minutes; later requests are carried out meanwhile."""

    name: str
    run: Callable[[Caller, Params], Awaitable[object]]


Handler = Read | Query | Change | Work | Wait


@dataclass(frozen=True, slots=True)
class Entry:
    """A method as a connection calls it; `free_form`: no type describes all of its parameters."""

    handler: Handler
    validate: Callable[[object], Params]
    method: Method
    free_form: bool = False


FREE_FORM = frozenset({"session.import"})
Table = Mapping[str, Entry]


def table(handlers: Iterable[Handler]) -> Table:
    """Join functions and declarations. Each declared method must have exactly one function, and no other."""
    entries: dict[str, Entry] = {}
    for handler in handlers:
        if handler.name in entries:
            raise ValueError(f"{handler.name} has two functions")
        method = METHODS[handler.name]
        entries[handler.name] = Entry(handler, method.validate, method, handler.name in FREE_FORM)
    missing = METHODS.keys() - entries.keys()
    if missing:
        raise ValueError(f"nothing carries out {', '.join(sorted(missing))}")
    return entries


def refusing(error: type[NoggError], but: Iterable[Handler] = ()) -> Table:
    """Return a table that answers every method with this error, but for the given ones."""

    def refuse(_caller: Caller, _params: Params) -> NoReturn:
        raise error

    def anything(_params: object) -> Params:
        return {}

    entries = {name: Entry(Read(name, refuse), anything, method) for name, method in METHODS.items()}
    for handler in but:
        method = METHODS[handler.name]
        entries[handler.name] = Entry(handler, method.validate, method)
    return entries
