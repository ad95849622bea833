"""What is done a short way because it is done for every change gives what the long way gives."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from noggd.domain.entries import REGISTERED, REMOVED, Act, Field, Touch
from noggd.domain.fold import Row, _usual, fold, fold_any
from noggd.domain.reference import Reference

STAMPS = st.integers(1, 12).map(lambda number: number << 10)
DEVICES = ["A", "B", "C", "A"]  # a device has two rows where an adopted entry stands beside its own
RARELY = st.integers(0, 11).map(lambda number: number == 7)


@st.composite
def acts(draw: st.DrawFn) -> Act:
    stamp = draw(STAMPS)
    gone, forgot, base = (draw(STAMPS) if draw(RARELY) else 0 for _ in range(3))
    kind = draw(st.sampled_from([REMOVED, 2, 3])) if draw(RARELY) else REGISTERED
    gone = stamp if kind == REMOVED else min(stamp, gone)
    return Act(stamp, kind, gone, forgot, min(stamp, base))


@st.composite
def fields(draw: st.DrawFn, values: list[str | None]) -> Field:
    seen = draw(st.dictionaries(st.sampled_from(DEVICES), STAMPS, max_size=2)) if draw(RARELY) else None
    forgot = draw(st.sampled_from([0, 1 << 10])) if draw(RARELY) else None
    return Field(draw(STAMPS), draw(st.sampled_from(values)), seen, forgot)


@st.composite
def touches(draw: st.DrawFn) -> Touch:
    stamp = draw(STAMPS)
    if draw(st.integers(0, 3)) == 2:
        return Touch(stamp, draw(st.integers(0, 12)), placed=True)
    return Touch(stamp, stamp >> 10)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    found = []
    for device in draw(st.lists(st.sampled_from(DEVICES), max_size=4)):
        act = draw(acts()) if draw(st.booleans()) else None
        view = draw(fields([None, "here", "there"])) if draw(st.booleans()) else None
        password = draw(fields([None, "one", "two"])) if draw(RARELY) else None
        touch = draw(touches()) if draw(st.booleans()) else None
        if act or view or password or touch:
            found.append(Row(device, act, view, password, touch))
    return found


def test_both_ways_are_met() -> None:
    """Of what is made here a good part goes the short way, and a good part does not."""
    met = [0, 0]

    @settings(max_examples=300, database=None)
    @given(rows())
    def count(found: list[Row]) -> None:
        met[_usual(found) is None] += 1

    count()
    assert min(met) > 50


@settings(max_examples=500)
@given(rows())
def test_the_usual_reference_folds_as_any_other(found: list[Row]) -> None:
    short, long = fold(found), fold_any(found)
    assert short._replace(seen={}) == long._replace(seen={})
    assert dict(short.seen) == dict(long.seen)


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.integers(0, 2**53 - 1), texts, texts, st.integers(0, 2**53 - 1))
def test_a_reference_is_written_as_a_json_encoder_would(
    accessed: int, password: str | None, view: str | None, revision: int
) -> None:
    reference = Reference("a-b.C_d", accessed, password, view, revision)
    assert json.loads(reference.json()) == reference.value()
    assert b"\n" not in reference.json()
