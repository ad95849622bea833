"""The declarations: complete, strict, and silent about what they were given."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from nogg.errors import InvalidParams, NoggError
from nogg.ids import device_id
from nogg.methods import METHODS, NOTIFICATIONS
from nogg.methods.checks import schema_of
from nogg.methods.method import COMMON_ERRORS

DEVICE = device_id(bytes(32))
ID = "alpha.aaaaaaaaaaaaaaaa"

#: for each method, parameters that it must take
GOOD: dict[str, list[dict[str, Any]]] = {
    "hello": [{}, {"protocol": 1, "client": {"name": "app", "version": "1"}}, {"client": {"name": "app"}}],
    "rpc.discover": [{}],
    "session.open": [{}, {"session": "work", "ephemeral": True}],
    "session.list": [{}],
    "session.get": [{}, {"session": "a.b-c_1"}],
    "session.drop": [{"session": "work"}],
    "session.set": [
        {},
        {"active": None},
        {"active": ID, "if_revision": 0},
        {"microcosms": []},
        {
            "microcosms": [
                {"microcosmID": ID},
                {"microcosmID": "b", "lastAccessed": 0, "password": None, "view": "v"},
            ]
        },
    ],
    "session.keys": [{}],
    "session.reset": [{}, {"if_revision": 2**53 - 1}],
    "session.transact": [
        {"ops": []},
        {
            "ops": [
                {"op": "register", "microcosmID": ID, "view": "", "password": None, "if_revision": 0},
                {"op": "update", "microcosmID": ID, "view": None, "password": "p"},
                {"op": "remove", "microcosmID": ID, "if_revision": 3},
                {"op": "set_active", "microcosmID": None},
                {"op": "touch", "microcosmID": ID},
            ],
            "if_revision": 1,
        },
    ],
    "session.subscribe": [
        {},
        {
            "keys": ["active", "microcosms", "identity", "devices"],
            "since": {"epoch": "k3f9", "revision": 412},
        },
    ],
    "session.unsubscribe": [{"subscription": "s1"}],
    "session.export": [{}, {"secrets": True}],
    "session.import": [{"document": {}}, {"document": "[]"}, {"document": [[ID, {}]]}],
    "reference.register": [
        {"microcosmID": ID},
        {"microcosmID": ID, "view": "", "password": ""},
        {"microcosmID": ID, "view": None, "password": None, "if_revision": 0},
        {"microcosmID": ID, "view": "v" * 255, "password": "☃" * 1024},
    ],
    "reference.get": [{"microcosmID": ID}, {"microcosmID": ID, "touch": False}],
    "reference.list": [{}, {"sort": "recent", "limit": 3, "removed": True}, {"sort": "id"}],
    "reference.update": [
        {"microcosmID": ID, "view": None},
        {"microcosmID": ID, "password": "x", "if_revision": 9},
    ],
    "reference.remove": [{"microcosmID": ID}, {"microcosmID": ID, "if_revision": 1}],
    "reference.restore": [{"microcosmID": ID}],
    "reference.forget": [{"microcosmID": ID}],
    "reference.conflicts": [{}],
    "reference.resolve": [{"microcosmID": ID, "field": "password", "value": "x"}],
    "active.get": [{}],
    "active.set": [{"microcosmID": ID}, {"microcosmID": None}],
    "active.is": [{"microcosmID": ID}],
    "active.everywhere": [{}],
    "identity.get": [{}],
    "identity.set": [{"username": "Ada"}, {"username": None}],
    "device.list": [{}],
    "device.rename": [{"name": "laptop"}],
    "device.evict": [{"device": DEVICE}],
    "device.leave": [{}],
    "pair.invite": [{}, {"ttl_s": 60, "addresses": ["192.0.2.1:7734"]}, {"ttl_s": 0.5}],
    "pair.join": [{"code": "7-able-baker-charlie"}, {"ticket": "t", "address": "[::1]:7734"}],
    "pair.cancel": [{}],
    "sync.status": [{}],
    "sync.wait": [
        {"devices": "any"},
        {"devices": "all", "revision": 5, "timeout_s": 300},
        {"devices": [DEVICE]},
    ],
    "daemon.status": [{}],
    "daemon.doctor": [{}],
    "daemon.metrics": [{}],
    "daemon.shutdown": [{}],
}

#: parameters that must be refused, and the path of the fault
BAD: list[tuple[str, object, str]] = [
    ("hello", [], "params"),
    ("hello", "x", "params"),
    ("hello", {"protocol": "1"}, "protocol"),
    ("hello", {"client": {}}, "client.name"),
    ("hello", {"client": {"name": "x", "secret": 1}}, "client.secret"),
    ("rpc.discover", {"x": 1}, "x"),
    ("session.get", {"session": "Work"}, "session"),
    ("session.get", {"session": None}, "session"),
    ("session.open", {"ephemeral": 1}, "ephemeral"),
    ("session.drop", {}, "session"),
    ("session.set", {"active": "a..b"}, "active"),
    ("session.set", {"microcosms": None}, "microcosms"),
    ("session.set", {"microcosms": [{"microcosmID": "a"}, {"microcosmID": "a"}]}, "microcosms"),
    ("session.set", {"microcosms": [{"microcosmID": "a", "revision": 3}]}, "microcosms.0.revision"),
    (
        "session.set",
        {"microcosms": [{"microcosmID": "a", "lastAccessed": 2**53}]},
        "microcosms.0.lastAccessed",
    ),
    ("session.set", {"microcosms": [{"microcosmID": "a", "lastAccessed": -1}]}, "microcosms.0.lastAccessed"),
    ("session.set", {"microcosms": [{"microcosmID": "a", "lastAccessed": 1.0}]}, "microcosms.0.lastAccessed"),
    ("session.set", {"if_revision": -1}, "if_revision"),
    ("session.set", {"if_revision": True}, "if_revision"),
    ("session.set", {"if_revision": 10**30}, "if_revision"),
    ("session.transact", {}, "ops"),
    ("session.transact", {"ops": [{"op": "hunter2", "microcosmID": "a"}]}, "ops.0"),
    ("session.transact", {"ops": [{"microcosmID": "a"}]}, "ops.0"),
    ("session.transact", {"ops": [{"op": "touch", "microcosmID": "a", "update": 1}]}, "ops.0.update"),
    ("session.transact", {"ops": [{"op": "update", "microcosmID": "a", "view": ""}]}, "ops.0.view"),
    ("session.subscribe", {"keys": ["all"]}, "keys.0"),
    ("session.subscribe", {"since": {"epoch": "x"}}, "since.revision"),
    ("session.unsubscribe", {}, "subscription"),
    ("session.import", {}, "document"),
    ("session.import", {"document": 3}, "document"),
    ("session.import", {"document": None}, "document"),
    ("reference.register", {}, "microcosmID"),
    ("reference.register", {"microcosmID": "a\n"}, "microcosmID"),
    ("reference.register", {"microcosmID": "a\ud800"}, "microcosmID"),
    ("reference.register", {"microcosmID": "x" * 256}, "microcosmID"),
    ("reference.register", {"microcosmID": 7}, "microcosmID"),
    ("reference.register", {"microcosmID": "a", "view": "v" * 256}, "view"),
    ("reference.register", {"microcosmID": "a", "password": "☃" * 1025}, "password"),
    ("reference.register", {"microcosmID": "a", "password": "\udfff"}, "password"),
    ("reference.register", {"microcosmID": "a", "lastAccessed": 3}, "lastAccessed"),
    ("reference.update", {"microcosmID": "a", "view": ""}, "view"),
    ("reference.update", {"microcosmID": "a", "password": ""}, "password"),
    ("reference.get", {"microcosmID": "a", "touch": "no"}, "touch"),
    ("reference.list", {"sort": "name"}, "sort"),
    ("reference.list", {"limit": -1}, "limit"),
    ("reference.resolve", {"microcosmID": "a", "field": "lastAccessed", "value": "x"}, "field"),
    ("active.set", {}, "microcosmID"),
    ("active.is", {"microcosmID": None}, "microcosmID"),
    ("identity.set", {"username": ""}, "username"),
    ("device.rename", {"name": ""}, "name"),
    ("device.evict", {"device": DEVICE[:-1] + "B"}, "device"),
    ("pair.invite", {"ttl_s": 0}, "ttl_s"),
    ("pair.invite", {"ttl_s": float("nan")}, "ttl_s"),
    ("pair.join", {}, "params"),
    ("pair.join", {"code": "1-a-b-c", "ticket": "t"}, "params"),
    ("sync.wait", {}, "devices"),
    ("sync.wait", {"devices": "some"}, "devices"),
    ("sync.wait", {"devices": ["me"]}, "devices.0"),
    ("sync.wait", {"devices": "all", "timeout_s": 300.5}, "timeout_s"),
]


def _without_names(schema: Any) -> Any:
    """Leave out of a core schema what only describes it."""
    if isinstance(schema, dict):
        left_out = ("metadata", "ref", "cls", "computed_fields")
        kept = {key: _without_names(value) for key, value in schema.items() if key not in left_out}
        return {key: value for key, value in kept.items() if value is not None}
    return [_without_names(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("name", METHODS)
def test_what_checks_parameters_is_what_pydantic_would_make(name: str) -> None:
    params = METHODS[name].params
    assert _without_names(schema_of(params)) == _without_names(TypeAdapter(params).core_schema)


class Loose(TypedDict):
    """Parameters that do not say that there are no others."""

    a: str


def test_a_kind_of_type_that_no_check_is_known_for_is_refused() -> None:
    unknowns: list[Any] = [set[str], Loose, bytes]
    for unknown in unknowns:
        with pytest.raises(TypeError):
            schema_of(unknown)


def test_exactly_the_contract_s_methods_are_declared() -> None:
    assert set(METHODS) == set(GOOD)
    assert all(name == method.name for name, method in METHODS.items())


def test_exactly_the_contract_s_notifications_are_declared() -> None:
    assert set(NOTIFICATIONS) == {
        "session.changed",
        "identity.changed",
        "device.changed",
        "pair.changed",
        "reference.conflict",
        "daemon.stopping",
        "subscription.resync",
    }


@pytest.mark.parametrize("name", GOOD)
def test_good_parameters_pass_unchanged_but_for_defaults(name: str) -> None:
    for params in GOOD[name]:
        checked = METHODS[name].validate(params)
        assert {key: checked[key] for key in params} == params
        assert set(checked) - set(params) <= {
            "session", "ephemeral", "touch", "sort", "removed", "secrets", "keys", "ttl_s", "timeout_s",
        }  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_no_method_takes_a_parameter_that_it_does_not_know(name: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        METHODS[name].validate({**GOOD[name][0], "unheard_of": 1})
    assert caught.value.errors == [{"path": "unheard_of", "message": "there is no such parameter"}]


@pytest.mark.parametrize(("name", "params", "path"), BAD)
def test_bad_parameters_are_refused_with_their_path(name: str, params: object, path: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        METHODS[name].validate(params)
    faults = caught.value.errors
    assert path in [fault["path"] for fault in faults]
    for fault in faults:
        assert set(fault) == {"path", "message"}
        assert not re.search(r"Input should|String should|Value error|ctx|None\b", fault["message"]), fault


def test_session_methods_act_on_the_default_session_unless_told_otherwise() -> None:
    for name in METHODS:
        noun = name.split(".")[0]
        if noun in ("session", "reference", "active") and name != "session.drop":
            assert METHODS[name].validate(GOOD[name][0])["session"] == "default", name
            with pytest.raises(InvalidParams):
                METHODS[name].validate({**GOOD[name][0], "session": "NO"})


def test_absent_parameters_are_no_parameters() -> None:
    assert METHODS["session.get"].validate(None) == {"session": "default"}


def test_defaults_are_the_contract_s_and_not_shared() -> None:
    assert METHODS["reference.get"].validate({"microcosmID": "a"})["touch"] is True
    assert METHODS["reference.list"].validate({})["sort"] == "id"
    assert METHODS["pair.invite"].validate({})["ttl_s"] == 600
    assert METHODS["sync.wait"].validate({"devices": "any"})["timeout_s"] == 10
    keys = METHODS["session.subscribe"].validate({})["keys"]
    assert keys == ["active", "microcosms"]
    keys.append("identity")
    assert METHODS["session.subscribe"].validate({})["keys"] == ["active", "microcosms"]


def test_device_ids_reach_the_handler_in_canonical_form() -> None:
    typed = DEVICE.lower().replace("-", " ")
    assert METHODS["device.evict"].validate({"device": typed}) == {"device": DEVICE}
    assert METHODS["sync.wait"].validate({"devices": [typed]})["devices"] == [DEVICE]


def test_lengths_count_characters_not_bytes_or_surrogates() -> None:
    METHODS["reference.register"].validate({"microcosmID": "a", "password": "😀" * 1024})
    with pytest.raises(InvalidParams):
        METHODS["reference.register"].validate({"microcosmID": "a", "password": "😀" * 1025})


SECRET = "hunter2 is my secret"
secrets = st.recursive(
    st.just(SECRET) | st.just({SECRET: SECRET}) | st.just([SECRET]) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["microcosmID", "op", SECRET]), inner)
    ),
    max_leaves=4,
)
FIELDS = sorted({key for shapes in GOOD.values() for shape in shapes for key in shape} | {"unheard_of"})


@given(
    st.sampled_from(sorted(METHODS)),
    secrets | st.dictionaries(st.sampled_from([*FIELDS, SECRET]), secrets, max_size=4),
)
def test_any_parameters_are_taken_or_refused_without_repeating_them(name: str, params: object) -> None:
    try:
        METHODS[name].validate(params)
        return
    except InvalidParams as caught:
        error = caught
    assert SECRET not in json.dumps(error.to_wire())
    assert SECRET not in repr(error)
    assert error.__suppress_context__, "the log must not show pydantic's error, which holds the input"


def test_many_faults_make_a_short_answer() -> None:
    with pytest.raises(InvalidParams) as caught:
        METHODS["session.set"].validate({"microcosms": [{}] * 10_000})
    assert len(caught.value.errors) == 20


def test_methods_say_what_can_go_wrong() -> None:
    for method in METHODS.values():
        types = {error.type for error in method.all_errors}
        assert {error.type for error in COMMON_ERRORS} <= types
        assert ("storage_failed" in types) == method.mutates
        assert all(issubclass(error, NoggError) for error in method.errors)
        assert method.summary.endswith(".")
    assert "conflict" in {error.type for error in METHODS["reference.update"].all_errors}
    assert "not_found" not in {error.type for error in METHODS["reference.get"].all_errors}
    assert {
        name for name, method in METHODS.items() if not method.mutates and name.startswith("reference.")
    } == {
        "reference.get",
        "reference.list",
        "reference.conflicts",
    }


def test_results_and_notifications_can_be_checked() -> None:
    reference = {"microcosmID": ID, "lastAccessed": 1, "password": None, "view": None, "revision": 0}
    METHODS["reference.get"].check_result(reference)
    METHODS["reference.get"].check_result(False)
    with pytest.raises(ValueError):
        METHODS["reference.get"].check_result({**reference, "revision": "0"})
    changed = {
        "subscription": "s",
        "session": "default",
        "from": 1,
        "revision": 2,
        "set": {ID: reference},
        "removed": [],
        "origin": {"device": DEVICE},
    }
    NOTIFICATIONS["session.changed"].check(changed)
    with pytest.raises(ValueError):
        NOTIFICATIONS["session.changed"].check({**changed, "from": None})
