import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nogg.errors import ProtocolError
from nogg.ids import device_id
from noggd.domain.codes import (
    CODE_BYTES,
    NUMBER_MAX,
    TICKET_PREFIX,
    Code,
    Ticket,
    is_ticket,
    make_code,
    read_code,
    read_ticket,
)
from noggd.domain.words import PREFIX, WORDS

DEVICE = device_id(bytes(range(32)))
codes = st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES).map(make_code)


def test_the_word_list_is_as_promised() -> None:
    assert len(WORDS) == 2048 == len(set(WORDS)) == len({word[:PREFIX] for word in WORDS})
    assert all(word.isascii() and word.islower() and 3 <= len(word) <= 8 for word in WORDS)


def test_a_code_is_a_number_and_three_words() -> None:
    assert make_code(bytes(8)).text == "1-abandon-abandon-abandon"
    assert Code(17, (0, 1, 2047)).text == "17-abandon-ability-zoo"
    assert Code(17, (0, 1, 2047)).password == b"abandon-ability-zoo"


@given(codes)
def test_codes_survive_being_typed(code: Code) -> None:
    assert 1 <= code.number <= NUMBER_MAX
    assert read_code(code.text) == code
    assert read_code(f"  {code.text.upper().replace('-', '  ')} ") == code
    number, *words = code.text.split("-")
    assert read_code("-".join([number, *(word[:PREFIX] for word in words)])) == code
    assert read_code("-".join([number, *(word + "s" for word in words if len(word) >= PREFIX), *(
        word for word in words if len(word) < PREFIX
    )])).number == code.number  # fmt: skip


def test_every_bit_of_the_secret_counts() -> None:
    bits = {make_code((1 << bit).to_bytes(5, "big") + bytes(3)).words for bit in range(33)}
    assert len(bits) == 33


@pytest.mark.parametrize(
    "text",
    ["", "17", "apple-river-stone", "17-apple-river", "17-apple-river-stone-x", "0-apple-river-stone",
     "1000-apple-river-stone", "x-apple-river-stone", "17-apple-river-qqqq", "17-app-river-stone",
     "\u0661-apple-river-stone"],
)  # fmt: skip
def test_what_is_no_code(text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_code(text)
    assert "river-stone" not in str(caught.value).removesuffix("like 17-apple-river-stone")


def test_a_wrong_word_is_named_by_its_place_only() -> None:
    with pytest.raises(ProtocolError, match="word 2") as caught:
        read_code("17-apple-qqqq-stone")
    assert "apple" not in str(caught.value)
    assert "qqqq" not in str(caught.value)


def test_words_do_not_reach_logs() -> None:
    assert "abandon" not in repr(make_code(bytes(8)))


def test_a_code_needs_eight_bytes() -> None:
    with pytest.raises(ValueError):
        make_code(bytes(7))


addresses = st.lists(st.sampled_from(["127.0.0.1:7734", "[::1]:1", "laptop.local:65535"]), max_size=8).map(
    tuple
)


@given(codes, addresses, st.integers(0, 2**40 - 1))
def test_tickets_survive_being_pasted(code: Code, where: tuple[str, ...], expires_at: int) -> None:
    ticket = Ticket(code, DEVICE, expires_at, where)
    text = ticket.text
    assert is_ticket(text)
    assert read_ticket(text) == ticket
    assert read_ticket(f" {text[:20]}\n{text[20:].lower()} ") == ticket


@given(codes, st.integers(0, 60), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_mistyped_ticket_is_refused(code: Code, place: int, letter: str) -> None:
    text = Ticket(code, DEVICE, 5, ("127.0.0.1:1",)).text
    place += len(TICKET_PREFIX)
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        with pytest.raises(ProtocolError):
            read_ticket(changed)
    with pytest.raises(ProtocolError):
        read_ticket(text[:place])


@given(st.text(max_size=200) | st.binary(max_size=120).map(lambda data: base64.b32encode(data).decode()))
def test_junk_is_no_ticket(junk: str) -> None:
    for text in (junk, TICKET_PREFIX + junk):
        with pytest.raises(ProtocolError):
            read_ticket(text)


def test_a_ticket_with_bad_contents_is_refused_even_if_its_check_holds() -> None:
    good = Ticket(Code(5, (1, 2, 3)), DEVICE, 5, ())
    for bad in (
        Ticket(Code(0, (1, 2, 3)), DEVICE, 5, ()),
        Ticket(good.code, DEVICE, 5, ("no port",)),
        Ticket(good.code, DEVICE, 5, ("a:1",) * 9),
        Ticket(good.code, DEVICE, 5, ("",)),
    ):
        with pytest.raises(ProtocolError):
            read_ticket(bad.text)
    assert read_ticket(good.text) == good


def test_a_huge_ticket_is_refused() -> None:
    with pytest.raises(ProtocolError):
        read_ticket(TICKET_PREFIX + "A" * 1_000_000)
