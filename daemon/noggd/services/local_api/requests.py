"""From a line to a request, or to the error that the line deserves (contract, section 2).

The quick way is one call into pydantic_core. Only what that refuses, or what looks odd, is looked at again:
broken JSON is told from nesting too deep, numbers out of range and half surrogate pairs. Nothing here knows
the methods.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from pydantic_core import from_json, to_json

from nogg.errors import InvalidParams, InvalidRequest, NoggError, ParseError
from nogg.wire import LARGE_METHODS

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
NO_ID = b""
"""Stands for the id of a request that has none, so is never answered."""

NULL = b"null"
_ABSENT = object()
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_INNERMOST = re.compile(rb"\{\}|\[\]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_METHOD = re.compile(rb'"method"\s*:\s*"([^"]*)"')
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}").fullmatch
_MAYBE_HUGE = re.compile(rb"\d[eE]\+?\d{2}|\d{200}")  # the shortest ways to write more than 1.8e308


class Refused(Exception):
    """A line that is no request that could be carried out; `id` is the JSON to answer under."""

    def __init__(self, error: NoggError, id: bytes = NULL) -> None:  # noqa: A002 (JSON-RPC's word)
        super().__init__(error)
        self.error = error
        self.id = id


def parse(line: bytes) -> tuple[bytes, str, Any]:
    """Return (id as JSON or NO_ID, method, parameters as given or None). Raises Refused."""
    try:
        message = from_json(line, allow_inf_nan=False)
    except ValueError:
        raise _diagnose(line) from None
    if message.__class__ is not dict:
        if isinstance(message, list):
            raise Refused(InvalidRequest("batches are not supported: send one request per line"))
        raise Refused(InvalidRequest())
    found = message.get("id", _ABSENT)
    if found.__class__ is int and -MAX_INTEGER <= found <= MAX_INTEGER:
        id_ = b"%d" % found
    else:
        id_ = NO_ID if found is _ABSENT else _unusual_id(found, line)
    method = message.get("method")
    if message.get("jsonrpc") != "2.0" or method.__class__ is not str:
        wanted = '"jsonrpc":"2.0" and a "method"'
        raise Refused(InvalidRequest(f"a request is an object with {wanted}"), id_ or NULL)
    if len(message) > 4:  # members that nobody will look at
        examine(line, message, id_)
    return id_, method, message.get("params")


def may_be_large(head: bytes) -> bool:
    """Tell from the beginning of a line whether it can be one of the methods that carry whole sessions."""
    named = _METHOD.search(head)
    if named is not None:
        return named[1].decode(errors="replace") in LARGE_METHODS
    return head.lstrip().startswith(b"{")


def examine(line: bytes, message: object, id_: bytes) -> None:
    """Raise Refused if there is a number out of range or too deep a nesting anywhere in a parsed line.

    Typed parameters cannot hold either, so this is for what no type describes: free-form documents, and
    lines whose parameters are about to be refused anyway, under the more telling error.
    """
    if _MAYBE_HUGE.search(line) and any(_infinite(value) for value, _ in _walk(message)):
        raise Refused(ParseError("a number is out of range"))
    if line.count(b"{") + line.count(b"[") > MAX_DEPTH and _depth(line) > MAX_DEPTH:
        raise Refused(InvalidRequest(f"nested deeper than {MAX_DEPTH}"), id_ or NULL)


def _unusual_id(found: object, line: bytes) -> bytes:
    if isinstance(found, float) and math.isinf(found):
        raise Refused(ParseError("a number is out of range"))
    if found is None or isinstance(found, str | float):
        return to_json(found)
    if isinstance(found, int) and not isinstance(found, bool):
        raise Refused(InvalidParams(errors=[{"path": "id", "message": "must be at most 2^53-1"}]))
    raise Refused(InvalidRequest("an id is a string or a number"))


def _diagnose(line: bytes) -> Refused:
    """Say why pydantic_core would not take a line: not JSON, too deep, or not for our rules."""
    try:
        text = line.decode()
        if _depth(line) > MAX_DEPTH:
            return Refused(InvalidRequest(f"nested deeper than {MAX_DEPTH}"))
        message = _decode(text)
    except ValueError as error:
        where = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        return Refused(ParseError(f"the line is not valid JSON{where}"))
    faults = [
        {"path": path.removeprefix("params.") or "params", "message": fault}
        for value, path in _walk(message)
        if (fault := _fault(value)) is not None
    ]
    if not faults:
        return Refused(ParseError())
    return Refused(InvalidParams(errors=faults[:20]), _id_of(message))


def _id_of(message: object) -> bytes:
    found = message.get("id", _ABSENT) if isinstance(message, dict) else None
    if found is _ABSENT:
        return NO_ID
    if isinstance(found, str | int | float) and not isinstance(found, bool) and _fault(found) is None:
        return to_json(found)
    return NULL


def _fault(value: object) -> str | None:
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return "holds half a surrogate pair, which is no text"
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "must be at most 2^53-1"
    return None


def _infinite(value: object) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _walk(value: object, path: str = "") -> Iterator[tuple[object, str]]:
    """Yield every value and key in a parsed message with its path; no deeper than MAX_DEPTH is possible."""
    yield value, path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, path
            name = key if _PLAIN_NAME(key) else "(unknown)"  # any other key may be anything, even a secret
            yield from _walk(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{path}.{index}")


def _depth(line: bytes) -> int:
    """Return how deep brackets are nested outside of strings."""
    brackets = _STRING.sub(b"", line).translate(None, _NO_BRACKETS)
    peeled = 0
    while len(inner := _INNERMOST.sub(b"", brackets)) < len(brackets):
        brackets = inner
        peeled += 1
        if peeled > MAX_DEPTH:
            return peeled
    if not brackets:
        return peeled
    deepest = depth = 0  # unbalanced, so broken; it may be too deep all the same
    for character in brackets:
        depth += 1 if character in b"{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _bounded(text: str) -> int:
    return int(text) if len(text) < 20 else MAX_INTEGER + 1  # thousands of digits take quadratic time


_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded).decode
