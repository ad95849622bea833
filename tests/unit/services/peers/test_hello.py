import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg.errors import ProtocolError
from noggd.domain.statements import MAX_STATEMENT
from noggd.services.peers.hello import Hello, Seen, encode_statements, read_hello, read_statements
from tests.unit.domain.group import Device, World

A, B = Device(1), Device(2)
HELLO = Hello(
    clock=1_700_000_000_000,
    name="laptop",
    instance="ab12",
    digest="00ff",
    run="cd34",
    client=77,
    seen=Seen("ef56", 78, {"person": 3, "session/default": 9}),
    addresses={A.id: ("10.0.0.1:7734", "[::1]:1"), B.id: ()},
)


def test_what_was_said_is_heard() -> None:
    assert read_hello(HELLO.encode()) == HELLO
    plain = Hello(clock=1, name="", instance="a", digest="b")
    assert read_hello(plain.encode()) == plain


def test_fields_of_later_versions_do_not_matter() -> None:
    fields = json.loads(HELLO.encode()) | {"colour": "blue", "protocol": 9, "schema": 4}
    heard = read_hello(json.dumps(fields).encode())
    assert (heard.protocol, heard.schema, heard.name) == (9, 4, "laptop")


def test_names_and_addresses_that_are_none_are_left_out() -> None:
    fields = json.loads(HELLO.encode()) | {
        "name": "\u202eevil",
        "addresses": {A.id: ["fine:1", "no port", 7], "nobody": ["a:1"], B.id: "x"},
    }
    heard = read_hello(json.dumps(fields).encode())
    assert heard.name == ""
    assert heard.addresses == {A.id: ("fine:1",), B.id: ()}


@pytest.mark.parametrize(
    "changed",
    [
        {"protocol": 0}, {"protocol": True}, {"protocol": "1"}, {"clock": -1}, {"clock": 1 << 60}, {"clock": 1.5},
        {"instance": ""}, {"instance": "x" * 65}, {"instance": None}, {"digest": 7}, {"addresses": []},
        {"addresses": {str(n): [] for n in range(600)}}, {"run": 7}, {"run": "x" * 65}, {"client": -1},
        {"seen": []}, {"seen": {}}, {"seen": {"run": "", "client": 1, "clocks": {}}},
        {"seen": {"run": "a", "client": 1, "clocks": {"person": -1}}},
        {"seen": {"run": "a", "client": 1, "clocks": {str(n): 1 for n in range(2000)}}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_hello(changed: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        read_hello(json.dumps(json.loads(HELLO.encode()) | changed).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(json.loads(HELLO.encode()))), json_values)
def test_whatever_a_field_holds_it_is_heard_or_a_protocol_error(name: str, value: object) -> None:
    fields = json.loads(HELLO.encode()) | {name: value}
    try:
        read_hello(json.dumps(fields).encode())
    except ProtocolError:
        return


@given(st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
def test_junk_is_a_protocol_error(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_hello(junk)
    try:
        found = read_statements(junk)
    except ProtocolError:
        return
    assert all(isinstance(raw, bytes) for raw in found)


@pytest.mark.parametrize("junk", [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000])
def test_deep_and_long_json_is_a_protocol_error(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_hello(junk)
    with pytest.raises(ProtocolError):
        read_statements(junk)


def test_statements_pass_as_they_were_signed() -> None:
    world = World(A)
    world.add(A, B)
    raws = [world.genesis.raw, *(s.raw for s in world.said)]
    assert read_statements(encode_statements(raws)) == raws


def test_statements_are_bounded() -> None:
    for bad in (["é"], ["x" * (MAX_STATEMENT + 1)], [1], ["x"] * 20_000, "x", None):
        with pytest.raises(ProtocolError):
            read_statements(json.dumps(bad, ensure_ascii=False).encode())
