"""Numbers, strings and values are read in exactly one form, and never beyond the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noggd.domain.lib0 import (
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    UNREADABLE,
    encode_varint,
    text,
    utf8,
    value,
    varint,
)


@given(st.integers(0, MAX_SAFE_INTEGER), st.binary(max_size=3))
def test_a_number_comes_back_and_what_follows_stays(number: int, rest: bytes) -> None:
    encoded = encode_varint(number)
    assert varint(encoded + rest, 0) == (number, len(encoded))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x00", b"\x81\x80\x00", encode_varint(2**53), b"\xff" * 20]
)
def test_odd_numbers_are_refused(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        varint(data, 0)


@given(st.text(max_size=300))
def test_a_string_is_read_to_its_end(string: str) -> None:
    raw = string.encode(errors="ignore")
    assert text(encode_varint(len(raw)) + raw + b"x", 0) == len(encode_varint(len(raw))) + len(raw)
    assert utf8(raw) == raw.decode()


@pytest.mark.parametrize(
    "data", [b"\x02a", b"\x01\xff", b"\x03\xed\xa0\x80", b"\x02\xc0\x80", b"", encode_varint(2**50)]
)
def test_odd_strings_are_refused(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        text(data, 0)


def nested(depth: int) -> bytes:
    return b"\x75\x01" * depth + b"\x7e"


def test_containers_may_be_nested_so_deep_and_no_deeper() -> None:
    assert value(nested(MAX_DEPTH), 0) == 2 * MAX_DEPTH + 1
    for depth in (MAX_DEPTH + 1, 50_000):
        with pytest.raises(UNREADABLE):
            value(nested(depth), 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7a" + bytes(8),
        b"\x00",
        b"\x73",
        b"\x80",
        b"\x7c" + bytes(3),
        b"\x7b" + bytes(7),
        b"\x75\x02\x7e",
        b"\x75\x01\x7b" + bytes(7),
        b"\x75\xff\xff\xff\x0f",
        b"\x76\x01\x7e",
        b"\x76\x01\x01",
        b"\x74\x03ab",
        b"\x7d",
        b"\x7d\x80",
        b"\x7d\x80\x00",
        b"\x7d\x80\x80\x80\x80\x80\x80\x80\x20",
        b"\x7d" + b"\xff" * 12,
    ],
)
def test_odd_values_are_refused(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        value(data, 0)


@pytest.mark.parametrize("last", [b"\x1f", b"\x01"])
def test_whole_numbers_of_53_bits_are_read(last: bytes) -> None:
    data = b"\x7d\xff\xff\xff\xff\xff\xff\xff" + last
    assert value(data, 0) == len(data)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_within_the_data_or_unreadable(data: bytes) -> None:
    try:
        end = value(data, 0)
    except UNREADABLE:
        return
    assert 0 < end <= len(data)
