from typing import Any

from noggd.domain import revisions
from noggd.domain.changes import ABSENT, Change, Origin
from noggd.domain.reference import Reference
from noggd.domain.revisions import Revisions, as_record

HERE = Origin("dA")


def change(revision: int, explicit: str = "", touched: str = "", removed: str = "", **more: Any) -> Change:
    names = [*explicit.split(), *touched.split()]
    references = {name: Reference(name, 0, None, None) for name in names}
    return Change(
        "default", revision - 1, revision, more.get("active", ABSENT), references, tuple(removed.split()), HERE,
        frozenset(explicit.split()),
    )  # fmt: skip


def test_explicit_changes_and_touches_are_counted_apart() -> None:
    counted = Revisions()
    counted.record(change(1, explicit="m.1"))
    counted.record(change(2, touched="m.1"))
    assert counted.of("m.1") == (1, 2)
    assert (counted.now, counted.explicit) == (2, 1)
    counted.record(change(3, active=None))
    assert (counted.explicit, counted.active) == (3, 3)


def test_since_names_the_latest_only() -> None:
    counted = Revisions()
    for made in (
        change(1, "m.1"),
        change(2, "m.2"),
        change(3, removed="m.1"),
        change(4, "m.1"),
        change(5, removed="m.2"),
    ):
        counted.record(made)
    assert counted.since(0) == (["m.1"], ["m.2"], False)
    assert counted.since(4) == ([], ["m.2"], False)
    assert counted.since(5) == ([], [], False)
    assert counted.since(6) is None


def test_old_removals_are_let_go_and_an_older_since_is_fresh(monkeypatch: Any) -> None:
    monkeypatch.setattr(revisions, "KEPT_REMOVALS", 3)
    counted = Revisions()
    for number in range(1, 9):
        counted.record(change(number, removed=f"m.{number}"))
    assert counted.since(4) is None
    assert counted.since(5) == ([], ["m.6", "m.7", "m.8"], False)


def test_dumped_and_replayed_revisions_are_the_same() -> None:
    changes = [
        change(1, "m.1 m.2"),
        change(2, touched="m.1"),
        change(3, removed="m.2"),
        change(4, active="m.1"),
    ]
    counted, replayed, loaded = Revisions(), Revisions(), Revisions()
    for made in changes:
        counted.record(made)
        replayed.apply(as_record(made))
    loaded.load(counted.dump())
    assert counted.dump() == replayed.dump() == loaded.dump()
