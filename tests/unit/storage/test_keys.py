import ssl
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from noggd.domain.devices import check_certificate, signed_by
from noggd.storage.keys import load_key, make_key
from noggd.storage.schema import StoreBroken


def test_a_key_is_private_and_reads_back_the_same(tmp_path: Path) -> None:
    made = make_key(tmp_path / "device.pem")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    read = load_key(made.path)
    assert read.device == made.device
    assert check_certificate(read.certificate.der) == made.certificate
    assert signed_by(made.certificate.key, read.sign(b"x"), b"x")


def test_two_keys_differ(tmp_path: Path) -> None:
    assert make_key(tmp_path / "a").device != make_key(tmp_path / "b").device


def test_tls_takes_the_file(tmp_path: Path) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(make_key(tmp_path / "device.pem").path)


def test_the_secret_does_not_reach_logs(tmp_path: Path) -> None:
    made = make_key(tmp_path / "device.pem")
    assert repr(made) == f"DeviceKey({made.device})"


def test_what_is_no_key_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    good = make_key(path).path.read_bytes()
    other = make_key(tmp_path / "other.pem").path.read_bytes()
    secret, certificate = good[: good.index(b"-----BEGIN CERT")], other[other.index(b"-----BEGIN CERT") :]
    foreign = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for bad in (b"", b"\0" * 200, good[:100], secret, secret + certificate, foreign):
        path.write_bytes(bad)
        with pytest.raises(StoreBroken):
            load_key(path)
        assert path.read_bytes() == bad


def test_a_missing_file_and_a_symlink_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreBroken):
        load_key(tmp_path / "none.pem")
    make_key(tmp_path / "real.pem")
    (tmp_path / "device.pem").symlink_to(tmp_path / "real.pem")
    with pytest.raises(StoreBroken):
        load_key(tmp_path / "device.pem")
