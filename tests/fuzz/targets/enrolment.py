"""What an unknown device posts to `simpleenroll`, as the signer sees it: base64, PKCS #10, and then a certificate."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.pki.ca import Authority, new_authority
from gateway.pki.issue import RequestError, device_certificate
from gateway.standard.enrolment import MOST_REQUEST, EnrolmentError, read_request, write_content

WORDS = (
    b"MIG", b"MIIB", b"BggqhkjOPQMBBw", b"-----BEGIN CERTIFICATE REQUEST-----", b"\r\n", b"=", b"==", b" ", b"\t",
    base64.b64encode(bytes.fromhex("06092a864886f70d01090e")), base64.b64encode(bytes.fromhex("0603551d11")),
)  # fmt: skip
NOW = datetime(2026, 11, 26, tzinfo=UTC)


@cache
def authority() -> Authority:
    """A home's CA."""
    return new_authority(NOW)


def check(data: bytes) -> None:
    """Refused in words, or a certificate for the request's key that says of the device what the gateway says, and no more."""
    try:
        request = read_request(data)
    except EnrolmentError as error:
        assert str(error)
        return
    assert 0 < len(request) <= MOST_REQUEST
    assert read_request(write_content(request)) == request
    try:
        issued = device_certificate(authority(), "device-1", request, 30, NOW)
    except RequestError as error:
        assert 0 < len(str(error)) < 1000
        return
    asked = x509.load_der_x509_csr(request)
    key = issued.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key == asked.public_key()
    assert asked.is_signature_valid
    assert [(name.oid, name.value) for name in issued.subject] == [(NameOID.COMMON_NAME, "device-1")]
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == ["urn:mudroom:device:device-1"]
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert len(issued.extensions) == 6, "an extension of the request's own"
    issued.verify_directly_issued_by(authority().certificate)
