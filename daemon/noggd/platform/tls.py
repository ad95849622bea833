"""TLS between devices: 1.3 only, both sides proved, trust that changes while the listener runs.

Every trusted device's own certificate is a trust anchor, so a stranger fails inside OpenSSL, before a byte
of HTTP. That is one of two locks: whoever uses a connection must also check the certificate that it shows
(`shown`) against who is a member at that moment. Certificates are bytes here; what is in them is the
domain's business.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

PROTOCOL: Final = "nogg/1"
"""The application protocol that both sides must agree on (ALPN)."""
MAX_HANDSHAKES: Final = 128
"""Unfinished handshakes of a listener: a second bound behind the door's, for event loops that go around it."""

_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: a pinned key has no expiry, and a device without a clock must not be shut out."""


class Audit:
    """What a listener's handshakes came to; OpenSSL and asyncio tell nobody else."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        """Failed handshakes by OpenSSL's reason."""


class LiveContext(ssl.SSLContext):
    """A server context for asyncio that delegates each new connection to the context that `build` made last.

    `refresh` after every change of who is trusted. It ends no connection: aborting those of devices that
    are no longer trusted is the caller's part. (`sni_callback` would look simpler; resumption gets around
    it.)
    """

    current: ssl.SSLContext
    audit: Audit

    def __new__(cls, build: Callable[[Audit], ssl.SSLContext]) -> LiveContext:
        """Make the shell; it does no handshake itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, build: Callable[[Audit], ssl.SSLContext]) -> None:
        self._build = build
        self._unfinished: WeakSet[ssl.SSLObject] = WeakSet()
        self.audit = Audit()
        self.refresh()

    def refresh(self) -> None:
        """Let new connections be judged by what is trusted now. Takes milliseconds."""
        self.current = self._build(self.audit)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Begin a handshake; asyncio calls this once for every connection."""
        for finished in [one for one in self._unfinished if one.version() is not None]:
            self._unfinished.discard(finished)
        if len(self._unfinished) >= MAX_HANDSHAKES:
            raise ssl.SSLError("too many unfinished handshakes")
        made = self.current.wrap_bio(*args, **options)
        self._unfinished.add(made)
        return made

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Refuse: only asyncio's way goes through the current context."""
        raise NotImplementedError("a live context works with asyncio only")


class _AuditedContext(ssl.SSLContext):
    audit: Audit


class _AuditedObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        context = self.context
        assert isinstance(context, _AuditedContext)
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            context.audit.refused[error.reason or "UNKNOWN"] += 1
            raise
        context.audit.accepted += 1


def server_context(
    own: Path, trusted: Iterable[bytes], audit: Audit, *, anonymous: bool = False
) -> ssl.SSLContext:
    """Return a context that accepts these certificates (DER), and with `anonymous` also clients that show none.

    `own` is a PEM file with the private key and the certificate. A client that shows an unknown certificate
    is refused in either case.
    """
    context = _AuditedContext(ssl.PROTOCOL_TLS_SERVER)
    context.audit = audit
    context.sslobject_class = _AuditedObject
    _harden(context)
    context.verify_mode = ssl.CERT_OPTIONAL if anonymous else ssl.CERT_REQUIRED
    context.num_tickets = 0  # a ticket would outlive the trust under which it was given
    context.load_cert_chain(own)
    for certificate in trusted:
        context.load_verify_locations(cadata=certificate)
    return context


def client_context(own: Path, peer: bytes) -> ssl.SSLContext:
    """Return a context that talks to the one device with this certificate (DER), as the device of `own`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.load_cert_chain(own)
    context.load_verify_locations(cadata=peer)
    return context


def stranger_context() -> ssl.SSLContext:
    """Return a context that shows nothing and takes any server: for pairing, which proves both sides itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.verify_mode = ssl.CERT_NONE
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # devices are known by their keys, not by where they are
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= _NO_CHECK_TIME
    context.set_alpn_protocols([PROTOCOL])


def shown(transport: Any) -> bytes | None:
    """Return the certificate (DER) that the other side of a TLS transport has proved to hold, if any.

    None also where the two sides did not agree on our protocol.
    """
    connection = transport.get_extra_info("ssl_object")
    if connection is None or connection.selected_alpn_protocol() != PROTOCOL:
        return None
    certificate = connection.getpeercert(binary_form=True)
    assert certificate is None or isinstance(certificate, bytes)
    return certificate


def speaks_ours(transport: Any) -> bool:
    """Say whether the two sides of a TLS transport agreed on our protocol (a mismatch still completes TLS)."""
    connection = transport.get_extra_info("ssl_object")
    return connection is not None and connection.selected_alpn_protocol() == PROTOCOL
