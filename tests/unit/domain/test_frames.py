from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg.errors import ProtocolError
from noggd.domain import frames
from noggd.domain.frames import (
    Frame,
    Hello,
    Statements,
    StatementsStored,
    Step1,
    Step2,
    Stored,
    Summary,
    Update,
    read_frame,
    write_frame,
)

names = st.sampled_from(["person", "session/default", "session/" + "a" * 64])
content = st.binary(max_size=300)
digests = st.binary(min_size=32, max_size=32)
any_frame = st.one_of(
    st.builds(Step1, names, content),
    st.builds(Step2, names, content),
    st.builds(Update, names, content),
    st.builds(Stored, names, content),
    st.builds(Summary, names, content, digests),
    st.builds(Hello, content),
    st.builds(Statements, content),
    st.builds(StatementsStored, digests),
)


@given(any_frame)
def test_what_is_written_reads_back_the_same(frame: Frame) -> None:
    assert read_frame(write_frame(frame)) == frame


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (Step1("person", b"\0"), "06706572736f6e 00 00 01 00"),
        (Step2("person", b"\0\0"), "06706572736f6e 00 01 02 0000"),
        (Update("person", b"\0\0"), "06706572736f6e 00 02 02 0000"),
        (Stored("person", b"\0"), "06706572736f6e 40 01 00"),
        (Summary("person", b"\0", bytes(32)), "06706572736f6e 41 01 00 20" + "00" * 32),
        (Hello(b"{}"), "00 42 02 7b7d"),
        (Statements(b"[]"), "00 43 02 5b5d"),
        (StatementsStored(bytes(32)), "00 44 20" + "00" * 32),
    ],
)
def test_the_bytes_are_those_of_the_documentation(frame: Frame, data: str) -> None:
    assert write_frame(frame) == bytes.fromhex(data)
    assert read_frame(bytes.fromhex(data)) == frame


def test_the_sync_part_is_what_the_reference_implementation_writes() -> None:
    """pycrdt's own encoder, behind the name."""
    from pycrdt import Doc, create_sync_message, create_update_message

    doc: Doc[Any] = Doc()
    assert write_frame(Step1("person", doc.get_state())) == b"\x06person" + create_sync_message(doc)
    update = doc.get_update()
    assert write_frame(Update("person", update)) == b"\x06person" + create_update_message(update)


@given(st.binary(max_size=100))
def test_junk_is_read_or_a_protocol_error(junk: bytes) -> None:
    try:
        frame = read_frame(junk)
    except ProtocolError:
        return
    assert write_frame(frame) == junk


@given(any_frame, st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_frame_is_read_or_a_protocol_error(frame: Frame, position: int, byte: int) -> None:
    data = bytearray(write_frame(frame))
    data[position % len(data)] = byte
    for damaged in (bytes(data), bytes(data[: position % len(data)])):
        try:
            read = read_frame(damaged)
        except ProtocolError:
            continue
        assert write_frame(read) == damaged


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x06",
        b"\x06person",
        b"\x06person\x00",
        b"\x06person\x00\x03\x00",
        b"\x06person\x01\x00",
        b"\x06person\x00\x00\x01\x00\x00",
        b"\x06person\x42\x00",
        b"\x00\x00\x00\x01\x00",
        b"\x00\x40\x01\x00",
        b"\x01\xff\x00\x00\x01\x00",
        b"\x86\x00person\x00\x00\x01\x00",
        b"\x00\x44\x1f" + bytes(31),
        b"\x00\x44\x21" + bytes(33),
        b"\x06person\x00\x00" + b"\xff" * 12,
    ],
)
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_frame(data)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProtocolError):
        read_frame(write_frame(Step1("person", bytes(frames.MAX_VECTOR + 1))))
    with pytest.raises(ProtocolError):
        read_frame(write_frame(Step1("n" * frames.MAX_NAME, b"")))
    monkeypatch.setattr(frames, "MAX_FRAME", 100)
    with pytest.raises(ProtocolError):
        read_frame(write_frame(Update("person", bytes(100))))
