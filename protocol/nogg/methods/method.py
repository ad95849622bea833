"""What a declared method or notification is, and how its parameters are checked.

Here: `Method`, `Notification` and the translation of pydantic's findings into `InvalidParams`. Not here: the
declarations themselves (one module a noun) and what the methods do (the daemon).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic_core import ErrorDetails, SchemaValidator, ValidationError

from nogg.errors import (
    Conflict,
    Forbidden,
    InternalError,
    InvalidParams,
    InvalidRequest,
    LimitExceeded,
    MethodNotFound,
    NoggError,
    ParseError,
    ReadOnly,
    ShuttingDown,
    Starting,
    StorageFailed,
)
from nogg.methods import objects
from nogg.methods.checks import schema_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: what any call may be answered with
COMMON_ERRORS: tuple[type[NoggError], ...] = (
    ParseError,
    InvalidRequest,
    MethodNotFound,
    InvalidParams,
    InternalError,
    Forbidden,
    LimitExceeded,
    ShuttingDown,
    Starting,
)
#: what any call that changes something may be answered with, besides
STORAGE_ERRORS: tuple[type[NoggError], ...] = (StorageFailed, ReadOnly)


@dataclass(frozen=True)
class Method:
    """One method of the local API, as the daemon really takes it.

    `params` is a TypedDict whose fields carry their rules; `result` is what a success answers; `mutates`
    says whether it changes something that is stored (and so is answered after fsync); `errors` are those of
    its own, besides `COMMON_ERRORS` and, where it mutates, `STORAGE_ERRORS`.
    """

    name: str
    params: type
    result: Any
    summary: str
    mutates: bool = False
    errors: tuple[type[NoggError], ...] = ()

    @cached_property
    def _check(self) -> Any:
        return SchemaValidator(
            schema_of(self.params)
        ).validate_python  # built at first use: a start stays short

    @cached_property
    def _result(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter  # only tests check results

        return TypeAdapter(self.result)

    def validate(self, params: object) -> dict[str, Any]:
        """Return the parameters with their defaults filled in, or raise `InvalidParams`.

        `params` is what the parser gave, None if the request had none. No message repeats what was given: it
        may be a password.
        """
        try:
            checked: dict[str, Any] = self._check({} if params is None else params)
        except ValidationError as error:
            raise InvalidParams(errors=faults(error)) from None
        return checked

    def check_result(self, result: object) -> None:
        """Raise `pydantic.ValidationError` unless `result` is what this method declares; for tests."""
        self._result.validate_python(result, strict=True)

    @property
    def all_errors(self) -> tuple[type[NoggError], ...]:
        """Everything that a call of this method may be answered with instead of its result."""
        fields = getattr(self.params, "__origin__", self.params).__annotations__  # Annotated has an origin
        conflict = (Conflict,) if "if_revision" in fields else ()
        storage = STORAGE_ERRORS if self.mutates else ()
        return tuple(dict.fromkeys(COMMON_ERRORS + storage + conflict + self.errors))


@dataclass(frozen=True)
class Notification:
    """One thing that the daemon tells by itself; `params` is the TypedDict that it sends."""

    name: str
    params: type
    summary: str

    @cached_property
    def _params(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter

        return TypeAdapter(self.params)

    def check(self, params: object) -> None:
        """Raise `pydantic.ValidationError` unless `params` is what this notification declares; for tests."""
        self._params.validate_python(params, strict=True)


# Rules that people meet are told in words, not as regular expressions.
_PATTERNS = {
    objects.MICROCOSM_PATTERN: "must be letters, digits, _ and -, in parts joined by single dots",
    objects.SESSION_PATTERN: "must be 1 to 64 of a-z, 0-9, dot, _ and -, beginning with a letter or digit",
}
_WORDS = {
    "extra_forbidden": "there is no such parameter",
    "missing": "is required",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "string_unicode": "holds half a surrogate pair, which is no text",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
    "string_too_long": "has more than {max_length} characters",
    "too_long": "has more than {max_length} entries",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "needs {discriminator}",
    "value_error": "{error}",
}
_plain_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}").fullmatch
_MAX_FAULTS = 20


def faults(error: ValidationError) -> list[dict[str, str]]:
    """Return pydantic's findings as `[{path, message}]`, without anything that the caller had sent."""
    found = error.errors(include_input=False, include_url=False)
    return [{"path": _path(fault), "message": _message(fault)} for fault in found[:_MAX_FAULTS]]


def _path(fault: ErrorDetails) -> str:
    where = fault["loc"]
    parts = [part for place, part in enumerate(where) if not _is_branch(where, place)]
    if fault["type"] == "extra_forbidden" and not _plain_name(str(parts[-1])):
        parts[-1] = "(unknown)"  # a name that no parameter could have may be anything, even a password
    return ".".join(map(str, parts)) or "params"


def _is_branch(where: tuple[int | str, ...], place: int) -> bool:
    """Say whether pydantic put this part there for the branch of a union: the caller never wrote it."""
    before = where[:place]
    return before in (("document",), ("devices",)) or (len(before) == 2 and before[0] == "ops")


def _message(fault: ErrorDetails) -> str:
    """Say it in our words: pydantic's own sometimes repeat what was given."""
    context = fault.get("ctx", {})
    if fault["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], "has the wrong form")
    words = _WORDS.get(fault["type"])
    return words.format(**context) if words else fault["msg"]
