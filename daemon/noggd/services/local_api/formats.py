"""The documents that carry a session: our own export, and what the apps of nodenogg.in keep in a browser.

    ours      {"format": "nogg.session", "version": 1, "active": …, "microcosms": [{microcosmID, …}]}
    the seed  {"json": {"active": …, "microcosms": [[id, {lastAccessed, …}], …]}, "meta": …}   (superjson)
    later     [[uuid, {"uuid": …, "lastAccessed": …, "password"?: …}], …]

Each may also come as the text of it. One bad entry never costs the others: it is named with the reason. No
reason repeats what the entry holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from nogg.errors import InvalidParams
from nogg.ids import is_microcosm_id
from nogg.methods.objects import MAX_INTEGER, PASSWORD_MAX, VIEW_MAX
from noggd.domain.reference import Reference

FORMAT = "nogg.session"
VERSION = 1


@dataclass(slots=True)
class Parsed:
    """What a document holds: entries that can be merged, and those that cannot with the reason."""

    active: str | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[dict[str, str | None]] = field(default_factory=list)


class _Bad(Exception):
    """An entry that cannot be taken; the text says why."""


def export(
    session: str, active: str | None, references: Iterable[Reference], at: int, *, secrets: bool
) -> dict[str, Any]:
    """Return our own form; without `secrets` the passwords are left out."""
    left_out = {"revision"} if secrets else {"revision", "password"}
    return {
        "format": FORMAT,
        "version": VERSION,
        "session": session,
        "exportedAt": at,
        "secrets": secrets,
        "active": active,
        "microcosms": [
            {key: value for key, value in reference.value().items() if key not in left_out}
            for reference in references
        ],
    }


def parse(document: object) -> Parsed:
    """Take any of the forms. Raises InvalidParams for what is none of them."""
    if isinstance(document, str):
        document = _loads(document)
    if isinstance(document, dict) and "json" in document and "microcosms" not in document:
        document = document["json"]  # superjson; its "meta" only tells that a list was a Map
    parsed = Parsed()
    if isinstance(document, list):
        _take(parsed, document)
        return parsed
    if not isinstance(document, dict) or not isinstance(document.get("microcosms", []), list):
        _refuse("is neither an export of nogg nor what the app stores")
    if document.get("format", FORMAT) != FORMAT:
        _refuse("is of a format that is not known here")
    if document.get("version", VERSION) != VERSION:
        _refuse("was written by a newer version")
    _take(parsed, document.get("microcosms", []))
    active = document.get("active")
    if active is not None:
        if isinstance(active, str) and is_microcosm_id(active):
            parsed.active = active
        else:
            parsed.quarantined.append({"id": None, "reason": "active is not a microcosm's id"})
    return parsed


def _take(parsed: Parsed, entries: list[object]) -> None:
    for each in entries:
        name: object = None
        try:
            name, fields = _split(each)
            parsed.entries.append(_entry(name, fields))
        except _Bad as error:
            known = name if isinstance(name, str) and _is_text(name) else None
            parsed.quarantined.append({"id": known, "reason": str(error)})


def _split(entry: object) -> tuple[object, dict[str, Any]]:
    """Return the id of an entry and its fields, from `{microcosmID, …}` or `[id, {…}]`."""
    if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], dict):
        return entry[0], entry[1]
    if isinstance(entry, dict):
        return entry.get("microcosmID", entry.get("uuid")), entry
    raise _Bad("is neither an object nor a pair of an id and an object")


def _entry(name: object, fields: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(name, str) or not is_microcosm_id(name):
        raise _Bad("its id is not a microcosm's id")
    for inner in ("microcosmID", "uuid"):
        if fields.get(inner, name) != name:
            raise _Bad(f"its {inner} is another id")
    entry: dict[str, Any] = {"microcosmID": name}
    accessed = fields.get("lastAccessed")
    if accessed is not None:
        if isinstance(accessed, float) and accessed.is_integer():
            accessed = int(accessed)
        if not isinstance(accessed, int) or isinstance(accessed, bool) or not 0 <= accessed <= MAX_INTEGER:
            raise _Bad("lastAccessed is not a time in milliseconds")
        entry["lastAccessed"] = accessed
    for key, longest in (("password", PASSWORD_MAX), ("view", VIEW_MAX)):
        value = fields.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or len(value) > longest or not _is_text(value):
            raise _Bad(f"{key} is not a text of at most {longest} characters")
        entry[key] = value
    return entry


def _is_text(value: str) -> bool:
    """Tell whether a string can be written as UTF-8: half a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _loads(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse("is not JSON")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(message: str) -> NoReturn:
    raise InvalidParams(errors=[{"path": "document", "message": message}])
