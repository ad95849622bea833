"""The values that apps get: read from the wire or refused, and silent about passwords."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg.client.state import Identity, Reference, entry
from nogg.errors import ProtocolError

WIRE = {"microcosmID": "a.b", "lastAccessed": 7, "password": "secret", "view": "v", "revision": 3}


def test_a_reference_is_read_under_python_s_names() -> None:
    assert Reference.from_wire(WIRE) == Reference("a.b", 7, "secret", "v", 3)
    assert Reference.from_wire({**WIRE, "something": "new"}) == Reference("a.b", 7, "secret", "v", 3)


def test_a_password_never_shows_in_repr() -> None:
    assert "secret" not in repr(Reference.from_wire(WIRE))


def test_a_reference_goes_back_as_an_entry_without_its_revision() -> None:
    assert entry(Reference.from_wire(WIRE)) == {key: WIRE[key] for key in WIRE if key != "revision"}
    assert entry(WIRE) == entry(Reference.from_wire(WIRE))


def test_an_identity_is_read() -> None:
    assert Identity.from_wire({"identityID": "i", "username": None, "aliases": ["j"]}) == Identity(
        "i", None, ("j",)
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys((*WIRE, "identityID", "username", "aliases"), json_values),
)


@given(json_values | fields | fields.map(lambda changes: {**WIRE, **changes}))
def test_anything_is_read_or_a_protocol_error(value: object) -> None:
    for read in (Reference.from_wire, Identity.from_wire):
        try:
            read(value)
        except ProtocolError:
            continue


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Reference("a", 1).view = "x"  # type: ignore[misc]  # that is the point
