"""Certificates from certificate requests: values in, values out; no clock, file or socket.

Of a request (PKCS #10, RFC 2986) only the public key is used. Its names and extensions are never copied: what a
certificate says is decided by whoever asks the signer and checked there, not by the holder of the key.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.pki.ca import SKEW, Authority, key_usage, serial_number

MAX_REQUEST = 4096  # bytes; a P-256 request with a name takes about 250
LEAF_LIFETIME = timedelta(hours=48)
MAX_DEVICE_DAYS = 398  # the bound that public CAs keep, too
# RFC 1123, section 2.1, in lower case, and no wildcard: labels of 1 to 63, at least two of them
HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z")
DEVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")


class RequestError(ValueError):
    """A certificate request that the signer does not grant; says which rule it breaks."""


def public_key_of(csr: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a request (PKCS #10, DER) whose sender proved to hold its private half. Raises RequestError."""
    if len(csr) > MAX_REQUEST:
        raise RequestError(f"the certificate request has {len(csr)} bytes; the limit is {MAX_REQUEST}")
    try:
        request = x509.load_der_x509_csr(csr)
        key = request.public_key()
        proven = request.is_signature_valid
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature) as error:
        raise RequestError(f"not a certificate request (PKCS #10 in DER): {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestError("the certificate request's key is not P-256; make one with `openssl ecparam -name prime256v1`")
    if not proven:
        raise RequestError("the certificate request's signature does not fit its key; sign it with the key that it names")
    return key


def leaf(authority: Authority, host: str, csr: bytes, now: datetime) -> x509.Certificate:
    """A server certificate for ``host`` alone, valid for 48 hours from ``now``. Raises RequestError."""
    if not HOST.match(host):
        raise RequestError(f"{host!r} is not a host name in lower case with at least two labels")
    key = public_key_of(csr)
    # RFC 9525: the name stands in subjectAltName; an empty subject makes that extension critical (RFC 5280, 4.2.1.6)
    return (
        _builder(authority, key, x509.Name([]), now, LEAF_LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def device_certificate(authority: Authority, device: str, csr: bytes, days: int, now: datetime) -> x509.Certificate:
    """A client certificate for ``device``, valid for ``days`` from ``now``. Raises RequestError."""
    if not DEVICE.match(device):
        raise RequestError(f"{device!r} is not a device id: use 1 to 32 of a-z, 0-9 and inner hyphens")
    if not 1 <= days <= MAX_DEVICE_DAYS:
        raise RequestError(f"{days} days: a device certificate lasts 1 to {MAX_DEVICE_DAYS}")
    key = public_key_of(csr)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    return (
        _builder(authority, key, name, now, timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:mudroom:device:{device}")]), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _builder(
    authority: Authority, key: ec.EllipticCurvePublicKey, subject: x509.Name, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    """What every certificate of ours shares (RFC 5280, section 4.2)."""
    ends = min(now + lifetime, authority.certificate.not_valid_after_utc)
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key)
        .serial_number(serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
