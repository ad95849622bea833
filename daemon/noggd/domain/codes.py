"""The one-time secrets of pairing as people see them: a code to type, and a ticket to paste or scan.

A code is `NUMBER-word-word-word`. The number is public: it says which window is meant. The words are the
secret, 33 bits of it. A ticket is the same code with the inviter's device id and addresses around it. Not
here: how the secret is proved (`noggd.domain.pairing`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from nogg.errors import ProtocolError
from nogg.ids import device_digest, device_id
from noggd.domain.addresses import MAX_ADDRESSES, parse_address
from noggd.domain.words import PREFIX, WORDS

CODE_BYTES: Final = 8
"""Random bytes that a code is made from."""
NUMBER_MAX: Final = 999
TICKET_PREFIX: Final = "nogg1:"
MAX_TICKET: Final = 4096
"""Characters of a ticket."""

_WORD_COUNT: Final = 3
_WORD_BITS: Final = 11
_SECRET_BYTES: Final = 5
_CHECK_BYTES: Final = 4
_BY_PREFIX: Final = {word[:PREFIX]: place for place, word in enumerate(WORDS)}


@dataclass(frozen=True, slots=True)
class Code:
    """A public number and three places in the word list."""

    number: int
    words: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Code({self.number})"  # the words must not reach a log

    @property
    def text(self) -> str:
        """The form that is shown and typed."""
        return f"{self.number}-{'-'.join(WORDS[place] for place in self.words)}"

    @property
    def password(self) -> bytes:
        """The secret part, as both sides feed it to the key exchange."""
        return "-".join(WORDS[place] for place in self.words).encode("ascii")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A code, whose it is, where to find it, and when it ends (Unix seconds)."""

    code: Code
    device: str
    expires_at: int
    addresses: tuple[str, ...]

    @property
    def text(self) -> str:
        """The form that is pasted or drawn as a QR code."""
        content = b"".join(
            [
                device_digest(self.device),
                self.expires_at.to_bytes(5, "big"),
                self.code.number.to_bytes(2, "big"),
                _pack(self.code.words),
                *(bytes((len(address),)) + address.encode("ascii") for address in self.addresses),
            ]
        )
        return TICKET_PREFIX + base64.b32encode(content + _checksum(content)).decode("ascii").rstrip("=")


def make_code(random: bytes) -> Code:
    """Make a code from `CODE_BYTES` (8) random bytes."""
    if len(random) != CODE_BYTES:
        raise ValueError(f"a code is made from {CODE_BYTES} bytes, not {len(random)}")
    number = int.from_bytes(random[_SECRET_BYTES:], "big") % NUMBER_MAX + 1
    return Code(number, _unpack(random[:_SECRET_BYTES]))


def read_code(text: str) -> Code:
    """Read what a person typed: any case, hyphens or spaces, words known by their first four letters.

    Raises ProtocolError, which never repeats a word of the code.
    """
    parts = re.split(r"[\s-]+", text[:200].strip().lower())
    if len(parts) != 1 + _WORD_COUNT or not re.fullmatch(r"[0-9]{1,3}", parts[0]) or int(parts[0]) == 0:
        raise ProtocolError("a code is a number and three words, like 17-apple-river-stone")
    places = [_BY_PREFIX.get(word[:PREFIX], -1) for word in parts[1:]]
    if -1 in places:
        nth = places.index(-1) + 1
        raise ProtocolError(
            f"word {nth} of the code is not in the word list; compare it with the other screen"
        )
    return Code(int(parts[0]), tuple(places))


def is_ticket(text: str) -> bool:
    """Say whether `text` is meant as a ticket rather than a code."""
    return text.strip().lower().startswith(TICKET_PREFIX)


def read_ticket(text: str) -> Ticket:
    """Read a ticket; raise ProtocolError if it is not whole."""
    letters = re.sub(r"\s+", "", text[: MAX_TICKET + 1])[len(TICKET_PREFIX) :].upper()
    if not is_ticket(text) or len(text) > MAX_TICKET:
        raise ProtocolError("not a ticket")
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("the ticket is cut off or mistyped") from error
    content, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    fixed = 32 + 5 + 2 + _SECRET_BYTES
    if len(content) < fixed or _checksum(content) != check:
        raise ProtocolError("the ticket is cut off or mistyped")
    number = int.from_bytes(content[37:39], "big")
    if not 0 < number <= NUMBER_MAX:
        raise ProtocolError("the ticket is not one of ours")
    return Ticket(
        Code(number, _unpack(content[39:fixed])),
        device_id(content[:32]),
        int.from_bytes(content[32:37], "big"),
        _addresses(content[fixed:]),
    )


def _addresses(data: bytes) -> tuple[str, ...]:
    found: list[str] = []
    while data:
        text, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        try:
            found.append(str(parse_address(text.decode("ascii"), default_port=None)))
        except ValueError as error:
            raise ProtocolError("the ticket holds an address that nobody can dial") from error
    if len(found) > MAX_ADDRESSES:
        raise ProtocolError("the ticket holds too many addresses")
    return tuple(found)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(b"nogg-ticket-1" + content).digest()[:_CHECK_BYTES]


def _pack(words: tuple[int, ...]) -> bytes:
    value = 0
    for place in words:
        value = value << _WORD_BITS | place
    return value.to_bytes(_SECRET_BYTES, "big")


def _unpack(secret: bytes) -> tuple[int, ...]:
    value = int.from_bytes(secret, "big")
    return tuple(value >> _WORD_BITS * nth & (1 << _WORD_BITS) - 1 for nth in reversed(range(_WORD_COUNT)))
