"""The device's key, as a file that only its user can read: made at first start, never shown, never copied.

`device.pem` holds the private key and the certificate, because TLS wants them in one file. Not here: what
the key means (`noggd.domain.devices`) and when it is replaced (`noggd.storage.trust`).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
from collections.abc import Container
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nogg.errors import ProtocolError
from noggd.domain.devices import KEY_BYTES, Certificate, check_certificate, make_certificate
from noggd.platform.files import write_private
from noggd.storage.schema import StoreBroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE: Final = "device.pem"

_PKCS8_PREFIX: Final = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the seed of an Ed25519 key in its PrivateKeyInfo (RFC 8410)."""
_SECTIONS: Final = re.compile(
    rb"-----BEGIN PRIVATE KEY-----\n(?P<secret>[A-Za-z0-9+/=]+)\n-----END PRIVATE KEY-----\n"
    rb"(?P<certificate>-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?)"
)


class DeviceKey:
    """The private key of this device; `path` is its file, for TLS."""

    def __init__(self, path: Path, seed: bytes, certificate: Certificate) -> None:
        self.path = path
        self.certificate = certificate
        self._seed = seed

    @property
    def device(self) -> str:
        """The id of this device."""
        return self.certificate.device

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        """The key in a form that can sign, made when something is signed: see `noggd.domain.devices`."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._seed)

    def sign(self, message: bytes) -> bytes:
        """Return the signature over a message."""
        return self._private.sign(message)

    def at(self, path: Path) -> DeviceKey:
        """Return the same key, whose file is now `path`."""
        return DeviceKey(path, self._seed, self.certificate)

    def __repr__(self) -> str:
        return f"DeviceKey({self.device})"


def make_key(path: Path) -> DeviceKey:
    """Make a new key and put it on disk. A file in the way is replaced."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    seed = private.private_bytes_raw()
    certificate = make_certificate(private.public_key().public_bytes_raw(), private.sign)
    secret = base64.b64encode(_PKCS8_PREFIX + seed)
    shown = ssl.DER_cert_to_PEM_cert(certificate.der).encode("ascii")
    write_private(path, b"-----BEGIN PRIVATE KEY-----\n%b\n-----END PRIVATE KEY-----\n%b" % (secret, shown))
    return DeviceKey(path, seed, certificate)


def copy_key(source: Path, path: Path) -> DeviceKey:
    """Put a key that came from elsewhere on disk, and return it. Raises StoreBroken if it is none of ours."""
    key = load_key(source)
    write_private(path, source.read_bytes())
    return key.at(path)


def load_key(path: Path, signed: Container[bytes] = ()) -> DeviceKey:
    """Read the key. Raises StoreBroken, and leaves the file as it is, if it cannot be read or is no key of ours.

    `signed`: certificates (DER) whose signature is known to hold; that of another one is checked.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            found = _SECTIONS.fullmatch(file.read(64 * 1024))
        if found is None:
            raise ProtocolError("it does not hold an Ed25519 key and its certificate")
        secret = base64.b64decode(found["secret"], validate=True)
        der = ssl.PEM_cert_to_DER_cert(found["certificate"].decode("ascii"))
        if not secret.startswith(_PKCS8_PREFIX) or len(secret) != len(_PKCS8_PREFIX) + KEY_BYTES:
            raise ProtocolError("it does not hold an Ed25519 key")
        certificate = check_certificate(der, signed=der in signed)
        # OpenSSL compares the key with the certificate; it must never ask anybody for a password
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, password="")
    except (OSError, ProtocolError, binascii.Error, ValueError) as error:
        raise StoreBroken(f"the device's key {path} cannot be read: {error}", hint=_HINT) from error
    return DeviceKey(path, secret[len(_PKCS8_PREFIX) :], certificate)


_HINT: Final = (
    "restore it from a backup of this device; if there is none, evict this device from another one, move "
    "device.pem and trust.json away, start again and pair anew"
)
