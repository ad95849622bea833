"""The messages of pairing as bytes, and the keys that both sides derive for them.

Messages are JSON objects; bytes in them are base64. What confirms, seals and signs is derived from the
exchange's key with a transcript of the run as salt, so it is bound to the window, to both devices' keys and
to both elements. Not here: who sends what when (`noggd.domain.pairing`). The ciphers are imported when a pairing
begins (see `noggd.domain.devices`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from nogg.errors import ProtocolError
from noggd.domain.codes import Code
from noggd.domain.devices import key_digest

MAX_MESSAGE: Final = 16 * 1024
"""Bytes of messages 1 to 3."""
MAX_WELCOME: Final = 4 * 1024 * 1024
"""Bytes of message 4, which carries the statements of the whole group."""
CONFIRMATION_BYTES: Final = 32

_LABEL: Final = b"nogg-pair-1"

REFUSALS: Final[Mapping[str, str]] = {
    "version": "the other device speaks another version of pairing",
    "number": "the other device shows another code; compare the number",
    "closed": "the code has expired, was used, or was cancelled",
    "busy": "too many devices are trying to pair at this moment",
    "code": "wrong code",
    "self": "a device cannot pair with itself",
    "removed": "this device was removed from that group",
    "failed": "the other device could not finish pairing",
}
"""What an inviter tells a joiner that it refuses, and what it means."""


class Refused(Exception):  # an answer of the protocol, not a fault
    """The run ends here; `reason` is a key of REFUSALS and may be told to the other side."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(REFUSALS[reason])

    @property
    def message(self) -> bytes:
        """What to send before closing."""
        return encode({"refused": self.reason})


class Keys(NamedTuple):
    """What both sides derive from a run: T names the run, K is the exchange's key."""

    transcript: bytes
    secret: bytes

    @classmethod
    def derive(
        cls, secret: bytes, code: Code, inviter: bytes, joiner: bytes, element_j: bytes, element_i: bytes
    ) -> Keys:
        """Bind the key to the window's number, both devices' keys and both elements."""
        number = code.number.to_bytes(4, "big")
        parts = (_LABEL, number, key_digest(inviter), key_digest(joiner), element_j, element_i)
        return cls(hashlib.sha256(b"".join(parts)).digest(), secret)

    @property
    def signed(self) -> bytes:
        """What the joiner signs to prove that it holds its key."""
        return _LABEL + b" signature" + self.transcript

    def _key(self, purpose: str) -> bytes:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = _LABEL + b" " + purpose.encode("ascii")
        return HKDF(SHA256(), 32, salt=self.transcript, info=info).derive(self.secret)

    def confirmation(self, side: str) -> bytes:
        """Return what only a side with the right password can send."""
        return hmac.digest(self._key(f"confirm {side}"), self.transcript, "sha256")

    def seal(self, side: str, fields: Mapping[str, object]) -> bytes:
        """Encrypt a side's message; each key seals one message, so the nonce is fixed."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        box = ChaCha20Poly1305(self._key(f"box {side}"))
        return box.encrypt(bytes(12), json.dumps(fields).encode("utf-8"), self.transcript)

    def open(self, side: str, sealed: bytes) -> dict[str, Any]:
        """Decrypt the other side's message."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        try:
            text = ChaCha20Poly1305(self._key(f"box {side}")).decrypt(bytes(12), sealed, self.transcript)
        except (InvalidTag, ValueError) as error:
            raise ProtocolError("a sealed message does not open") from error
        return decode(text, MAX_WELCOME)


def answer(message: bytes, limit: int) -> dict[str, Any]:
    """Decode a message of the inviter's; raise Refused where it refuses."""
    fields = decode(message, limit)
    reason = fields.get("refused")
    if reason is not None:
        raise Refused(reason if isinstance(reason, str) and reason in REFUSALS else "failed")
    return fields


def encode(fields: Mapping[str, object]) -> bytes:
    """Return a message."""
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def decode(message: bytes, limit: int) -> dict[str, Any]:
    """Read a message of at most `limit` bytes, or raise ProtocolError."""
    if len(message) > limit:
        raise ProtocolError(f"a message of pairing has at most {limit} bytes here")
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a message of pairing is a JSON object") from error
    if not isinstance(fields, dict):
        raise ProtocolError("a message of pairing is a JSON object")
    return fields


def as_text(data: bytes) -> str:
    """Return bytes as a field holds them."""
    return base64.b64encode(data).decode("ascii")


def as_bytes(value: object, size: int | None = None) -> bytes:
    """Read the bytes in a field, `size` of them where it is given, or raise ProtocolError."""
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("a message of pairing holds bytes as base64 text") from error
    if data is None or (size is not None and len(data) != size):
        raise ProtocolError("bytes in a message of pairing are missing or of the wrong number")
    return data
