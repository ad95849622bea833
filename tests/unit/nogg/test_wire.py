"""Framing: the same lines come out whatever the pieces, and no line can use more memory than its limit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg import wire
from nogg.errors import ProtocolError
from nogg.wire import LineDecoder, LineTooLong


def feed_all(decoder: LineDecoder, pieces: list[bytes]) -> list[bytes]:
    return [line for piece in pieces for line in decoder.feed(piece)]


def test_one_line_a_read() -> None:
    decoder = LineDecoder(100)
    assert decoder.feed(b'{"a":1}\n') == [b'{"a":1}']
    assert decoder.feed(b'{"b":2}\n{"c":3}\n{"d"') == [b'{"b":2}', b'{"c":3}']
    assert decoder.pending == 4
    assert decoder.feed(b":4}\n") == [b'{"d":4}']
    assert decoder.pending == 0


def test_crlf_and_blank_lines_are_accepted() -> None:
    assert LineDecoder(100).feed(b"\r\n\n  \na\r\n\t\nb\n") == [b"a", b"b"]


def test_a_line_of_exactly_the_limit_passes_whatever_its_ending() -> None:
    assert LineDecoder(5).feed(b"12345\n") == [b"12345"]
    assert LineDecoder(5).feed(b"12345\r\n") == [b"12345"]
    assert feed_all(LineDecoder(5), [b"12345", b"\r", b"\n"]) == [b"12345"]


@pytest.mark.parametrize("pieces", [[b"123456\n"], [b"123", b"456\n"], [b"1234567"], [b"12345\r\r\n"]])
def test_a_longer_one_does_not(pieces: list[bytes]) -> None:
    with pytest.raises(LineTooLong) as caught:
        feed_all(LineDecoder(5), pieces)
    assert caught.value.limit == 5


def test_lines_before_the_long_one_are_not_lost() -> None:
    with pytest.raises(LineTooLong) as caught:
        LineDecoder(5).feed(b"one\ntwo\n1234567\nthree\n")
    assert caught.value.lines == [b"one", b"two"]


def test_an_endless_line_is_noticed_before_it_ends() -> None:
    decoder = LineDecoder(1000)
    for pending in (400, 800):
        decoder.feed(b"x" * 400)
        assert decoder.pending == pending
    with pytest.raises(LineTooLong):
        decoder.feed(b"x" * 400)


@given(st.lists(st.binary(max_size=40), max_size=12), st.data())
def test_how_the_stream_is_cut_does_not_matter(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"\n".join(parts) + b"\n"
    expected = LineDecoder(1000).feed(stream)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert feed_all(LineDecoder(1000), pieces) == expected
    assert feed_all(LineDecoder(1000), [stream[i : i + 1] for i in range(len(stream))]) == expected


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_are_lines_or_a_line_too_long(pieces: list[bytes]) -> None:
    decoder = LineDecoder(20)
    try:
        lines = feed_all(decoder, pieces)
    except LineTooLong:
        return
    assert all(line.strip() and len(line) <= 20 and b"\n" not in line for line in lines)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abc\n\u2028"), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(json_values)
def test_what_is_encoded_is_one_line_and_comes_back(value: object) -> None:
    line = wire.encode(value)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert wire.decode(line) == value
    assert json.loads(line) == value


def test_lines_are_compact_and_in_utf8() -> None:
    assert wire.encode({"a": [1, "päss ☃"]}) == '{"a":[1,"päss ☃"]}\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}])
def test_what_json_cannot_say_is_not_sent(value: object) -> None:
    with pytest.raises(ValueError):
        wire.encode(value)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"nope",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b"[1e999]",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"a":1,}',
    ],
    ids=lambda line: repr(line[:12]),
)
def test_what_is_not_strict_json_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.decode(line)


@given(
    st.binary(max_size=60)
    | st.text(alphabet='{}[]",:0123456789eE+-.truefalsnNaI\\u', max_size=60).map(str.encode)
)
def test_any_line_is_parsed_or_a_protocol_error(line: bytes) -> None:
    try:
        wire.decode(line)
    except ProtocolError:
        return
    json.loads(line)
