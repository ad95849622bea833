"""The error tree, and its way across the wire and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg import errors
from nogg.errors import NoggError, ProtocolError, from_wire

#: the table of the contract, section 2
TABLE = {
    -32700: {"parse_error"},
    -32600: {"invalid_request"},
    -32601: {"method_not_found"},
    -32602: {"invalid_params"},
    -32603: {"internal_error"},
    1: {"unsupported_protocol"},
    2: {"forbidden"},
    3: {"conflict"},
    4: {"not_found"},
    5: {"limit_exceeded"},
    6: {"storage_failed"},
    7: {"shutting_down"},
    8: {"not_paired", "pairing_failed"},
    9: {"read_only"},
    10: {"starting"},
    11: {"timeout"},
}

SAMPLES: list[NoggError] = [
    errors.ParseError(),
    errors.InvalidRequest("a batch"),
    errors.MethodNotFound(hint="see rpc.discover"),
    errors.InvalidParams(errors=[{"path": "view", "message": "must not be empty"}]),
    errors.InternalError(),
    errors.UnsupportedProtocol(supported=[1]),
    errors.Forbidden(),
    errors.Conflict(revision=7, current={"view": "v"}),
    errors.NotFound("no such reference"),
    errors.LimitExceeded(limit="request_bytes", max=1 << 20),
    errors.StorageFailed(retryable=True),
    errors.ShuttingDown(),
    errors.NotPaired(),
    errors.PairingFailed("wrong code"),
    errors.ReadOnly(),
    errors.Starting(),
    errors.Timeout(synced=[{"device": "d", "at": 1}]),
]


def test_codes_and_types_are_those_of_the_contract() -> None:
    found: dict[int, set[str]] = {}
    for name, error in errors.WIRE_ERRORS.items():
        assert error.type == name
        found.setdefault(error.code, set()).add(name)
    assert found == TABLE
    assert {type(sample) for sample in SAMPLES} == set(errors.WIRE_ERRORS.values())


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: error.type)
def test_every_error_survives_the_wire(error: NoggError) -> None:
    wire = error.to_wire()
    again = from_wire(wire)
    assert type(again) is type(error)
    assert (again.code, again.type, again.message, again.hint, again.data) == (
        error.code,
        error.type,
        error.message,
        error.hint,
        error.data,
    )
    assert again.to_wire() == wire
    assert str(again) == error.message != ""


def test_the_wire_form_is_the_contract_s() -> None:
    assert errors.Conflict("changed", revision=3, hint="read it again").to_wire() == {
        "code": 3,
        "message": "changed",
        "data": {"type": "conflict", "hint": "read it again", "revision": 3, "current": None},
    }
    assert "synced" not in errors.Timeout().to_wire()["data"]  # type: ignore[operator]  # data is an object


def test_fields_can_be_read_as_attributes_where_programs_need_them() -> None:
    assert errors.Conflict(revision=7).revision == 7
    assert from_wire({"code": 3, "message": "m", "data": {"type": "conflict"}}).data == {}
    faults = [{"path": "view", "message": "must not be empty"}]
    assert errors.InvalidParams(errors=faults).errors == faults
    assert errors.InvalidParams(errors=faults).message == "view: must not be empty"


def test_an_error_of_a_newer_daemon_keeps_its_number_and_type() -> None:
    error = from_wire({"code": 99, "message": "new", "data": {"type": "quota", "hint": "pay", "left": 0}})
    assert type(error) is NoggError
    assert (error.code, error.type, error.hint, error.data) == (99, "quota", "pay", {"left": 0})
    assert NoggError.type == "error", "the class itself must not have changed"


def test_an_error_without_a_type_is_known_by_its_number() -> None:
    assert type(from_wire({"code": -32601, "message": "m"})) is errors.MethodNotFound
    assert type(from_wire({"code": -32000, "message": "m", "data": "text"})) is NoggError


@pytest.mark.parametrize(
    "obj", [None, [], "x", {}, {"code": "1", "message": ""}, {"code": True, "message": ""}, {"code": 1}]
)
def test_what_is_no_error_object_is_a_protocol_error(obj: object) -> None:
    with pytest.raises(ProtocolError):
        from_wire(obj)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
error_like = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from(list(TABLE)) | json_values,
        "message": st.text() | json_values,
        "data": st.fixed_dictionaries(
            {},
            optional={"type": st.sampled_from(list(errors.WIRE_ERRORS)) | json_values, "hint": json_values},
        )
        | json_values,
    },
)


@given(json_values | error_like)
def test_anything_is_an_error_or_a_protocol_error(obj: object) -> None:
    try:
        error = from_wire(obj)
    except ProtocolError:
        return
    again = from_wire(error.to_wire())
    assert (again.code, again.type, again.message, again.hint) == (
        error.code,
        error.type,
        error.message,
        error.hint,
    )


def test_client_side_errors_are_not_the_daemon_s() -> None:
    assert not {errors.NotRunning.type, errors.ConnectionLost.type} & set(errors.WIRE_ERRORS)
    hint = errors.NotRunning().hint
    assert hint is not None
    assert "nogg daemon start" in hint
    assert not issubclass(ProtocolError, NoggError)
