"""State vectors and delete sets: one canonical form, and nothing odd is taken for one."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg.errors import ProtocolError
from noggd.domain.update import (
    MAX_CLIENTS,
    MAX_CLOCK,
    decode_state_vector,
    delete_set,
    encode_state_vector,
)
from tests.yjs_wire import Update, decode, history, number

CLIENTS = st.integers(0, 2**53 - 1)
VECTORS = st.dictionaries(CLIENTS, st.integers(1, MAX_CLOCK), max_size=20)


@given(VECTORS)
def test_a_state_vector_comes_back_whatever_the_order(vector: dict[int, int]) -> None:
    encoded = encode_state_vector(vector)
    assert decode_state_vector(encoded) == vector
    assert encode_state_vector(dict(sorted(vector.items()))) == encoded


def test_clients_descend_and_clock_zero_is_left_out() -> None:
    assert encode_state_vector({1: 2, 300: 4, 7: 0}) == b"\x02" + number(300) + b"\x04\x01\x02"
    assert decode_state_vector(b"\x01\x07\x00") == {}


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_yrs_means_by_one(seed: int) -> None:
    doc = history(seed)[0].doc
    vector = decode_state_vector(doc.get_state())
    assert doc.get_update(encode_state_vector(vector)) == doc.get_update(doc.get_state())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01\x05",
        b"\x00\x00",
        b"\x02\x05\x01\x05\x01",
        b"\x01\x05" + number(MAX_CLOCK + 1),
        b"\x01" + number(2**53) + b"\x01",
        number(MAX_CLIENTS + 1) + b"".join(number(client) + b"\x01" for client in range(MAX_CLIENTS + 1)),
        number(2**28),
        b"\xff" * 100,
        b"\x01\x85\x00\x01",
    ],
)
def test_odd_state_vectors_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_state_vector(data)


@pytest.mark.parametrize("client", [-1, 2**53])
def test_impossible_clients_are_not_written(client: int) -> None:
    with pytest.raises(ValueError, match="client id"):
        encode_state_vector({client: 1})


@given(st.binary(max_size=60))
def test_any_bytes_are_a_state_vector_or_a_protocol_error(data: bytes) -> None:
    try:
        vector = decode_state_vector(data)
    except ProtocolError:
        return
    assert decode_state_vector(encode_state_vector(vector)) == vector


RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), min_size=1, max_size=8)


@given(st.dictionaries(st.integers(0, 2**53 - 1), RANGES, max_size=4), st.randoms())
def test_a_delete_set_has_one_form_whatever_its_order_and_overlaps(
    ranges: dict[int, list[tuple[int, int]]], dice: random.Random
) -> None:
    straight = Update([], list(ranges.items()))
    shuffled = Update(
        [], [(client, dice.sample(found * 2, len(found) * 2)) for client, found in ranges.items()]
    )
    dice.shuffle(shuffled.deletes)
    assert delete_set(straight.encode()) == delete_set(shuffled.encode())

    expected = {
        client: {at for start, size in found for at in range(start, start + size)}
        for client, found in ranges.items()
    }
    assert _clocks(delete_set(straight.encode())) == expected


def _clocks(canonical: bytes) -> dict[int, set[int]]:
    deletes = decode(b"\x00" + canonical).deletes
    assert [client for client, _ in deletes] == sorted(client for client, _ in deletes)
    for _, found in deletes:
        assert all(one[0] + one[1] < two[0] for one, two in pairwise(found))
    return {
        client: {at for start, size in found for at in range(start, start + size)}
        for client, found in deletes
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_delete_set_reads_the_same_from_a_state_and_from_a_difference_to_itself(seed: int) -> None:
    doc = history(seed, steps=30)[0].doc
    assert delete_set(doc.get_update()) == delete_set(doc.get_update(doc.get_state())) != b"\x00"


@given(st.binary(max_size=60))
def test_any_bytes_have_a_delete_set_or_are_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        delete_set(data)
