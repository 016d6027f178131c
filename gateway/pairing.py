"""A certificate that enrolment made, as the registry lists it. Shared by the owner's command and the steward."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.registry import Certificate


def listed(chain: bytes) -> Certificate:
    """The first of ``chain`` (PEM), with the key that renewals keep. Raises ValueError."""
    certificate = x509.load_pem_x509_certificates(chain)[0]
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expires = int(certificate.not_valid_after_utc.timestamp())
    return Certificate(f"{certificate.serial_number:x}", expires, key=hashlib.sha256(spki).hexdigest())
