from noggd.domain.entries import PLACED, REGISTERED, REMOVED, RESTORED, Act, Field, Touch
from noggd.domain.fold import Row, fold


def row(
    device: str,
    act: Act | None = None,
    view: Field | None = None,
    password: Field | None = None,
    touch: Touch | None = None,
) -> Row:
    return Row(device, act, view, password, touch)


def test_nothing_folds_to_nothing() -> None:
    folded = fold([])
    assert not folded.alive
    assert not folded.restorable


def test_the_later_act_decides_existence() -> None:
    registered, removed = row("dA", Act(5, REGISTERED)), row("dB", Act(6, REMOVED, 6))
    assert not fold([registered, removed]).alive
    assert fold([row("dA", Act(7, REGISTERED)), removed]).alive


def test_of_equal_stamps_the_removal_wins() -> None:
    assert not fold([row("dA", Act(6, REGISTERED)), row("dB", Act(6, REMOVED, 6))]).alive


def test_fields_of_two_devices_end_in_one_reference() -> None:
    folded = fold(
        [
            row("dA", Act(5, REGISTERED), password=Field(5, "secret")),
            row("dB", Act(6, REGISTERED), view=Field(6, "canvas")),
        ]
    )
    assert folded.password is not None
    assert folded.password.field.value == "secret"
    assert folded.view is not None
    assert folded.view.field.value == "canvas"


def test_fields_older_than_the_removal_are_void_after_a_new_registration() -> None:
    folded = fold([row("dA", Act(9, REGISTERED, 7), password=Field(5, "old"))])
    assert folded.alive
    assert folded.password is None
    assert folded.dead == ("dA",)


def test_a_removed_reference_keeps_the_fields_of_its_last_life_only() -> None:
    folded = fold(
        [
            row("dA", Act(9, REMOVED, 9, 0, 4), password=Field(7, "last life")),
            row("dB", password=Field(3, "life before")),
        ]
    )
    assert folded.restorable
    assert folded.password is not None
    assert folded.password.field.value == "last life"
    assert folded.dead == ("dB",)


def test_a_password_that_its_winner_knew_is_replaced_and_dead() -> None:
    folded = fold(
        [
            row("dA", Act(5, REGISTERED), password=Field(5, "old")),
            row("dB", password=Field(8, "new", {"dA": 5})),
        ]
    )
    assert folded.rivals == ()
    assert folded.dead == ("dA",)


def test_a_concurrent_password_is_a_rival() -> None:
    folded = fold(
        [
            row("dA", Act(5, REGISTERED), password=Field(6, "one")),
            row("dB", password=Field(8, "two")),
            row("dC", password=Field(7, "two")),
        ]
    )
    assert folded.password is not None
    assert folded.password.field.value == "two"
    assert [rival.field.value for rival in folded.rivals] == ["one"]
    assert folded.dead == ()


def test_knowledge_is_handed_on() -> None:
    folded = fold(
        [
            row("dA", Act(5, REGISTERED), password=Field(6, "one")),
            row("dC", password=Field(9, "three", {"dA": 6, "dB": 7})),
        ]
    )
    assert folded.rivals == ()


def test_a_cleared_password_that_lost_is_no_rival() -> None:
    folded = fold(
        [
            row("dA", Act(5, REGISTERED), password=Field(6, None)),
            row("dB", password=Field(8, "two")),
        ]
    )
    assert folded.rivals == ()


def test_a_forget_outranks_a_restore_that_did_not_know_it() -> None:
    restored = row("dA", Act(9, RESTORED, 5), password=Field(9, "secret", None, 0))
    assert fold([restored]).alive
    folded = fold([restored, row("dB", Act(8, REMOVED, 5, 8))])
    assert not folded.alive
    assert not folded.restorable
    assert folded.dead == ("dA",)


def test_a_registration_survives_a_forget_of_the_life_before() -> None:
    folded = fold([row("dA", Act(7, REGISTERED), password=Field(7, "new")), row("dB", Act(9, REMOVED, 5, 9))])
    assert folded.alive
    assert folded.password is not None


def test_last_access_is_the_maximum() -> None:
    folded = fold(
        [
            row("dA", Act(5 << 10, REGISTERED), touch=Touch(7 << 10, 7)),
            row("dB", Act(6 << 10, REGISTERED)),
            row("dC", touch=Touch(9 << 10, 9)),
        ]
    )
    assert folded.last_accessed == 9


def test_a_placed_access_replaces_older_ones() -> None:
    rows = [
        row("dA", Act(5 << 10, REGISTERED), touch=Touch(7 << 10, 7)),
        row("dB", Act(8 << 10, PLACED), touch=Touch(8 << 10, 2, placed=True)),
    ]
    assert fold(rows).last_accessed == 2
    assert fold([*rows, row("dC", touch=Touch(9 << 10, 9))]).last_accessed == 9
