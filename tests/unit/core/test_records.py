import hypothesis.strategies as st
import pytest
from hypothesis import given

from nogg.errors import ProtocolError
from noggd.core.records import Record, decode

names = st.text(min_size=1, max_size=12)


@given(
    st.integers(0, 2**53),
    st.lists(st.tuples(names, st.binary(max_size=40)), max_size=4),
    st.dictionaries(names, st.dictionaries(names, st.integers(0, 2**53), max_size=3), max_size=3),
)
def test_a_record_reads_as_it_was_written(
    clock: int, updates: list[tuple[str, bytes]], touches: dict[str, dict[str, int]]
) -> None:
    record = Record(clock, updates, {"default": [[1, ["m.1"], [], [], False]]}, touches)
    assert decode(record.encode()) == record


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)


def test_a_torn_record_is_refused() -> None:
    whole = Record(5, [("person", b"abc")]).encode()
    for length in range(len(whole)):
        with pytest.raises(ProtocolError):
            decode(whole[:length])
    with pytest.raises(ProtocolError):
        decode(whole + b"x")


def test_an_empty_record_says_so() -> None:
    assert Record(5).empty
    assert not Record(5, touches={"default": {"m.1": 5}}).empty
