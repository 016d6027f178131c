"""Enrolment's proofs: what device and gateway compute from the label's code, and how the pieces are written (RFC 7030).

Values in, values out; no clock, socket or file. It must never put the code, or a proof made in one direction, where the
other side could take it for its own: each direction has a label of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

HOST = "mudroom.home.arpa"
PREFIX = "/.well-known/est/"  # RFC 7030 section 3.2.2; no label between it and the operation
OPERATIONS = {"cacerts": "GET", "csrattrs": "GET", "simpleenroll": "POST", "simplereenroll": "POST"}
NONCE_HEADER = "clear-envelope-nonce"
PROOF_HEADER = "clear-envelope-proof"
REQUEST_TYPE = "application/pkcs10"
CERTIFICATES_TYPE = "application/pkcs7-mime; smime-type=certs-only"
ATTRIBUTES_TYPE = "application/csrattrs"
MOST_REQUEST = 4096  # bytes of PKCS #10; one with a P-256 key takes about 250

# CsrAttrs (RFC 7030 section 4.5.2): an EC key on P-256 (RFC 5480 section 2.1.1), signed by ecdsa-with-SHA256 (RFC 5758).
CSR_ATTRIBUTES = bytes.fromhex("3021301506072a8648ce3d0201310a06082a8648ce3d03010706082a8648ce3d040302")

NONCE_SIZE = 32
SHORTEST_CODE, LONGEST_CODE = 16, 64  # of 5 bits each: 80 bits and more
_CODE = re.compile(rf"[A-Z2-7]{{{SHORTEST_CODE},{LONGEST_CODE}}}\Z")  # base32 (RFC 4648 section 6)
_HEX32 = re.compile(r"[0-9a-f]{64}\Z")
_GATEWAY = "clear-envelope-1 enrolment gateway"
_DEVICE = "clear-envelope-1 enrolment device"


class EnrolmentError(ValueError):
    """Something that a device or the owner wrote breaks enrolment's rules. Says which and what to do."""


def canonical_code(text: str) -> str:
    """The label's code as both sides use it: capitals, without spaces and hyphens. Raises EnrolmentError."""
    code = text.replace(" ", "").replace("-", "").upper()
    if not text.isascii() or not _CODE.match(code):
        raise EnrolmentError(
            f"the code on the label has {SHORTEST_CODE} to {LONGEST_CODE} of the letters A to Z and the digits 2 to 7 "
            f"(spaces and hyphens do not count); this one has {len(code)} characters, or others among them"
        )
    return code


def fingerprint(certificate: bytes) -> bytes:
    """The CA fingerprint that proofs are bound to: SHA-256 of the CA certificate in DER."""
    return hashlib.sha256(certificate).digest()


def gateway_proof(code: str, ca: bytes, device_nonce: bytes, gateway_nonce: bytes) -> bytes:
    """What shows the device that this gateway was told the code, and that ``ca`` (fingerprint) is its CA. 32 bytes."""
    return _proof(code, _GATEWAY, ca, device_nonce, gateway_nonce)


def device_proof(code: str, ca: bytes, gateway_nonce: bytes, request: bytes) -> bytes:
    """What shows the gateway that the label's device made ``request`` (PKCS #10, DER) for the CA ``ca``. 32 bytes."""
    return _proof(code, _DEVICE, ca, gateway_nonce, hashlib.sha256(request).digest())


def _proof(code: str, label: str, *parts: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104), keyed with the code, of lines of text: the label and each part in hexadecimal."""
    if any(len(part) != NONCE_SIZE for part in parts):  # with fixed lengths no two inputs are the same text
        raise EnrolmentError(f"a proof is made of parts of {NONCE_SIZE} bytes")
    text = "".join(f"{line}\n" for line in (label, *(part.hex() for part in parts)))
    return hmac.digest(code.encode("ascii"), text.encode("ascii"), "sha256")


def same(proof: bytes, expected: bytes) -> bool:
    """Whether two proofs are equal, in a time that tells nothing."""
    return hmac.compare_digest(proof, expected)


def read_hex(name: str, text: str | None) -> bytes:
    """32 bytes from a header field. Raises EnrolmentError."""
    if text is None or not _HEX32.match(text):
        raise EnrolmentError(f"the field {name} holds 64 hexadecimal digits in lower case; send that")
    return bytes.fromhex(text)


def read_request(content: bytes) -> bytes:
    """PKCS #10 in DER from a request's content: base64 in lines of any length (RFC 8951 section 3.1). Raises EnrolmentError."""
    packed = content.translate(None, b" \t\r\n")
    try:
        request = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise EnrolmentError("the content is a certificate request (PKCS #10, DER) in base64, without BEGIN and END") from None
    if not request or len(request) > MOST_REQUEST:
        raise EnrolmentError(f"the certificate request has {len(request)} bytes; it has 1 to {MOST_REQUEST}")
    return request


def write_content(der: bytes) -> bytes:
    """DER as EST's answers carry it: base64 in lines (RFC 7030 section 4.1.3)."""
    return base64.encodebytes(der)
