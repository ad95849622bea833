"""Names: what is valid, how they are ordered, and that a mistyped device id is noticed."""

import hashlib
import itertools
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg import ids

VECTORS = Path(__file__).parents[2] / "vectors"
IDENTIFIERS: dict[str, list[dict[str, Any]]] = json.loads((VECTORS / "identifiers.json").read_text("utf-8"))


@pytest.mark.parametrize("case", IDENTIFIERS["microcosmID"], ids=lambda case: repr(case["value"])[:40])
def test_seed_rule_for_microcosm_ids_agrees_with_the_recorded_app(case: dict[str, Any]) -> None:
    assert ids.is_seed_microcosm_id(case["value"]) is case["valid"]


@pytest.mark.parametrize("case", IDENTIFIERS["microcosmID"], ids=lambda case: repr(case["value"])[:40])
def test_whatever_the_seed_takes_is_a_microcosm_id(case: dict[str, Any]) -> None:
    if case["valid"]:
        assert ids.is_microcosm_id(case["value"])


@pytest.mark.parametrize("case", IDENTIFIERS["identityID"], ids=lambda case: str(case["value"])[:20])
def test_identity_ids_agree_with_the_recorded_app(case: dict[str, Any]) -> None:
    assert ids.is_identity_id(case["value"]) is case["valid"]


@pytest.mark.parametrize(
    "good", ["a", "A-b_9", "a.b.c", "2f1c6b1e-64b4-4c61-8b2a-3d1d8f3b1c11", "x" * 255, "_", "-.-", "0.1.2.3"]
)
def test_ids_of_every_generation_of_the_app_are_valid(good: str) -> None:
    assert ids.is_microcosm_id(good)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a\n",
        "a.b\n",
        "é",
        "a/b",
        "x" * 256,
        "\u0661",
        None,
        7,
        True,
        ["a"],
        b"a",
    ],
)
def test_other_values_are_no_microcosm_ids(bad: object) -> None:
    assert not ids.is_microcosm_id(bad)
    assert not ids.is_seed_microcosm_id(bad)


@pytest.mark.parametrize("good", ["default", "a", "0", "work.2026_x-y", "a" * 64])
def test_session_names(good: str) -> None:
    assert ids.is_session_name(good)


@pytest.mark.parametrize("bad", ["", "A", ".a", "-a", "_a", "a" * 65, "a b", "a\n", "é", None, 1])
def test_other_values_are_no_session_names(bad: object) -> None:
    assert not ids.is_session_name(bad)


def test_seed_order_is_the_recorded_one() -> None:
    recorded = json.loads((VECTORS / "order.json").read_text("utf-8"))
    plain_order = sorted(recorded)
    assert plain_order != recorded, "or this proves nothing"
    assert sorted(plain_order, key=ids.seed_order) == recorded


@given(st.lists(st.from_regex(ids.MICROCOSM_ID, fullmatch=True), max_size=8))
def test_seed_order_is_the_contract_s_formula(some: list[str]) -> None:
    place = {letter: index for index, letter in enumerate("_-.0123456789abcdefghijklmnopqrstuvwxyz")}

    def formula(text: str) -> tuple[list[int], list[bool]]:
        return [place[letter] for letter in text.lower()], [letter.isupper() for letter in text]

    assert sorted(some, key=ids.seed_order) == sorted(some, key=formula)


def test_identity_ids_are_made_from_27_bytes() -> None:
    made = ids.identity_id(bytes(range(200, 227)))
    assert ids.is_identity_id(made)
    assert made != ids.identity_id(bytes(27))
    with pytest.raises(ValueError, match="27 bytes"):
        ids.identity_id(bytes(26))


# device ids

DIGEST = hashlib.sha256(b"a device's public key").digest()
DEVICE = ids.device_id(DIGEST)
ALPHABET = string.ascii_uppercase + "234567"


def plain(device: str) -> str:
    return device.replace("-", "")


def test_a_device_id_is_eight_groups_of_seven() -> None:
    groups = DEVICE.split("-")
    assert len(groups) == 8
    assert {len(group) for group in groups} == {7}
    assert set(plain(DEVICE)) <= set(ALPHABET)


