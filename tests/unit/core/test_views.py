from noggd.core.views import EMPTY_VIEW, SessionView
from noggd.domain.changes import ABSENT, Change, Origin, Unset
from noggd.domain.reference import Reference


def change(
    revision: int, *references: Reference, removed: tuple[str, ...] = (), active: str | Unset | None = ABSENT
) -> Change:
    named = {reference.microcosm_id: reference for reference in references}
    return Change("default", revision - 1, revision, active, named, removed, Origin("dA"))


def reference(name: str, revision: int) -> Reference:
    return Reference(name, 1000, None, None, revision, revision)


def test_references_come_in_seed_order() -> None:
    view = SessionView("default")
    view.publish(
        change(1, reference("b.1", 1), reference("A.1", 1), reference("a.1", 1), reference("-.1", 1))
    )
    assert [each.microcosm_id for each in view.ordered()] == ["-.1", "a.1", "A.1", "b.1"]
    view.publish(change(2, removed=("a.1",)))
    assert [each.microcosm_id for each in view.ordered()] == ["-.1", "A.1", "b.1"]


def test_since_is_exact() -> None:
    view = SessionView("default")
    view.publish(change(1, reference("a.1", 1)))
    view.publish(change(2, reference("b.1", 2)))
    view.publish(change(3, removed=("a.1",)))
    view.publish(change(4, active="b.1"))
    assert view.since(2) == ([], ["a.1"], True)
    assert view.since(4) == ([], [], False)
    assert view.since(5) is None
    assert EMPTY_VIEW.since(0) == ([], [], False)


def test_a_touch_shows_at_once_and_only_forwards() -> None:
    view = SessionView("default")
    view.publish(change(1, reference("a.1", 1)))
    before = view.references["a.1"]
    assert view.touch("a.1", 2000)
    assert view.references["a.1"].last_accessed == 2000
    assert before.last_accessed == 1000, "what was answered does not change under its reader"
    view.touch("a.1", 1500)
    assert view.references["a.1"].last_accessed == 2000
    assert not view.touch("z.1", 2000)
