"""Certificates say what the signer decided, and nothing that the request asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.pki import issue
from gateway.pki.ca import new_authority

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CA = new_authority(NOW)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def request(key: Key | None = None, *names: str, ca: bool = False) -> bytes:
    """A request, greedy on purpose where names are given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names[:1]])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def shared_extensions(certificate: x509.Certificate) -> dict[x509.ObjectIdentifier, tuple[bool, x509.ExtensionType]]:
    """Checks what leaves and device certificates share; returns all extensions."""
    certificate.verify_directly_issued_by(CA.certificate)
    found = {extension.value.oid: (extension.critical, extension.value) for extension in certificate.extensions}
    assert found[x509.BasicConstraints.oid] == (True, x509.BasicConstraints(ca=False, path_length=None))
    critical, usage = found[x509.KeyUsage.oid]
    assert critical
    assert isinstance(usage, x509.KeyUsage)
    assert usage.digital_signature
    assert not (usage.key_cert_sign or usage.crl_sign or usage.key_encipherment or usage.content_commitment)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert found[x509.SubjectKeyIdentifier.oid] == (False, x509.SubjectKeyIdentifier.from_public_key(key))
    issuer = CA.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert found[x509.AuthorityKeyIdentifier.oid] == (
        False,
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer),
    )
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert certificate.serial_number.bit_length() >= 64
    assert len(found) == 6
    return found


def test_every_extension_of_a_leaf() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue.leaf(CA, "api.acme.example", request(key), NOW)
    found = shared_extensions(certificate)
    assert certificate.public_key() == key.public_key()
    assert list(certificate.subject) == []
    assert found[x509.SubjectAlternativeName.oid] == (True, x509.SubjectAlternativeName([x509.DNSName("api.acme.example")]))
    assert found[x509.ExtendedKeyUsage.oid] == (False, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))
    assert certificate.not_valid_after_utc == NOW + timedelta(hours=48)


def test_every_extension_of_a_device_certificate() -> None:
    certificate = issue.device_certificate(CA, "lamp-1", request(), 90, NOW)
    found = shared_extensions(certificate)
    assert certificate.subject.rfc4514_string() == "CN=lamp-1"
    assert found[x509.SubjectAlternativeName.oid] == (
        False,
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:mudroom:device:lamp-1")]),
    )
    assert found[x509.ExtendedKeyUsage.oid] == (False, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))
    assert certificate.not_valid_after_utc == NOW + timedelta(days=90)


def test_names_and_extensions_of_the_request_are_not_copied() -> None:
    greedy = request(None, "tracker.example", "bank.example", ca=True)
    for certificate in (issue.leaf(CA, "api.acme.example", greedy, NOW), issue.device_certificate(CA, "lamp-1", greedy, 1, NOW)):
        shared_extensions(certificate)
        assert b"tracker" not in certificate.public_bytes(Encoding.DER)
        assert b"bank" not in certificate.public_bytes(Encoding.DER)


def test_proof_of_possession() -> None:
    mine, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    point = Encoding.X962, PublicFormat.UncompressedPoint
    stolen = request(mine).replace(mine.public_key().public_bytes(*point), theirs.public_key().public_bytes(*point))
    with pytest.raises(issue.RequestError, match="does not fit its key"):
        issue.leaf(CA, "api.acme.example", stolen, NOW)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "Ed25519", "RSA"],
)
def test_only_p256(key: Key) -> None:
    with pytest.raises(issue.RequestError, match="not P-256"):
        issue.device_certificate(CA, "lamp-1", request(key), 1, NOW)


@pytest.mark.parametrize("csr", [b"", b"rubbish", b"\x30\x80" * 100, b"\x00" * 5000], ids=["empty", "text", "nested", "huge"])
def test_rubbish_requests(csr: bytes) -> None:
    with pytest.raises(issue.RequestError):
        issue.leaf(CA, "api.acme.example", csr, NOW)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "*.acme.example",
        "API.acme.example",
        "a b.example",
        "a.example.",
        "10.0.0.1",
        "-a.example",
        "a\n.example",
        "a.example\n",
    ],
)
def test_hosts_that_no_leaf_may_bear(host: str) -> None:
    with pytest.raises(issue.RequestError, match="not a host name"):
        issue.leaf(CA, host, request(), NOW)


@pytest.mark.parametrize("device", ["", "Lamp", "a" * 33, "lamp\n", "-lamp", "lamp/1"])
def test_device_ids(device: str) -> None:
    with pytest.raises(issue.RequestError, match="device id"):
        issue.device_certificate(CA, device, request(), 1, NOW)


@pytest.mark.parametrize("days", [-1, 0, 399])
def test_device_certificates_are_bounded_in_time(days: int) -> None:
    with pytest.raises(issue.RequestError, match="1 to 398"):
        issue.device_certificate(CA, "lamp-1", request(), days, NOW)


def test_nothing_outlives_the_ca() -> None:
    late = CA.certificate.not_valid_after_utc - timedelta(hours=2)
    assert issue.leaf(CA, "api.acme.example", request(), late).not_valid_after_utc == CA.certificate.not_valid_after_utc


def test_a_version_that_does_not_exist_is_refused_with_words() -> None:
    good = request()
    at = good.index(b"\x02\x01\x00")  # INTEGER 0, the only version (RFC 2986 section 4.1)
    with pytest.raises(issue.RequestError, match="PKCS #10"):
        issue.public_key_of(good[: at + 2] + b"\x6f" + good[at + 3 :])
