"""From a declaration to the core schema that checks it, for the types that parameters are made of.

The same as pydantic's `TypeAdapter` makes of it (a test compares them), without loading that. Not here: rules
(`nogg.methods.rules`), and the translation of what is found (`nogg.methods.method`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from pydantic_core import core_schema
from typing_extensions import is_typeddict

from nogg.methods.rules import Rule, Schema

_PLAIN: dict[Any, Callable[[], Schema]] = {
    str: core_schema.str_schema,
    int: core_schema.int_schema,
    float: core_schema.float_schema,
    bool: core_schema.bool_schema,
    NoneType: core_schema.none_schema,
    Any: core_schema.any_schema,
}


def schema_of(declared: Any) -> Schema:
    """Return the core schema of a type. TypeError for a kind of type that no parameter has so far."""
    origin, arguments = get_origin(declared), get_args(declared)
    if declared in _PLAIN:
        return _PLAIN[declared]()
    if is_typeddict(declared):
        return _object(declared)
    if origin is Annotated:
        rules = (rule for rule in arguments[1:] if isinstance(rule, Rule))
        return reduce(lambda schema, rule: rule.apply(schema), rules, schema_of(arguments[0]))
    if origin is Literal:
        return core_schema.literal_schema(list(arguments))
    if origin in (Union, UnionType):
        return _union(arguments)
    if origin is list:
        return core_schema.list_schema(schema_of(arguments[0]))
    if origin is dict:
        return core_schema.dict_schema(schema_of(arguments[0]), schema_of(arguments[1]))
    raise TypeError(f"parameters cannot be declared as {declared}")


def _union(branches: tuple[Any, ...]) -> Schema:
    schemas = [schema_of(branch) for branch in branches if branch is not NoneType]
    joined = schemas[0] if len(schemas) == 1 else core_schema.union_schema(schemas)
    return core_schema.nullable_schema(joined) if NoneType in branches else joined


def _object(declared: Any) -> Schema:
    fields = {}
    for name, hint in get_type_hints(declared, include_extras=True).items():
        inner = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        required = name in declared.__required_keys__
        fields[name] = core_schema.typed_dict_field(schema_of(inner), required=required)
    config = _config(declared)
    extra = config["extra"]
    return core_schema.typed_dict_schema(
        fields,
        cls=declared,
        extra_behavior=extra,
        config=core_schema.CoreConfig(
            title=declared.__name__,
            strict=config["strict"],
            extra_fields_behavior=extra,
            allow_inf_nan=config["allow_inf_nan"],
        ),
    )


def _config(declared: Any) -> dict[str, Any]:
    """Return what was declared for the whole object: by the class itself or one that it extends."""
    own: dict[str, Any] | None = getattr(declared, "__pydantic_config__", None)
    if own is not None:
        return own
    for base in getattr(declared, "__orig_bases__", ()):
        if is_typeddict(base):
            return _config(base)
    raise TypeError(f"{declared.__name__} does not extend nogg.methods.objects.Params")
