import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg.errors import InvalidParams
from noggd.domain.reference import Reference
from noggd.services.local_api import formats

A = "alpha.aaaaaaaaaaaaaaaa"
ENTRY = {"microcosmID": A, "lastAccessed": 5, "password": "p", "view": "v"}


def test_the_seeds_stored_text() -> None:
    text = json.dumps(
        {
            "json": {"active": A, "microcosms": [[A, {"microcosmID": A, "lastAccessed": 5, "view": None}]]},
            "meta": {"values": {"microcosms": ["map"]}},
        }
    )
    parsed = formats.parse(text)
    assert (parsed.active, parsed.entries) == (A, [{"microcosmID": A, "lastAccessed": 5}])


def test_the_later_apps_list() -> None:
    uuid = "0b9d1c4e-1111-4222-8333-444455556666"
    parsed = formats.parse([[uuid, {"uuid": uuid, "lastAccessed": 7, "password": "p"}]])
    assert parsed.entries == [{"microcosmID": uuid, "lastAccessed": 7, "password": "p"}]
    assert parsed.active is None


def test_a_wrapped_list_is_taken_too() -> None:
    assert formats.parse({"json": [[A, {"lastAccessed": 7}]]}).entries == [
        {"microcosmID": A, "lastAccessed": 7}
    ]


def test_our_own_form_comes_back() -> None:
    reference = Reference(A, 5, "p", "v", 9)
    document = formats.export("default", A, [reference], 1, secrets=True)
    assert formats.parse(document).entries == [ENTRY]
    assert formats.parse(formats.export("default", None, [reference], 1, secrets=False)).entries == [
        {"microcosmID": A, "lastAccessed": 5, "view": "v"}
    ]


@pytest.mark.parametrize(
    ("entry", "name", "reason"),
    [
        (5, None, "neither an object"),
        ([A], None, "neither an object"),
        ([A, 5], None, "neither an object"),
        ({}, None, "its id is not"),
        (["a..b", {}], "a..b", "its id is not"),
        (["x" * 300, {}], "x" * 300, "its id is not"),
        (["\ud800", {}], None, "its id is not"),
        ([5, {}], None, "its id is not"),
        ([A, {"microcosmID": "other.id"}], A, "another id"),
        ([A, {"lastAccessed": "now"}], A, "lastAccessed"),
        ([A, {"lastAccessed": -1}], A, "lastAccessed"),
        ([A, {"lastAccessed": 2**60}], A, "lastAccessed"),
        ([A, {"lastAccessed": True}], A, "lastAccessed"),
        ([A, {"lastAccessed": 1.5}], A, "lastAccessed"),
        ([A, {"password": 5}], A, "password"),
        ([A, {"password": "geheim" * 200}], A, "password"),
        ([A, {"password": "geheim\ud800"}], A, "password"),
        ([A, {"view": ["v"]}], A, "view"),
    ],
)
def test_bad_entries_are_named_and_cost_nothing(entry: object, name: str | None, reason: str) -> None:
    parsed = formats.parse({"microcosms": [entry, ENTRY]})
    assert parsed.entries == [ENTRY]
    assert [bad["id"] for bad in parsed.quarantined] == [name]
    assert reason in str(parsed.quarantined[0]["reason"])
    assert "geheim" not in str(parsed.quarantined[0]["reason"])


def test_empty_fields_are_no_fields_and_a_whole_float_is_a_time() -> None:
    entry = [A, {"lastAccessed": 5.0, "password": "", "view": None}]
    assert formats.parse([entry]).entries == [{"microcosmID": A, "lastAccessed": 5}]


def test_an_active_that_is_no_id_is_named() -> None:
    parsed = formats.parse({"active": "not valid!", "microcosms": []})
    assert parsed.active is None
    assert parsed.quarantined == [{"id": None, "reason": "active is not a microcosm's id"}]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "5",
        "NaN",
        '"text"',
        "[" * 100_000,
        {"microcosms": 5},
        {"json": 5},
        {"format": "other"},
        {"version": 2},
    ],
)
def test_what_is_no_document(document: object) -> None:
    with pytest.raises(InvalidParams) as error:
        formats.parse(document)
    assert error.value.errors[0]["path"] == "document"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.just(A) | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["json", "microcosms", "active", "microcosmID", "view", "x"]), inner
            )
        ),
        max_leaves=20,
    )
)
def test_anything_is_parsed_or_refused(document: object) -> None:
    try:
        parsed = formats.parse(document)
    except InvalidParams:
        return
    json.dumps(parsed.quarantined).encode()
    for entry in parsed.entries:
        assert set(entry) <= {"microcosmID", "lastAccessed", "password", "view"}
