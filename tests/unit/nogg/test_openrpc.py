"""The API's description of itself: complete, consistent, and the same as the committed one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nogg import openrpc
from nogg.errors import WIRE_ERRORS
from nogg.methods import METHODS, NOTIFICATIONS

COMMITTED = Path(__file__).parents[3] / "docs" / "openrpc.json"
DOCUMENT = openrpc.document()


def nested(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nested(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested(inner)


def method(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in DOCUMENT["methods"] if each["name"] == name)
    return found


def test_the_committed_document_is_the_generated_one() -> None:
    committed = json.loads(COMMITTED.read_text("utf-8"))
    assert committed == DOCUMENT, "run: python -m nogg.openrpc > docs/openrpc.json"


def test_the_module_prints_it() -> None:
    printed = subprocess.run([sys.executable, "-m", "nogg.openrpc"], capture_output=True, check=True).stdout
    assert json.loads(printed) == DOCUMENT


def test_every_method_and_notification_is_there() -> None:
    assert [each["name"] for each in DOCUMENT["methods"]] == list(METHODS)
    assert [each["name"] for each in DOCUMENT["x-notifications"]] == list(NOTIFICATIONS)
    assert set(DOCUMENT["components"]["errors"]) == set(WIRE_ERRORS)


def test_it_has_the_form_of_openrpc() -> None:
    assert DOCUMENT["openrpc"].startswith("1.3.")
    assert set(DOCUMENT["info"]) >= {"title", "version"}
    for each in DOCUMENT["methods"]:
        assert each["paramStructure"] == "by-name"
        assert set(each["result"]) == {"name", "schema"}
        for parameter in each["params"]:
            assert set(parameter) == {"name", "required", "schema"}
    for error in DOCUMENT["components"]["errors"].values():
        assert set(error) == {"code", "message", "data"}


def test_every_reference_leads_somewhere_and_nothing_lies_unused() -> None:
    targets = {each["$ref"] for each in nested(DOCUMENT) if "$ref" in each}
    components = DOCUMENT["components"]
    known = {f"#/components/{kind}/{name}" for kind in components for name in components[kind]}
    assert targets <= known
    assert known - targets <= {f"#/components/errors/{name}" for name in WIRE_ERRORS}


def test_parameters_are_described_as_they_are_checked() -> None:
    get = {parameter["name"]: parameter for parameter in method("reference.get")["params"]}
    assert set(get) == {"session", "microcosmID", "touch"}
    assert get["microcosmID"]["required"] is True
    assert get["microcosmID"]["schema"]["maxLength"] == 255
    assert get["touch"] == {
        "name": "touch",
        "required": False,
        "schema": {"type": "boolean", "default": True},
    }
    assert {parameter["name"] for parameter in method("pair.join")["params"]} == {"code", "ticket", "address"}


def test_what_changes_something_is_marked() -> None:
    assert method("reference.register")["x-mutates"] is True
    assert method("reference.get")["x-mutates"] is False
    assert {"$ref": "#/components/errors/conflict"} in method("session.set")["errors"]
