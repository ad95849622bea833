"""The number, string and value encoding underneath Yjs (lib0), read strictly and without trust.

Here: variable-length integers, strings, and a scanner over Any values that builds nothing. Readers take the
bytes and a position and return the next position: a reader object would double the time.
Not here: what an update or a state vector is (:mod:`noggd.domain.update`).

Reading past the end shows as IndexError or :class:`Malformed`; callers catch `UNREADABLE`, which is both.
"""

from __future__ import annotations

from typing import Final

from nogg.errors import ProtocolError

MAX_DEPTH: Final = 6
"""How deep containers may be nested in a value. Ours are two deep; at 26,000 yrs overflows its stack."""
MAX_SAFE_INTEGER: Final = (1 << 53) - 1
"""The largest number that every Yjs implementation reads back as it was written."""

_MAX_SHIFT: Final = 49  # eight bytes carry 56 bits; everything that Yjs counts fits in 53

_INTEGER: Final = 125
_FLOAT32: Final = 124
_FLOAT64: Final = 123
_STRING: Final = 119
_OBJECT: Final = 118
_ARRAY: Final = 117
_BYTES: Final = 116
_CONTAINERS: Final = frozenset({_ARRAY, _OBJECT})
_SINGLE: Final = frozenset({120, 121, 126, 127})  # true, false, null, undefined: the tag is all


class Malformed(ProtocolError):
    """Bytes that no honest encoder writes: a length beyond the end, an unknown tag, an overlong number."""


UNREADABLE: Final = (Malformed, IndexError)
"""What the readers of this module raise on bad bytes."""


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """Read an unsigned integer of at most 53 bits in its shortest form; return it and the next position."""
    byte = data[pos]
    pos += 1
    if byte < 0x80:
        return byte, pos
    return varint_tail(data, pos, byte)


def varint_tail(data: bytes, pos: int, first: int) -> tuple[int, int]:
    """Read the rest of an integer whose `first` byte announced more. Hot loops read that byte themselves."""
    value = first & 0x7F
    shift = 7
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > _MAX_SHIFT:
            raise Malformed("integer too long")
    if not byte:
        raise Malformed("integer not in its shortest form")
    if value > MAX_SAFE_INTEGER:
        raise Malformed("integer beyond 53 bits")
    return value, pos


def text(data: bytes, pos: int) -> int:
    """Check a length-prefixed UTF-8 string; return the position behind it."""
    length = data[pos]
    pos += 1
    if length >= 0x80:
        length, pos = varint_tail(data, pos, length)
    end = pos + length
    if end > len(data):
        raise Malformed("string longer than the message")
    utf8(data[pos:end])
    return end


def utf8(raw: bytes) -> str:
    """Decode strictly: surrogates and overlong forms are malformed, as for every other implementation."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed("string is not UTF-8") from None


def value(data: bytes, pos: int, depth: int = 0) -> int:
    """Check one Any value without building it; return the position behind it.

    BigInt is refused: yrs may write it back as a float, and then two replicas read different numbers.
    """
    tag = data[pos]
    pos += 1
    if tag == _FLOAT64:
        pos += 8
    elif tag == _STRING:
        return text(data, pos)
    elif tag in _CONTAINERS:
        return _container(data, pos, depth + 1, keyed=tag == _OBJECT)
    elif tag == _FLOAT32:
        pos += 4
    elif tag == _INTEGER:
        return _signed(data, pos)
    elif tag == _BYTES:
        length, pos = varint(data, pos)
        pos += length
    elif tag not in _SINGLE:
        raise Malformed("unknown kind of value")
    if pos > len(data):
        raise Malformed("value longer than the message")
    return pos


def _container(data: bytes, pos: int, depth: int, *, keyed: bool) -> int:
    """Check the elements of an array or an object."""
    if depth > MAX_DEPTH:
        raise Malformed("value nested too deeply")
    count, pos = varint(data, pos)
    if count > len(data) - pos:
        raise Malformed("more elements than bytes")
    for _ in range(count):
        if keyed:
            pos = text(data, pos)
        if data[pos] == _FLOAT64:  # most elements are stamps; one past the end shows at the next read
            pos += 9
        else:
            pos = value(data, pos, depth)
    if pos > len(data):
        raise Malformed("value longer than the message")
    return pos


def _signed(data: bytes, pos: int) -> int:
    """Check a signed integer: six bits and the sign in the first byte, then seven a byte; at most 53 bits."""
    byte = data[pos]
    pos += 1
    number = byte & 0x3F
    shift = 6
    while byte >= 0x80:
        if shift > _MAX_SHIFT:
            raise Malformed("integer too long")
        byte = data[pos]
        pos += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte:
            raise Malformed("integer not in its shortest form")
    if number > MAX_SAFE_INTEGER:
        raise Malformed("integer beyond 53 bits")
    return pos


def encode_varint(number: int) -> bytes:
    """Encode an unsigned integer in its shortest form."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
