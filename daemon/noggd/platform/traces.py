"""Tracebacks: what may be logged (where something failed, not on which values), and errors without them.

The text of some errors quotes what could not be handled (`ValueError`, and with it pydantic's and JSON's;
`KeyError`), and that may be a password. Of those only the kind is told; of all others the text too.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import TypeVar

_Error = TypeVar("_Error", bound=BaseException)

QUOTING = (ValueError, LookupError)
"""Kinds of errors whose text may quote data."""


def trace(error: BaseException) -> str:
    """Return the traceback of an error, of its causes, and of what a group holds."""
    return "\n".join(_lines(error, set())).rstrip("\n")


def told(error: BaseException) -> str:
    """Return the kind of an error, and its text where that cannot quote data."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = "" if isinstance(error, QUOTING) else str(error)
    return f"{name}: {text}" if text else name


def without_frames(error: _Error) -> _Error:
    """Return an error that forgot which frames it came through, those it was caused by too.

    Frames hold what was at work in them. An error that is kept there makes a circle, which is found late.
    """
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in seen:
        yield from _lines(cause, seen)
        yield "which led to" if error.__cause__ is not None else "and while this was handled"
    yield "Traceback (most recent call last):"
    yield from (entry.rstrip("\n") for entry in traceback.format_tb(error.__traceback__))
    yield told(error)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if id(each) not in seen:
                yield from ("  | " + line for part in _lines(each, seen) for line in part.splitlines())
