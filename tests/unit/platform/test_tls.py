"""Handshakes in memory: who gets through, who does not, and what each side then knows."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from noggd.platform import tls
from noggd.platform.tls import Audit, LiveContext, client_context, server_context, stranger_context
from noggd.storage.keys import DeviceKey, make_key


class Transport:
    """What `shown` needs of an asyncio transport."""

    def __init__(self, connection: ssl.SSLObject) -> None:
        self.connection = connection

    def get_extra_info(self, name: str) -> object:
        return self.connection if name == "ssl_object" else None


class Ends(NamedTuple):
    """Both ends of a connection after the handshake."""

    server: ssl.SSLObject
    client: ssl.SSLObject

    def seen_by_server(self) -> bytes | None:
        return tls.shown(Transport(self.server))

    def seen_by_client(self) -> bytes | None:
        return tls.shown(Transport(self.client))


def shake(server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Ends:
    """Connect the two in memory; raises what either side raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = Ends(
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, session=session),
    )
    waiting = [ends.client, ends.server]
    for _ in range(8):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    for (
        end
    ) in ends:  # a client learns only after its handshake whether it was taken, and a server gives tickets
        with suppress(ssl.SSLWantReadError):
            end.read(1)
    return ends


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], DeviceKey]:
    return lambda name: make_key(tmp_path / f"{name}.pem")


def listener(own: DeviceKey, *trusted: DeviceKey, anonymous: bool = False) -> LiveContext:
    """A live context; the list of the trusted can be changed later through `current_trust`."""
    return LiveContext(
        lambda audit: server_context(
            own.path, [one.certificate.der for one in trusted], audit, anonymous=anonymous
        )
    )


Keys = Callable[[str], DeviceKey]


def test_two_members_see_each_others_certificates(key: Keys) -> None:
    a, b, c = key("a"), key("b"), key("c")
    ends = shake(listener(a, c, b), client_context(b.path, a.certificate.der))
    assert ends.seen_by_server() == b.certificate.der
    assert ends.seen_by_client() == a.certificate.der
    assert ends.server.version() == "TLSv1.3"


def test_an_unknown_device_is_refused_and_counted(key: Keys) -> None:
    a, b, mallory = key("a"), key("b"), key("m")
    live = listener(a, b)
    with pytest.raises(ssl.SSLError):
        shake(live, client_context(mallory.path, a.certificate.der))
    assert live.audit.refused == {"CERTIFICATE_VERIFY_FAILED": 1}
    shake(live, client_context(b.path, a.certificate.der))
    assert live.audit.accepted == 1


def test_a_client_without_a_certificate_is_refused(key: Keys) -> None:
    a, b = key("a"), key("b")
    with pytest.raises(ssl.SSLError):
        shake(listener(a, b), stranger_context())
    with pytest.raises(ssl.SSLError):
        shake(listener(a), stranger_context())


def test_a_wrong_server_is_refused_by_the_client(key: Keys) -> None:
    a, b, mallory = key("a"), key("b"), key("m")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(listener(mallory, b), client_context(b.path, a.certificate.der))


def test_older_tls_is_refused(key: Keys) -> None:
    a, b = key("a"), key("b")
    old = client_context(b.path, a.certificate.der)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(listener(a, b), old)


def test_another_protocol_is_not_ours_even_if_tls_completes(key: Keys) -> None:
    a, b = key("a"), key("b")
    other = client_context(b.path, a.certificate.der)
    other.set_alpn_protocols(["h2"])
    ends = shake(listener(a, b), other)
    assert ends.seen_by_server() is None
    assert ends.seen_by_client() is None
    assert not tls.speaks_ours(Transport(ends.server))


def test_pairing_lets_in_who_shows_nothing_but_no_unknown_certificate(key: Keys) -> None:
    a, b, mallory = key("a"), key("b"), key("m")
    window = listener(a, b, anonymous=True)
    ends = shake(window, stranger_context())
    assert ends.seen_by_server() is None
    assert tls.speaks_ours(Transport(ends.server))
    assert ends.seen_by_client() == a.certificate.der
    assert shake(window, client_context(b.path, a.certificate.der)).seen_by_server() == b.certificate.der
    with pytest.raises(ssl.SSLError):
        shake(window, client_context(mallory.path, a.certificate.der))


class Changing:
    """A listener whose trust can be changed."""

    def __init__(self, own: DeviceKey) -> None:
        self.trusted: list[DeviceKey] = []
        self.anonymous = False
        self.own = own
        self.live = LiveContext(self.build)

    def build(self, audit: Audit) -> ssl.SSLContext:
        trusted = [one.certificate.der for one in self.trusted]
        return server_context(self.own.path, trusted, audit, anonymous=self.anonymous)


