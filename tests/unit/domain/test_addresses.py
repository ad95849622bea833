import pytest
from hypothesis import given
from hypothesis import strategies as st

from noggd.domain.addresses import MAX_ADDRESSES, Address, merge_addresses, parse_address, valid_addresses


@pytest.mark.parametrize(
    ("text", "address", "printed"),
    [
        ("192.168.1.7:7734", ("192.168.1.7", 7734), "192.168.1.7:7734"),
        ("laptop.local:80", ("laptop.local", 80), "laptop.local:80"),
        (" laptop ", ("laptop", 7734), "laptop:7734"),
        ("[::1]:9", ("::1", 9), "[::1]:9"),
        ("[fe80::1%eth0]:9", ("fe80::1%eth0", 9), "[fe80::1%eth0]:9"),
        ("[::1]", ("::1", 7734), "[::1]:7734"),
        ("::1", ("::1", 7734), "[::1]:7734"),
        ("example.com.:65535", ("example.com.", 65535), "example.com.:65535"),
    ],
)
def test_addresses_are_read_and_printed(text: str, address: tuple[str, int], printed: str) -> None:
    assert parse_address(text) == address
    assert str(parse_address(text)) == printed
    assert parse_address(printed, default_port=None) == address


@pytest.mark.parametrize(
    "text",
    [
        "", ":1", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a:\u0661", "a b:1", "[::1", "[::1]x", "[x]:1",
        "[1.2.3.4]x:1", "http://a:1", "a/b:1", "user@a:1", "a..b:1", "-a:1", "[fe80::1%]:1", "[fe80::1%a b]:1",
        "a" * 300, "é:1",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_a_port_can_be_demanded() -> None:
    with pytest.raises(ValueError, match="port"):
        parse_address("laptop", default_port=None)


@given(st.text(max_size=40))
def test_any_text_is_read_or_a_value_error(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("host", "loopback", "wildcard"),
    [
        ("127.0.0.1", True, False),
        ("127.9.9.9", True, False),
        ("::1", True, False),
        ("LocalHost", True, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("10.0.0.1", False, False),
        ("laptop", False, False),
    ],
)
def test_kinds_of_addresses(host: str, loopback: bool, wildcard: bool) -> None:
    assert Address(host, 1).loopback is loopback
    assert Address(host, 1).wildcard is wildcard


@given(st.none() | st.text() | st.lists(st.text() | st.integers() | st.just("a:1")))
def test_what_peers_say_is_filtered(values: object) -> None:
    for address in valid_addresses(values):
        assert str(parse_address(address)) == address


def test_what_peers_say_is_bounded_and_without_doubles() -> None:
    assert valid_addresses(["a:1", "b", "a:1", 7, "[::1]:2"]) == ("a:1", "[::1]:2")
    assert len(valid_addresses([f"a:{port}" for port in range(1, 100)])) == MAX_ADDRESSES


def test_lists_are_joined_the_first_preferred() -> None:
    assert merge_addresses(["a:1", "b:1"], ["b:1", "c:1"]) == ("a:1", "b:1", "c:1")
    assert len(merge_addresses([f"a:{n}" for n in range(1, 9)], ["b:1"])) == MAX_ADDRESSES
