"""The home CA on disk: made once, never overwritten, readable only by whom it belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.pki.ca import CaError, load_or_create, new_authority, serial_number

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def places(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "pki" / "ca.pem", tmp_path / "signer" / "ca.key"


def test_every_extension_of_the_ca() -> None:
    certificate = new_authority(NOW).certificate
    assert certificate.subject.rfc4514_string() == "CN=Mudroom home CA"
    assert certificate.issuer == certificate.subject
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert timedelta(days=3600) < certificate.not_valid_after_utc - NOW < timedelta(days=3700)
    found = {extension.value.oid: (extension.critical, extension.value) for extension in certificate.extensions}
    critical, constraints = found[x509.BasicConstraints.oid]
    assert critical
    assert constraints == x509.BasicConstraints(ca=True, path_length=0)
    critical, usage = found[x509.KeyUsage.oid]
    assert critical
    assert isinstance(usage, x509.KeyUsage)
    assert usage.key_cert_sign and usage.crl_sign and not usage.digital_signature and not usage.key_agreement
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    assert found[x509.SubjectKeyIdentifier.oid] == (False, identifier)
    assert found[x509.AuthorityKeyIdentifier.oid] == (
        False,
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
    )
    assert len(found) == 4


def test_serials_are_long_positive_and_differ() -> None:
    serials = {serial_number() for _ in range(1000)}
    assert len(serials) == 1000
    assert all(number.bit_length() == 159 for number in serials)


def test_made_once_then_read(tmp_path: Path) -> None:
    certificate_path, key_path = places(tmp_path)
    made = load_or_create(certificate_path, key_path)
    assert certificate_path.stat().st_mode & 0o777 == 0o644
    assert key_path.stat().st_mode & 0o777 == 0o600
    assert key_path.parent.stat().st_mode & 0o777 == 0o700
    before = certificate_path.read_bytes(), key_path.read_bytes()
    again = load_or_create(certificate_path, key_path)
    assert again.certificate == made.certificate
    assert (certificate_path.read_bytes(), key_path.read_bytes()) == before
    assert [path.name for path in key_path.parent.iterdir()] == ["ca.key"], "no temporary file stays behind"


@pytest.mark.parametrize("missing", [0, 1])
def test_half_a_ca_is_an_error_and_stays_as_it_is(tmp_path: Path, missing: int) -> None:
    paths = places(tmp_path)
    load_or_create(*paths)
    paths[missing].unlink()
    other = paths[1 - missing].read_bytes()
    with pytest.raises(CaError, match=paths[missing].name + " is not: restore"):
        load_or_create(*paths)
    assert not paths[missing].exists()
    assert paths[1 - missing].read_bytes() == other


def test_an_open_folder_for_the_key_is_refused(tmp_path: Path) -> None:
    certificate_path, key_path = places(tmp_path)
    key_path.parent.mkdir(mode=0o755)
    with pytest.raises(CaError, match="chmod 0700"):
        load_or_create(certificate_path, key_path)
    assert not key_path.exists()


def test_a_readable_key_is_refused(tmp_path: Path) -> None:
    certificate_path, key_path = places(tmp_path)
    load_or_create(certificate_path, key_path)
    key_path.chmod(0o640)
    with pytest.raises(CaError, match="chmod 0600"):
        load_or_create(certificate_path, key_path)


def test_a_key_of_another_ca_is_refused(tmp_path: Path) -> None:
    certificate_path, key_path = places(tmp_path)
    load_or_create(certificate_path, key_path)
    other = tmp_path / "other"
    load_or_create(*places(other))
    key_path.write_bytes(places(other)[1].read_bytes())
    with pytest.raises(CaError, match="is not the key of"):
        load_or_create(certificate_path, key_path)


def test_rubbish_is_refused(tmp_path: Path) -> None:
    certificate_path, key_path = places(tmp_path)
    load_or_create(certificate_path, key_path)
    key_path.write_bytes(b"rubbish")
    with pytest.raises(CaError, match="restore both from a backup"):
        load_or_create(certificate_path, key_path)
