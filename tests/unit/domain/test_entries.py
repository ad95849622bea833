from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from noggd.domain.entries import (
    PLACED,
    REGISTERED,
    REMOVED,
    RESTORED,
    Act,
    Entry,
    Field,
    Flag,
    Touch,
    adopted_key,
    encode,
    parse,
    reference_of,
)
from noggd.domain.hlc import MAX_STAMP

ENTRIES = [
    ("r/m.1", Act(5, REGISTERED)),
    ("r/m.1", Act(5, REGISTERED, 3)),
    ("r/m.1", Act(5, REMOVED, 5, 0, 2)),
    ("r/m.1", Act(9, RESTORED, 5, 7)),
    ("r/m.1", Act(9, PLACED)),
    ("v/m.1", Field(5, "canvas")),
    ("v/m.1", Field(5, None)),
    ("p/m.1", Field(5, "secret", {"dA": 4})),
    ("p/m.1", Field(5, "secret", None, 0)),
    ("t/m.1", Touch(5 << 10, 5)),
    ("t/m.1", Touch(5 << 10, 3, placed=True)),
    ("a", Field(5, "m.1")),
    ("a", Field(5, None)),
    ("u", Field(5, "Ada")),
    ("n", Field(5, "laptop")),
    ("s/default", Flag(5, on=True)),
    ("x/dB/p/m.1", Field(5, "secret")),
]


@pytest.mark.parametrize(("key", "entry"), ENTRIES)
def test_what_is_encoded_is_parsed_again(key: str, entry: Entry) -> None:
    assert parse(key, encode(entry)) == entry
    assert parse(key, as_floats(encode(entry))) == entry, "pycrdt hands integers back as floats"


def as_floats(stored: Any) -> Any:
    if isinstance(stored, list):
        return [as_floats(each) for each in stored]
    if isinstance(stored, dict):
        return {key: as_floats(value) for key, value in stored.items()}
    return float(stored) if type(stored) is int else stored


def test_a_plain_registration_is_one_number() -> None:
    assert encode(Act(5, REGISTERED)) == 5


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("r/m.1", None),
        ("r/m.1", []),
        ("r/m.1", [5, 9]),
        ("r/m.1", [5, 0]),  # a removal that removes nothing
        ("r/m.1", [5, 1, 6]),  # knows a removal that is later than itself
        ("r/m.1", [5, 1, -1]),
        ("r/m.1", True),
        ("r/m.1", 0.5),
        ("r/m.1", float("nan")),
        ("r/m.1", MAX_STAMP + 1),
        ("r/no such id", 5),
        ("v/m.1", [5]),
        ("v/m.1", [5, ""]),
        ("v/m.1", [5, "v" * 256]),
        ("p/m.1", [5, "p" * 1025]),
        ("p/m.1", [5, "p", {"dA": "x"}]),
        ("p/m.1", [5, "p", {str(n): n + 1 for n in range(65)}]),
        ("t/m.1", [5, -1]),
        ("a", [5, "no such id"]),
        ("s/Not A Name", [5, 1]),
        ("s/default", [5, 2]),
        ("x/dB/x/dC/r/m.1", 5),
        ("z/unknown", 5),
    ],
)
def test_what_cannot_be_read_counts_as_absent(key: str, stored: object) -> None:
    assert parse(key, stored) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from(
        ["r/m.1", "v/m.1", "p/m.1", "t/m.1", "a", "u", "n", "s/default", "x/d/r/m.1", "", "x/", "/"]
    ),
    json_values,
)
def test_anything_is_parsed_or_absent(key: str, stored: object) -> None:
    entry = parse(key, stored)
    if entry is not None:
        assert parse(key, encode(entry)) == entry


def test_keys_tell_their_reference() -> None:
    assert reference_of("p/m.1") == "m.1"
    assert reference_of("x/dB/p/m.1") == "m.1"
    assert reference_of("a") is None
    assert reference_of("s/default") is None
    assert adopted_key("x/dB/p/m.1") == ("dB", "p/m.1")
    assert adopted_key("p/m.1") is None