def test_the_form_of_device_ids_never_changes() -> None:
    assert ids.device_id(bytes(32)) == "-".join(["AAAAAAA"] * 8)
    expected = "FVYRMQV-XE2YEIA-LCPSU7X-LBS6XEF-GD5RSA6-MJWYCEW-DRPEQ2J-CAQCTZL"
    assert ids.device_id(hashlib.sha256(b"x").digest()) == expected


@given(st.binary(min_size=32, max_size=32))
def test_a_device_id_names_exactly_one_key(digest: bytes) -> None:
    device = ids.device_id(digest)
    assert ids.device_digest(device) == digest
    assert ids.parse_device_id(device) == device


@pytest.mark.parametrize(
    "typed",
    [DEVICE.lower(), plain(DEVICE), DEVICE.replace("-", " "), f"  {DEVICE}\n", DEVICE.replace("-", " - ")],
)
def test_case_spaces_and_dashes_do_not_matter(typed: str) -> None:
    assert ids.parse_device_id(typed) == DEVICE


def test_look_alikes_are_read_as_the_letters_they_look_like() -> None:
    typed = DEVICE.replace("O", "0").replace("I", "1").replace("B", "8")
    assert typed != DEVICE
    assert ids.parse_device_id(typed) == DEVICE


def test_every_single_mistake_is_noticed() -> None:
    letters = plain(DEVICE)
    for place, wrong in itertools.product(range(56), ALPHABET):
        if letters[place] != wrong:
            with pytest.raises(ValueError, match=r"mistyped|not a device id"):
                ids.parse_device_id(letters[:place] + wrong + letters[place + 1 :])


def test_every_swap_of_neighbours_is_noticed() -> None:
    letters = plain(DEVICE)
    for place in range(55):
        swapped = letters[:place] + letters[place + 1] + letters[place] + letters[place + 2 :]
        if swapped != letters:
            with pytest.raises(ValueError, match="mistyped"):
                ids.parse_device_id(swapped)


def test_up_to_three_wrong_letters_can_never_pass_the_check() -> None:
    """The check is linear: it is enough that no three letters' contributions cancel out, whatever their size."""

    def contribution(place: int, value: int) -> tuple[int, ...]:
        letters = ["A"] * 52
        checks = [0, 0, 0, 0]
        if place < 52:
            letters[place] = ALPHABET[value]
        else:
            checks[place - 52] = value
        computed = [ALPHABET.index(letter) for letter in ids._check("".join(letters))]
        return tuple(a ^ b for a, b in zip(computed, checks, strict=True))

    single = [{contribution(place, value) for value in range(1, 32)} for place in range(56)]
    all_single = set().union(*single)
    assert (0, 0, 0, 0) not in all_single
    assert len(all_single) == 56 * 31, (
        "two different letters must not weigh the same, or two mistakes can cancel"
    )
    for first, second in itertools.combinations(range(56), 2):
        one = next(iter(single[first]))  # by linearity one value of the first letter stands for all
        for other in single[second]:
            assert (
                tuple(a ^ b for a, b in zip(one, other, strict=True))
                not in all_single - single[first] - single[second]
            )


def test_one_key_has_one_spelling() -> None:
    """Base32 ignores the last four bits of the 52nd letter: ids that use them are refused even with a fit check."""
    digest_letters = plain(DEVICE)[:51]
    for value, letter in enumerate(ALPHABET):
        letters = digest_letters + letter
        if value % 16 == 0:  # the one bit that belongs to the digest
            assert plain(ids.parse_device_id(letters + ids._check(letters))) == letters + ids._check(letters)
        else:
            with pytest.raises(ValueError, match="would print"):
                ids.parse_device_id(letters + ids._check(letters))


@given(st.text(max_size=120) | st.text(alphabet=ALPHABET + "018- ", min_size=50, max_size=70))
def test_any_text_is_a_device_id_or_a_value_error(text: str) -> None:
    try:
        device = ids.parse_device_id(text)
    except ValueError:
        return
    assert ids.device_id(ids.device_digest(device)) == device


def test_a_huge_text_is_refused_with_a_short_message() -> None:
    with pytest.raises(ValueError, match="56") as caught:
        ids.parse_device_id("A" * 10_000_000)
    assert len(str(caught.value)) < 200


def test_a_digest_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ids.device_id(bytes(31))
