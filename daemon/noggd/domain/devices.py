"""What a device is: an Ed25519 key, the id that is made from it, and the one certificate that stands for it.

The certificate is a fixed template around the key, so a key has exactly one: its subject is the device id,
it can sign no other certificate, and it never expires in practice. That makes it safe to hand to TLS as a
trust anchor of its own. Checking one is building it again and comparing bytes; nothing here parses X.509.
Not here: where the key is kept (`noggd.storage.keys`) and which devices are trusted
(`noggd.domain.membership`).

cryptography is imported when something is signed or checked for the first time: it costs 8 MB and 25 ms, and a
daemon whose group does not change never needs it (TLS is OpenSSL's own).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from nogg.errors import ProtocolError
from nogg.ids import device_id

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
NAME_MAX: Final = 64
"""Characters in a device's name."""

_SPKI_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the key in the SubjectPublicKeyInfo of every Ed25519 key (RFC 8410)."""


class Certificate(NamedTuple):
    """A certificate that passed the check: its bytes, the key in it, and the id of its device."""

    der: bytes
    key: bytes
    device: str


class Signer(Protocol):
    """A device that can sign: what statements and pairing need of the own key, wherever it is kept."""

    @property
    def certificate(self) -> Certificate:
        """The device's own certificate."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature over `message`."""


def key_info(key: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a raw Ed25519 public key."""
    if len(key) != KEY_BYTES:
        raise ProtocolError(f"a device key has {KEY_BYTES} bytes, not {len(key)}")
    return _SPKI_PREFIX + key


def key_digest(key: bytes) -> bytes:
    """Return the SHA-256 that a device's id is made from."""
    return hashlib.sha256(key_info(key)).digest()


def device_of_key(key: bytes) -> str:
    """Return the id of the device that has this raw public key."""
    return device_id(key_digest(key))


def signed_by(key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether `signature` is the one of `key` over `message`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def make_certificate(key: bytes, sign: Callable[[bytes], bytes]) -> Certificate:
    """Make the certificate of a raw public key; `sign` signs with the private key that belongs to it."""
    body = _certificate_body(key)
    signature = sign(body)
    return Certificate(_der(_SEQUENCE, body, _ED25519, _bits(signature)), key, device_of_key(key))


def check_certificate(der: bytes, *, signed: bool = False) -> Certificate:
    """Return the certificate that these bytes are, or raise ProtocolError if they are not exactly as ours.

    Signed by the key in it, CN = the id of that key, CA:FALSE, Ed25519: all of it follows from the bytes
    being those that `make_certificate` makes. `signed`: its signature is known to hold and not checked again.
    """
    start = der.find(_SPKI_PREFIX)
    if start < 0:
        raise ProtocolError("not the certificate of a device: no Ed25519 key in it")
    key = der[start + len(_SPKI_PREFIX) : start + len(_SPKI_PREFIX) + KEY_BYTES]
    signature = der[-SIGNATURE_BYTES:]
    rebuilt = make_certificate(key, lambda _body: signature)
    if rebuilt.der != der:
        raise ProtocolError("not the certificate of a device: it departs from the profile")
    if not signed and not signed_by(key, signature, _certificate_body(key)):
        raise ProtocolError("not the certificate of a device: its signature does not hold")
    return rebuilt


def is_device_name(value: object) -> bool:
    """Say whether `value` can name a device: 1 to 64 visible characters, none that could disguise it.

    Control, format (writing direction) and unassigned characters are refused; joiners inside emoji pass.
    """
    return (
        isinstance(value, str)
        and 0 < len(value) <= NAME_MAX
        and value == value.strip()
        and all(c == _JOINER or unicodedata.category(c) not in _INVISIBLE for c in value)
    )


def device_name(text: str, fallback: str = "device") -> str:
    """Return `text` (a host name, say) as a valid device name, or `fallback` if nothing is left."""
    kept = "".join(c for c in text if c == _JOINER or unicodedata.category(c) not in _INVISIBLE)
    name = kept.strip()[:NAME_MAX].strip()
    return name if is_device_name(name) else fallback


_JOINER: Final = "\u200d"
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})

# The template, in DER (X.690). Every length below is fixed, because every part is.

_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_OCTET_STRING: Final = 0x04
_UTF8_STRING: Final = 0x0C
_UTC_TIME: Final = 0x17
_LONG_TIME: Final = 0x18
_VERSION_FIELD: Final = 0xA0
_EXTENSIONS_FIELD: Final = 0xA3


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes(2 if size > 0xFF else 1, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _bits(content: bytes) -> bytes:
    return _der(_BIT_STRING, b"\0", content)


def _extension(oid: str, *value: bytes, critical: bool) -> bytes:
    flag = (bytes.fromhex("0101ff"),) if critical else ()
    return _der(_SEQUENCE, bytes.fromhex(oid), *flag, _der(_OCTET_STRING, *value))


_ED25519: Final = bytes.fromhex("300506032b6570")
_VALIDITY: Final = _der(  # from before any clock that was never set, to the end that RFC 5280 gives "no end"
    _SEQUENCE, _der(_UTC_TIME, b"000101000000Z"), _der(_LONG_TIME, b"99991231235959Z")
)
_EXTENSIONS: Final = _der(
    _EXTENSIONS_FIELD,
    _der(
        _SEQUENCE,
        _extension("0603551d13", _der(_SEQUENCE), critical=True),  # basicConstraints: not a CA
        _extension("0603551d0f", bytes.fromhex("03020780"), critical=True),  # keyUsage: digitalSignature
        _extension(  # extendedKeyUsage: serverAuth, clientAuth
            "0603551d25",
            _der(_SEQUENCE, bytes.fromhex("06082b06010505070301"), bytes.fromhex("06082b06010505070302")),
            critical=False,
        ),
    ),
)


def _certificate_body(key: bytes) -> bytes:
    """Return the part of the certificate that is signed; serial number and names follow from the key."""
    digest = key_digest(key)
    serial = bytes((0x40 | digest[0] & 0x3F,)) + digest[1:16]  # positive and always of one length
    common_name = _der(_SEQUENCE, bytes.fromhex("0603550403"), _der(_UTF8_STRING, device_id(digest).encode()))
    name = _der(_SEQUENCE, _der(_SET, common_name))
    return _der(
        _SEQUENCE,
        _der(_VERSION_FIELD, bytes.fromhex("020102")),
        _der(_INTEGER, serial),
        _ED25519,
        name,
        _VALIDITY,
        name,
        key_info(key),
        _EXTENSIONS,
    )
