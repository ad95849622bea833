"""The API describes itself: an OpenRPC 1.3 document made from the declarations that the daemon checks with.

Here: the generator behind `rpc.discover` and `docs/openrpc.json`; `python -m nogg.openrpc` prints it. Not here:
anything that the declarations in `nogg.methods` do not say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from nogg.errors import WIRE_ERRORS
from nogg.methods import METHODS, NOTIFICATIONS, Method, Notification
from nogg.methods.daemon import PROTOCOL

_SCHEMAS = "#/components/schemas/"
_ERRORS = "#/components/errors/"

Schema = dict[str, Any]


@cache
def document() -> dict[str, Any]:
    """Return the OpenRPC document; made once, not to be changed by its caller.

    Our own additions: `x-mutates` (a success is on disk before it is answered) and `x-notifications`, what the
    daemon tells by itself, in the form of methods without result.
    """
    schemas, definitions = _schemas()
    methods = [_method(method, schemas, definitions) for method in METHODS.values()]
    notifications = [_notification(each, schemas, definitions) for each in NOTIFICATIONS.values()]
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "noggd, the session daemon: local API",
            "version": str(PROTOCOL),
            "description": "JSON-RPC 2.0 over a Unix stream socket, one compact JSON object per line in UTF-8. "
            "Parameters by name. Clients ignore result fields that they do not know.",
        },
        "methods": methods,
        "x-notifications": notifications,
        "components": {
            "schemas": dict(sorted(_used(definitions, [methods, notifications]).items())),
            "errors": {
                name: {"code": error.code, "message": error.default_message, "data": {"type": name}}
                for name, error in WIRE_ERRORS.items()
            },
        },
    }


def _schemas() -> tuple[dict[tuple[str, str], Schema], dict[str, Schema]]:
    """Return the schemas of all parameters and results, by (name, role), and the definitions they refer to."""
    declared: tuple[Method | Notification, ...] = (*METHODS.values(), *NOTIFICATIONS.values())
    inputs: list[tuple[tuple[str, str], Any, TypeAdapter[Any]]] = [
        ((each.name, role), "validation", TypeAdapter(described))
        for each in declared
        for role, described in (("params", each.params), ("result", getattr(each, "result", None)))
        if described is not None
    ]
    made, shared = TypeAdapter.json_schemas(inputs, ref_template=_SCHEMAS + "{model}")
    definitions = {name: _untitled(schema) for name, schema in shared.get("$defs", {}).items()}
    return {(name, role): _untitled(schema) for ((name, role), _mode), schema in made.items()}, definitions


def _untitled(schema: Any) -> Any:
    """Drop the titles that pydantic derives from field names: they say the same a second time."""
    if isinstance(schema, dict):
        return {
            key: {name: _untitled(field) for name, field in value.items()}
            if key == "properties"
            else _untitled(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_untitled(item) for item in schema] if isinstance(schema, list) else schema


def _parameters(
    name: str, schemas: dict[tuple[str, str], Schema], definitions: dict[str, Schema]
) -> list[Schema]:
    schema = schemas[name, "params"]
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix(_SCHEMAS)]
    required = schema.get("required", [])
    return [
        {"name": field, "required": field in required, "schema": fields}
        for field, fields in schema.get("properties", {}).items()
    ]


def _method(
    method: Method, schemas: dict[tuple[str, str], Schema], definitions: dict[str, Schema]
) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": _parameters(method.name, schemas, definitions),
        "result": {"name": "result", "schema": schemas[method.name, "result"]},
        "errors": [{"$ref": _ERRORS + error.type} for error in method.all_errors],
        "x-mutates": method.mutates,
    }


def _notification(
    notification: Notification, schemas: dict[tuple[str, str], Schema], definitions: dict[str, Schema]
) -> dict[str, Any]:
    return {
        "name": notification.name,
        "summary": notification.summary,
        "paramStructure": "by-name",
        "params": _parameters(notification.name, schemas, definitions),
    }


def _used(definitions: dict[str, Schema], roots: object) -> dict[str, Schema]:
    """Return the definitions that are referred to, directly or by each other."""
    used: dict[str, Schema] = {}
    open_names = list(_references(roots))
    while open_names:
        name = open_names.pop()
        if name not in used:
            used[name] = definitions[name]
            open_names.extend(_references(used[name]))
    return used


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        target = schema.get("$ref")
        if isinstance(target, str) and target.startswith(_SCHEMAS):
            yield target.removeprefix(_SCHEMAS)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def text() -> str:
    """Return the document as it is committed in `docs/openrpc.json`."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 (a program that prints)
