import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from nogg.errors import ProtocolError
from nogg.ids import device_digest, parse_device_id
from noggd.domain.devices import (
    Certificate,
    check_certificate,
    device_name,
    device_of_key,
    is_device_name,
    key_digest,
    key_info,
    make_certificate,
)


def a_key(seed: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def a_certificate(seed: int = 1) -> Certificate:
    key = a_key(seed)
    return make_certificate(key.public_key().public_bytes_raw(), key.sign)


def test_the_id_is_the_hash_of_the_public_key_as_others_encode_it() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = a_key().public_key()
    raw = public.public_bytes_raw()
    assert key_info(raw) == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert parse_device_id(device_of_key(raw)) == device_of_key(raw)
    assert device_digest(device_of_key(raw)) == key_digest(raw)


def test_a_library_reads_the_certificate_as_the_profile_says() -> None:
    certificate = a_certificate()
    parsed = x509.load_der_x509_certificate(certificate.der)
    parsed.verify_directly_issued_by(parsed)
    assert parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == certificate.device
    assert parsed.serial_number > 0
    assert parsed.not_valid_before_utc.year == 2000
    assert parsed.not_valid_after_utc.year == 9999
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign


def test_a_key_has_one_certificate_and_it_passes_the_check() -> None:
    assert a_certificate() == a_certificate()
    assert check_certificate(a_certificate().der) == a_certificate()
    assert ssl.DER_cert_to_PEM_cert(a_certificate().der)


@given(position=st.integers(0, len(a_certificate().der) - 1), flip=st.integers(1, 255))
def test_no_changed_byte_passes(position: int, flip: int) -> None:
    der = bytearray(a_certificate().der)
    der[position] ^= flip
    with pytest.raises(ProtocolError):
        check_certificate(bytes(der))


@given(st.binary(max_size=600))
def test_anything_else_is_a_protocol_error(junk: bytes) -> None:
    for data in (junk, a_certificate().der[: len(junk)], a_certificate().der + junk[:1] + b"\0"):
        with pytest.raises(ProtocolError):
            check_certificate(data)


def test_a_certificate_signed_by_another_key_is_refused() -> None:
    forged = make_certificate(a_key(1).public_key().public_bytes_raw(), a_key(2).sign)
    with pytest.raises(ProtocolError, match="signature"):
        check_certificate(forged.der)


def test_a_key_of_a_wrong_length_is_refused() -> None:
    with pytest.raises(ProtocolError):
        device_of_key(b"\0" * 31)


@pytest.mark.parametrize("name", ["laptop", "Anna's phone", "Küche", "👨‍👩‍👧", "a" * 64])
def test_names_of_devices(name: str) -> None:
    assert is_device_name(name)
    assert device_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a ", "a" * 65, "a\nb", "\u202egnp", "\ud800", "a\0", "\ufffe", 7, None]
)
def test_what_is_no_name_of_a_device(name: object) -> None:
    assert not is_device_name(name)


@given(st.text(st.characters(codec=None)))
def test_every_text_can_be_made_a_name(text: str) -> None:
    assert is_device_name(device_name(text))
