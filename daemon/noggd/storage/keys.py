"""The device's key, as a file that only its user can read: made at first start, never shown, never copied.

`device.pem` holds the private key and the certificate, because TLS wants them in one file. Not here: what
the key means (`noggd.domain.devices`) and when it is replaced (`noggd.storage.trust`).
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from noggd.domain.devices import make_certificate
from noggd.platform.files import write_private
from noggd.storage.schema import StoreBroken

FILE: Final = "device.pem"


class DeviceKey:
    """The private key of this device; `path` is its file, for TLS."""

    def __init__(self, path: Path, private: Ed25519PrivateKey) -> None:
        self.path = path
        self._private = private
        self.certificate = make_certificate(private.public_key().public_bytes_raw(), private.sign)

    @property
    def device(self) -> str:
        """The id of this device."""
        return self.certificate.device

    def sign(self, message: bytes) -> bytes:
        """Return the signature over a message."""
        return self._private.sign(message)

    def at(self, path: Path) -> DeviceKey:
        """Return the same key, whose file is now `path`."""
        return DeviceKey(path, self._private)

    def __repr__(self) -> str:
        return f"DeviceKey({self.device})"


def make_key(path: Path) -> DeviceKey:
    """Make a new key and put it on disk. A file in the way is replaced."""
    private = Ed25519PrivateKey.generate()
    key = DeviceKey(path, private)
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(path, secret + ssl.DER_cert_to_PEM_cert(key.certificate.der).encode("ascii"))
    return key


def copy_key(source: Path, path: Path) -> DeviceKey:
    """Put a key that came from elsewhere on disk, and return it. Raises StoreBroken if it is none of ours."""
    key = load_key(source)
    write_private(path, source.read_bytes())
    return key.at(path)


def load_key(path: Path) -> DeviceKey:
    """Read the key. Raises StoreBroken, and leaves the file as it is, if it cannot be read or is no key of ours."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            data = file.read(64 * 1024)
        private = load_pem_private_key(data, password=None)
    except (OSError, ValueError, TypeError) as error:
        raise StoreBroken(f"the device's key {path} cannot be read: {error}", hint=_HINT) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StoreBroken(f"{path} does not hold an Ed25519 key", hint=_HINT)
    key = DeviceKey(path, private)
    if ssl.DER_cert_to_PEM_cert(key.certificate.der).encode("ascii") not in data:
        raise StoreBroken(f"{path} does not hold the certificate that belongs to its key", hint=_HINT)
    return key


_HINT: Final = (
    "restore it from a backup of this device; if there is none, evict this device from another one, move "
    "device.pem and trust.json away, start again and pair anew"
)
