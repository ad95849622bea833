"""The frames of a link between two devices: the Yjs sync messages behind a document's name, and a few of our own.

One frame is one binary WebSocket message. Numbers are lib0 varints, `buf` is a varint length and that many
bytes, `str` is a `buf` of UTF-8:

    str(document) 00 00 buf(state vector)        sync step 1: what I have; answer with what I lack
    str(document) 00 01 buf(update)              sync step 2: the answer
    str(document) 00 02 buf(update)              what has changed
    str(document) 40 buf(state vector)           stored: your changes up to here are on my disk
    str(document) 41 buf(state vector) buf(digest)    summary: what I have, deletions included
    str("")       42 buf(JSON)                   hello: about the sender
    str("")       43 buf(JSON)                   statements: all that the sender holds about the group
    str("")       44 buf(digest)                 statements stored: those with this digest are on my disk

Not here: what is said when (`noggd.domain.replica`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from nogg.errors import ProtocolError
from noggd.domain.lib0 import UNREADABLE, Malformed, encode_varint, utf8, varint

SYNC: Final = 0
STEP1: Final = 0
STEP2: Final = 1
UPDATE: Final = 2
STORED: Final = 64
SUMMARY: Final = 65
HELLO: Final = 66
STATEMENTS: Final = 67
STATEMENTS_STORED: Final = 68

MAX_FRAME: Final = 17 * 1024 * 1024
"""Bytes of a frame: an update of the largest size, and its name."""
MAX_VECTOR: Final = 64 * 1024
"""Bytes of a state vector."""
MAX_NAME: Final = 128
"""Bytes of a document's name."""
DIGEST_BYTES: Final = 32


class Step1(NamedTuple):
    """Sync step 1."""

    document: str
    vector: bytes


class Step2(NamedTuple):
    """Sync step 2."""

    document: str
    update: bytes


class Update(NamedTuple):
    """What has changed."""

    document: str
    update: bytes


class Stored(NamedTuple):
    """What is on the sender's disk."""

    document: str
    vector: bytes


class Summary(NamedTuple):
    """What the sender has; the digest covers deletions, which no state vector shows."""

    document: str
    vector: bytes
    digest: bytes


class Hello(NamedTuple):
    """About the sender, as JSON."""

    content: bytes


class Statements(NamedTuple):
    """All statements that the sender holds, as JSON."""

    content: bytes


class StatementsStored(NamedTuple):
    """The content of the statements frame with this SHA-256 is on the sender's disk."""

    digest: bytes


Frame = Step1 | Step2 | Update | Stored | Summary | Hello | Statements | StatementsStored


def read_frame(data: bytes) -> Frame:
    """Read one frame; raise ProtocolError for anything that `write_frame` does not write."""
    try:
        return _read(data)
    except UNREADABLE as error:
        raise ProtocolError("a frame cannot be read") from error


def _read(data: bytes) -> Frame:
    length = data[0]
    if length >= MAX_NAME or len(data) > MAX_FRAME:
        raise Malformed("a frame or its name is too long")
    document = utf8(data[1 : 1 + length])
    kind, pos = varint(data, 1 + length)
    if kind == SYNC:
        step = data[pos]
        content, end = _buffer(data, pos + 1, MAX_FRAME)
        frame: Frame
        if step == UPDATE:
            frame = Update(document, content)
        elif step == STEP2:
            frame = Step2(document, content)
        elif step == STEP1 and len(content) <= MAX_VECTOR:
            frame = Step1(document, content)
        else:
            raise Malformed("no such step")
        named = True
    else:
        frame, end, named = _read_own(data, pos, kind, document)
    if end != len(data) or bool(document) is not named:
        raise Malformed("a frame is longer than its content, or is not about what it should be")
    return frame


def _read_own(data: bytes, pos: int, kind: int, document: str) -> tuple[Frame, int, bool]:
    """Read a frame of our own types; say also where it ends and whether it is about a document."""
    if kind == STORED:
        content, end = _buffer(data, pos, MAX_VECTOR)
        return Stored(document, content), end, True
    if kind == SUMMARY:
        content, pos = _buffer(data, pos, MAX_VECTOR)
        digest, end = _digest(data, pos)
        return Summary(document, content, digest), end, True
    if kind == STATEMENTS_STORED:
        digest, end = _digest(data, pos)
        return StatementsStored(digest), end, False
    content, end = _buffer(data, pos, MAX_FRAME)
    if kind == HELLO:
        return Hello(content), end, False
    if kind == STATEMENTS:
        return Statements(content), end, False
    raise Malformed("no such kind of frame")


def _buffer(data: bytes, pos: int, limit: int) -> tuple[bytes, int]:
    length, pos = varint(data, pos)
    end = pos + length
    if length > limit or end > len(data):
        raise Malformed("content longer than allowed, or than the frame")
    return data[pos:end], end


def _digest(data: bytes, pos: int) -> tuple[bytes, int]:
    digest, end = _buffer(data, pos, DIGEST_BYTES)
    if len(digest) != DIGEST_BYTES:
        raise Malformed("a digest has 32 bytes")
    return digest, end


def write_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    match frame:
        case Update(document, update):
            return _sync(document, UPDATE, update)
        case Step2(document, update):
            return _sync(document, STEP2, update)
        case Step1(document, vector):
            return _sync(document, STEP1, vector)
        case Stored(document, vector):
            return b"".join((_text(document), _STORED, _sized(vector)))
        case Summary(document, vector, digest):
            return b"".join((_text(document), _SUMMARY, _sized(vector), _sized(digest)))
        case Hello(content):
            return _HELLO + _sized(content)
        case Statements(content):
            return _STATEMENTS + _sized(content)
        case StatementsStored(digest):
            return _STATEMENTS_STORED + _sized(digest)


_STORED: Final = encode_varint(STORED)
_SUMMARY: Final = encode_varint(SUMMARY)
_HELLO: Final = b"\0" + encode_varint(HELLO)
_STATEMENTS: Final = b"\0" + encode_varint(STATEMENTS)
_STATEMENTS_STORED: Final = b"\0" + encode_varint(STATEMENTS_STORED)


def _sync(document: str, step: int, content: bytes) -> bytes:
    return b"".join((_text(document), bytes((SYNC, step)), _sized(content)))


def _sized(content: bytes) -> bytes:
    return encode_varint(len(content)) + content


def _text(text: str) -> bytes:
    return _sized(text.encode("utf-8"))
