"""What the declarations say about values beyond their types, as metadata of `Annotated`.

Each rule turns the core schema of a type into a stricter one. pydantic asks rules for it by its protocol for
metadata, so that anybody can use the declarations with it; `nogg.methods.checks` asks them itself and gets by
without pydantic's Python half, which takes 0.1 s and 6 MB to load. Here: the rules. Not here: types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from pydantic_core import core_schema

Schema = Any
"""A core schema of pydantic's engine: a dict of which there are fifty kinds."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; subclasses say in `apply` what becomes of the schema."""

    _: KW_ONLY
    description: str | None = None

    def apply(self, schema: Schema) -> Schema:
        """Return the schema with this rule in it."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Schema]) -> Schema:
        return self.apply(handler(source))

    def __get_pydantic_json_schema__(self, schema: Schema, handler: Callable[[Schema], Any]) -> Any:
        described = handler(schema)
        return described if self.description is None else {**described, "description": self.description}


@dataclass(frozen=True, slots=True)
class Field(Rule):
    """Bounds of a number, a text or a list, and what stands for an omitted value."""

    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    default: Any = None
    default_factory: Callable[[], Any] | None = None

    def apply(self, schema: Schema) -> Schema:
        """Put the bounds in, and the default around."""
        names = ("min_length", "max_length", "pattern", "gt", "ge", "le")
        bounds = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        bounded = {**schema, **bounds}
        if self.default_factory is not None:
            return core_schema.with_default_schema(bounded, default_factory=self.default_factory)
        return (
            bounded
            if self.default is None
            else core_schema.with_default_schema(bounded, default=self.default)
        )


@dataclass(frozen=True, slots=True)
class Checked(Rule):
    """A function that takes the checked value and returns it, or another form of it, or raises ValueError."""

    function: Callable[[Any], Any]

    def apply(self, schema: Schema) -> Schema:
        """Call the function afterwards."""
        return core_schema.no_info_after_validator_function(self.function, schema)


@dataclass(frozen=True, slots=True)
class Tagged(Rule):
    """Tells the branches of a union apart: by the value of a key, or by what a function says of the value."""

    tags: tuple[str, ...]
    by: str | Callable[[Any], str | None]
    error: str | None = None
    message: str | None = None

    def apply(self, schema: Schema) -> Schema:
        """Name the branches, which stand in the order of their tags."""
        branches = dict(zip(self.tags, schema["choices"], strict=True))
        return core_schema.tagged_union_schema(
            branches, self.by, custom_error_type=self.error, custom_error_message=self.message
        )
