import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg.errors import ProtocolError
from nogg.ids import identity_id
from noggd.domain.statements import (
    MAX_STATEMENT,
    Add,
    Genesis,
    Leave,
    Remove,
    Statement,
    make_add,
    make_genesis,
    make_remove,
    read_statement,
)
from tests.unit.domain.group import Device, World

A, B = Device(1), Device(2)


def one_of_each() -> list[Statement]:
    world = World(A)
    add = world.add(A, B, aliases=(identity_id(b"b" * 27),))
    return [world.genesis, add, world.remove(A, B, {add.id}), world.leave(B)]


def test_what_was_made_reads_back_the_same() -> None:
    kinds = [type(read_statement(s.raw)) for s in one_of_each()]
    assert kinds == [Genesis, Add, Remove, Leave]
    assert [read_statement(s.raw) for s in one_of_each()] == one_of_each()


def test_the_id_covers_everything_but_the_signature() -> None:
    genesis = make_genesis(A, "a", identity_id(b"g" * 27), bytes(16))
    assert genesis.by == A.id
    assert genesis.id == make_genesis(A, "a", identity_id(b"g" * 27), bytes(16)).id
    assert genesis.id != make_genesis(A, "b", identity_id(b"g" * 27), bytes(16)).id
    assert genesis.id != make_genesis(A, "a", identity_id(b"g" * 27), b"\1" * 16).id


@given(which=st.integers(0, 3), position=st.integers(0, 2000), byte=st.integers(0, 255))
def test_no_changed_byte_is_read(which: int, position: int, byte: int) -> None:
    raw = bytearray(one_of_each()[which].raw)
    position %= len(raw)
    if raw[position] == byte:
        return
    raw[position] = byte
    with pytest.raises(ProtocolError):
        read_statement(bytes(raw))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(which=st.integers(0, 3), field=st.integers(0, 20), value=json_values)
def test_whatever_stands_in_a_field_it_is_read_or_a_protocol_error(
    which: int, field: int, value: object
) -> None:
    fields = json.loads(one_of_each()[which].raw)
    name = sorted(fields)[field % len(fields)]
    if fields[name] == value:
        return
    fields[name] = value
    raw = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ProtocolError):
        read_statement(raw)


@given(st.binary(max_size=200))
def test_junk_is_a_protocol_error(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_statement(junk)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 10_000,
        b'{"a":' * 3_000,
        b"1" * 5_000,
        b'"' + b"a" * MAX_STATEMENT + b'"',
        b"{}",
        b"null",
        b'{"t":[]}',
        b'{"t":"other"}',
    ],
)
def test_hostile_json_is_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_statement(raw)


def test_spaces_unsorted_keys_and_padding_are_refused() -> None:
    fields = json.loads(one_of_each()[1].raw)
    with pytest.raises(ProtocolError, match="canonical"):
        read_statement(json.dumps(fields, sort_keys=True).encode())
    backwards = dict(sorted(fields.items(), reverse=True))
    with pytest.raises(ProtocolError, match="canonical"):
        read_statement(json.dumps(backwards, separators=(",", ":")).encode())
    fields["group"] += "="
    with pytest.raises(ProtocolError):
        read_statement(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())


def test_a_signature_for_something_else_is_refused() -> None:
    add = one_of_each()[1]
    other = World(A)
    moved = json.loads(add.raw) | {"group": other.add(A, B).id}
    with pytest.raises(ProtocolError, match="signature"):
        read_statement(json.dumps(moved, sort_keys=True, separators=(",", ":")).encode())


class Thief:
    """Signs with its own key what claims another's."""

    certificate = A.certificate

    def sign(self, message: bytes) -> bytes:
        return B.sign(message)


def test_nobody_signs_for_another() -> None:
    with pytest.raises(ProtocolError, match="signature"):
        make_remove(Thief(), "A" * 43, B.id, ())


def test_a_group_is_founded_by_who_signs() -> None:
    class Usurper:
        certificate = B.certificate._replace(der=A.certificate.der)

        def sign(self, message: bytes) -> bytes:
            return B.sign(message)

    with pytest.raises(ProtocolError, match="founded"):
        make_genesis(Usurper(), "b", identity_id(b"g" * 27), bytes(16))


@pytest.mark.parametrize("name", ["", "a\nb", "\u202ex", "\ud800", "x" * 65])
def test_names_that_deceive_are_refused(name: str) -> None:
    genesis = make_genesis(A, "a", identity_id(b"g" * 27), bytes(16))
    with pytest.raises(ProtocolError, match="name"):
        make_add(A, genesis.id, genesis.id, B.certificate, name, bytes(16))


def test_long_and_unsorted_lists_are_refused() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        make_remove(A, "A" * 43, B.id, [f"{'A' * 39}{n:03d}A" for n in range(257)])
    fields = json.loads(make_remove(A, "A" * 43, B.id, ["A" * 43, "B" * 42 + "A"]).raw)
    fields["keep"].reverse()
    with pytest.raises(ProtocolError, match="sorted"):
        read_statement(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
