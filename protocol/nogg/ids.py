"""The names of things: microcosms, sessions, persons and devices.

Here: which texts are valid names, how names are ordered, how a device's name is made from its key and read
back from what a person typed. Pure functions of the standard library; randomness is an argument. Not here:
what the names stand for.
"""

from __future__ import annotations

import base64
import re

MICROCOSM_ID = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
MICROCOSM_ID_MAX = 255
SESSION_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
IDENTITY_ID = r"identity_[A-Za-z0-9_-]{36}"
#: random bytes that an identity id is made from: 27 bytes are exactly 36 letters of base64
IDENTITY_BYTES = 27

_microcosm = re.compile(MICROCOSM_ID).fullmatch
_seed_microcosm = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch
_session = re.compile(SESSION_NAME).fullmatch
_identity = re.compile(IDENTITY_ID).fullmatch


def is_microcosm_id(value: object) -> bool:
    """Say whether `value` is a MicrocosmID of any generation of the app (contract, section 2.1)."""
    return isinstance(value, str) and 0 < len(value) <= MICROCOSM_ID_MAX and _microcosm(value) is not None


def is_seed_microcosm_id(value: object) -> bool:
    """Say whether `value` passes the seed's stricter rule: one dot, 16 to 60 characters."""
    return isinstance(value, str) and 16 <= len(value) <= 60 and _seed_microcosm(value) is not None


def is_session_name(value: object) -> bool:
    """Say whether `value` names a session: 1 to 64 of `a-z0-9._-`, the first a letter or digit."""
    return isinstance(value, str) and _session(value) is not None


def is_identity_id(value: object) -> bool:
    """Say whether `value` is a person's id: `identity_` and 36 of `A-Za-z0-9_-`."""
    return isinstance(value, str) and _identity(value) is not None


def identity_id(random: bytes) -> str:
    """Make a person's id from `IDENTITY_BYTES` (27) random bytes."""
    if len(random) != IDENTITY_BYTES:
        raise ValueError(f"an identity id is made from {IDENTITY_BYTES} bytes, not {len(random)}")
    return "identity_" + base64.urlsafe_b64encode(random).decode("ascii")


_ALPHABETICAL = b"_-.0123456789abcdefghijklmnopqrstuvwxyz"
_PLACE = bytes.maketrans(_ALPHABETICAL, bytes(range(1, len(_ALPHABETICAL) + 1)))
_IS_CAPITAL = bytes(65 <= code <= 90 for code in range(256))


def seed_order(microcosm_id: str) -> bytes:
    """Return the sort key that gives lists the seed's order; needs a valid id.

    The seed sorts by `localeCompare`. Its en-US order for valid ids is: by the places of the small letters in
    `_-.0…9a…z`, then capitals last. As bytes the key is compared at once, a shorter text before a longer one that
    begins with it.
    """
    text = microcosm_id.encode("ascii")
    return text.lower().translate(_PLACE) + b"\0" + text.translate(_IS_CAPITAL)


# Device ids: 52 letters of base32 (RFC 4648, no padding) are the SHA-256 of the device's public key; 4 check
# letters follow; the 56 are printed as 8 groups of 7. The check is the remainder of a division by x^4 + 2x^3
# + 2x + 1 over GF(32) (field polynomial x^5 + x^2 + 1, a letter's value is its place in the alphabet). At
# this length it finds every mistake in up to three letters and every swap of neighbours; of anything worse
# it misses one in a million. The unit tests prove the former by counting.

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_LOOK_ALIKES = str.maketrans("018", "OIB")
_DIGEST_BYTES = 32
_DIGEST_LETTERS, _CHECK_LETTERS, _GROUP = 52, 4, 7
_ID_LETTERS = _DIGEST_LETTERS + _CHECK_LETTERS


def _double(value: int) -> int:
    """Multiply by 2 (that is, by x) in GF(32)."""
    value <<= 1
    return value ^ 0b100101 if value & 0b100000 else value


def _check(letters: str) -> str:
    a = b = c = d = 0  # the remainder, highest power first
    for letter in letters:
        top = a ^ _VALUE[letter]
        a, b, c, d = b ^ _double(top), c, d ^ _double(top), top
    return "".join(_ALPHABET[value] for value in (a, b, c, d))


def device_id(digest: bytes) -> str:
    """Return the id of the device whose SubjectPublicKeyInfo has this SHA-256.

    This printed form is the canonical one: it stands in the API, in the document and on the screen.
    """
    if len(digest) != _DIGEST_BYTES:
        raise ValueError(f"a device id is made from {_DIGEST_BYTES} bytes, not {len(digest)}")
    letters = base64.b32encode(digest).decode("ascii").rstrip("=")
    letters += _check(letters)
    return "-".join(letters[start : start + _GROUP] for start in range(0, _ID_LETTERS, _GROUP))


def parse_device_id(text: str) -> str:
    """Return the canonical id for what a person typed or pasted, or raise `ValueError` saying what is wrong.

    Case, spaces and dashes do not matter; 0, 1 and 8, which ids never hold, are read as O, I and B.
    """
    letters = re.sub(r"[\s-]+", "", text[:1000]).upper().translate(_LOOK_ALIKES)
    strange = next((letter for letter in letters if letter not in _VALUE), None)
    if strange is not None:
        raise ValueError(f"{strange!a} cannot stand in a device id, which has only A-Z and 2-7")
    if len(letters) != _ID_LETTERS:
        raise ValueError(f"a device id has {_ID_LETTERS} letters in 8 groups of 7; this has {len(letters)}")
    digest, check = letters[:_DIGEST_LETTERS], letters[_DIGEST_LETTERS:]
    if _check(digest) != check:
        raise ValueError(
            "this device id is mistyped: its check letters do not fit; compare it group by group"
        )
    canonical = device_id(_decode(digest))
    if (
        canonical.replace("-", "") != letters
    ):  # base32 ignores the last four bits: one id must have one spelling
        raise ValueError("this is not a device id: its last letters are not what any device would print")
    return canonical


def device_digest(device: str) -> bytes:
    """Return the SHA-256 of the public key that a device id stands for; raises as `parse_device_id` does."""
    return _decode(parse_device_id(device).replace("-", "")[:_DIGEST_LETTERS])


def _decode(letters: str) -> bytes:
    return base64.b32decode(letters + "====")