def test_trust_changes_while_the_listener_lives(key: Keys) -> None:
    a, b = key("a"), key("b")
    listener, client = Changing(a), client_context(b.path, a.certificate.der)
    with pytest.raises(ssl.SSLError):
        shake(listener.live, client)
    listener.trusted = [b]
    listener.live.refresh()
    shake(listener.live, client)
    listener.trusted = []
    listener.live.refresh()
    with pytest.raises(ssl.SSLError):
        shake(listener.live, client)


def test_no_ticket_survives_a_revocation(key: Keys) -> None:
    a, b = key("a"), key("b")
    listener, client = Changing(a), client_context(b.path, a.certificate.der)
    listener.trusted = [b]
    listener.live.refresh()
    session = shake(listener.live, client).client.session
    assert session is None or not session.has_ticket
    listener.trusted = []
    listener.live.refresh()
    with pytest.raises(ssl.SSLError):
        shake(listener.live, client, session)


def test_no_ticket_survives_a_pairing_window(key: Keys) -> None:
    a, b = key("a"), key("b")
    listener, client = Changing(a), stranger_context()
    listener.trusted, listener.anonymous = [b], True
    listener.live.refresh()
    session = shake(listener.live, client).client.session
    assert session is None or not session.has_ticket
    listener.anonymous = False
    listener.live.refresh()
    with pytest.raises(ssl.SSLError):
        shake(listener.live, client, session)


def certificate_for(
    key: Ed25519PrivateKey,
    subject: str,
    *,
    issuer: str | None = None,
    signer: Ed25519PrivateKey | None = None,
    authority: bool = False,
    start: int = 2000,
) -> x509.Certificate:
    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer or subject))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(start, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .sign(signer or key, None)
    )


def file_of(path: Path, key: Ed25519PrivateKey, certificate: x509.Certificate) -> Path:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_member_cannot_issue_certificates_to_others(key: Keys, tmp_path: Path) -> None:
    """Our profile is no authority, so a leaf that a member signs is refused; one with CA:TRUE would pass TLS."""
    a, b, puppet = key("a"), key("b"), Ed25519PrivateKey.generate()
    signer = serialization.load_pem_private_key(b.path.read_bytes(), None)
    assert isinstance(signer, Ed25519PrivateKey)
    leaf = certificate_for(puppet, "puppet", issuer=b.device, signer=signer)
    rogue = client_context(file_of(tmp_path / "rogue.pem", puppet, leaf), a.certificate.der)
    with pytest.raises(ssl.SSLError):
        shake(listener(a, b), rogue)


def test_the_second_lock_stops_what_a_certificate_authority_could_let_in(tmp_path: Path, key: Keys) -> None:
    """Were such a certificate trusted, TLS would take the leaf; what the leaf shows is still no member's."""
    a, authority_key, puppet = key("a"), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    authority = certificate_for(authority_key, "authority", authority=True)
    leaf = certificate_for(puppet, "puppet", issuer="authority", signer=authority_key)
    trusting = LiveContext(
        lambda audit: server_context(a.path, [authority.public_bytes(serialization.Encoding.DER)], audit)
    )
    rogue = client_context(file_of(tmp_path / "rogue.pem", puppet, leaf), a.certificate.der)
    seen = shake(trusting, rogue).seen_by_server()
    assert seen == leaf.public_bytes(serialization.Encoding.DER)
    assert seen != authority.public_bytes(serialization.Encoding.DER)


def test_a_clock_that_was_never_set_shuts_nobody_out(tmp_path: Path, key: Keys) -> None:
    a, late = key("a"), Ed25519PrivateKey.generate()
    certificate = certificate_for(late, "late", start=9000)
    der = certificate.public_bytes(serialization.Encoding.DER)
    live = LiveContext(lambda audit: server_context(a.path, [der], audit))
    client = client_context(file_of(tmp_path / "late.pem", late, certificate), a.certificate.der)
    assert shake(live, client).seen_by_server() == der


def test_unfinished_handshakes_are_bounded(key: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "MAX_HANDSHAKES", 3)
    a, b = key("a"), key("b")
    live, client = listener(a, b), client_context(b.path, a.certificate.der)
    for _ in range(5):
        shake(live, client)  # finished ones do not count
    held = [live.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True) for _ in range(3)]
    with pytest.raises(ssl.SSLError, match="too many"):
        live.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    held.pop()
    shake(live, client)


def test_a_live_context_refuses_plain_sockets(key: Keys) -> None:
    with pytest.raises(NotImplementedError):
        listener(key("a")).wrap_socket(None)


def test_no_tls_shows_nothing() -> None:
    class Plain:
        def get_extra_info(self, name: str) -> None:
            return None

    assert tls.shown(Plain()) is None
    assert not tls.speaks_ours(Plain())
