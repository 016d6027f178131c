"""Detached signatures of manifests: CMS (RFC 5652) as RFC 8520 section 13 asks, in DER.

No authority vouches for those who sign MUD files, so a signature is worth as much as the owner's knowledge of its key: this
module says whose key it is, never whether to trust it. It must never call a signature good of which a part was not checked.
The structures are read by cryptography's own DER reader, the mathematics is cryptography's too.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import ObjectIdentifier

MAX_SIGNATURE = 64 * 1024  # bytes
MAX_CERTIFICATES = 16
MAX_SUBJECT = 256  # characters
RSA_BITS = range(2048, 8193)  # below: weak; beyond: it would cost the checker more than it is worth

_SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")  # RFC 5652 section 5.1
_DATA = ObjectIdentifier("1.2.840.113549.1.7.1")  # section 4
_DATA_DER = bytes.fromhex("06 2a864886f70d010701")  # the same, as it stands in the signed attributes
_CONTENT_TYPE = ObjectIdentifier("1.2.840.113549.1.9.3")  # section 11.1
_MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.4")  # section 11.2

_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_RSA = "1.2.840.113549.1.1.1"  # the digest's algorithm says which hash, RFC 3370 section 3.2
_ED25519 = "1.3.101.112"  # RFC 8419
_SIGNATURES = {  # algorithm: the only digest that goes with it
    "1.2.840.113549.1.1.11": "2.16.840.1.101.3.4.2.1",
    "1.2.840.113549.1.1.12": "2.16.840.1.101.3.4.2.2",
    "1.2.840.113549.1.1.13": "2.16.840.1.101.3.4.2.3",
    "1.2.840.10045.4.3.2": "2.16.840.1.101.3.4.2.1",
    "1.2.840.10045.4.3.3": "2.16.840.1.101.3.4.2.2",
    "1.2.840.10045.4.3.4": "2.16.840.1.101.3.4.2.3",
    _ED25519: "2.16.840.1.101.3.4.2.3",
}
_STRONG = "sign with RSA of 2048 bits or more (PKCS #1 v1.5), ECDSA on P-256 or P-384, or Ed25519, and with SHA-256 or longer"


class SignatureError(ValueError):
    """A signature that says nothing about its document. The words tell the rule and the remedy."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed. ``key``: SHA-256 of the public key (SubjectPublicKeyInfo, DER) in hexadecimal; ``subject``: his own words."""

    key: str
    subject: str
    algorithm: str


# --- the structures; an own reading of each field's place and no more ---


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class _Content:
    type: ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class _Attribute:
    type: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _SignerInfo:
    version: int
    issuer_and_serial: _IssuerAndSerial | None
    key_identifier: Annotated[bytes | None, asn1.Implicit(0)]
    digest: _Algorithm
    attributes: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    algorithm: _Algorithm
    signature: bytes
    unsigned: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class _SignedData:
    version: int
    digests: asn1.SetOf[_Algorithm]
    content: _Content
    certificates: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    signers: asn1.SetOf[_SignerInfo]


@asn1.sequence
class _ContentInfo:
    type: ObjectIdentifier
    content: Annotated[_SignedData, asn1.Explicit(0)]


def verify(document: bytes, signature: bytes) -> Signer:
    """Who signed ``document``, by a detached signature in DER (``.p7s``). Raises SignatureError, and nothing else."""
    if len(signature) > MAX_SIGNATURE:
        raise SignatureError(f"a signature has at most {MAX_SIGNATURE} bytes; leave out what is not needed to check it")
    try:
        return _verify(document, signature)
    except SignatureError:
        raise
    except InvalidSignature:
        raise SignatureError("the signature does not fit this file: one of the two was changed; get both anew") from None
    except Exception as error:  # a foreign certificate can fail in many ways: each of them is a no
        raise SignatureError(f"not a signature that can be checked ({type(error).__name__}); {_STRONG}") from None


def sign(document: bytes, certificate: bytes, key: bytes) -> bytes:
    """A detached signature. ``certificate``: PEM; ``key``: its private key in PEM, without a password. Raises SignatureError."""
    try:
        own = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise SignatureError(f"key and certificate are PEM, the key without a password: {error}") from None
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise SignatureError("this command signs with RSA or ECDSA keys; with Ed25519 use `openssl cms -sign`")
    if _fingerprint(own) != _key_id(private.public_key()):
        raise SignatureError("the certificate is another key's; give the one that belongs to this key")
    _check_key(own)
    digest = hashes.SHA384() if isinstance(private, ec.EllipticCurvePrivateKey) and private.key_size == 384 else hashes.SHA256()
    # Binary: the file's own bytes are signed, not a copy with other line ends
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities]
    builder = pkcs7.PKCS7SignatureBuilder().set_data(document).add_signer(own, private, digest)
    return builder.sign(serialization.Encoding.DER, options)


def _verify(document: bytes, signature: bytes) -> Signer:
    try:
        outer = asn1.decode_der(_ContentInfo, signature)
    except ValueError:
        raise SignatureError(
            "not a detached CMS signature in DER with signed attributes and the signer's certificate (RFC 8520 section 13); "
            "make one with `mudroom manifest sign` or `openssl cms -sign -binary -outform DER`"
        ) from None
    data = outer.content
    if outer.type != _SIGNED_DATA or data.content.type != _DATA or data.content.content is not None:
        raise SignatureError("not a detached signature of plain data; sign the file itself, detached")
    signers, certificates = data.signers.as_list(), data.certificates.as_list()
    if len(signers) != 1 or not 0 < len(certificates) <= MAX_CERTIFICATES:
        raise SignatureError(f"one signer, and 1 to {MAX_CERTIFICATES} certificates with his among them; sign so")
    info = signers[0]
    own = _certificate(info, certificates)
    digest = _DIGESTS.get(info.digest.algorithm.dotted_string)
    if digest is None:
        raise SignatureError(f"its digest is weak or unknown; {_STRONG}")
    _check_attributes(info, document, digest)
    _check_key(own)
    return Signer(_fingerprint(own), _subject(own), _check_signature(info, own.public_key(), digest))


def _der(tag: bytes, content: bytes) -> bytes:
    """A part of a structure written again. The reader takes DER only (X.690 section 10.1), so it is what stood there."""
    size = len(content)
    if size < 0x80:
        return tag + bytes([size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return tag + bytes([0x80 | len(octets)]) + octets + content


def _whole(part: asn1.TLV) -> bytes:
    return _der(part.tag_bytes, bytes(part.data))


def _certificate(info: _SignerInfo, certificates: list[asn1.TLV]) -> x509.Certificate:
    """The one that the signer names (section 5.3); any others are of no use here, for no authority is known."""
    for tlv in certificates:
        found = x509.load_der_x509_certificate(_whole(tlv))
        named = info.issuer_and_serial
        if named is not None and info.key_identifier is None and info.version == 1:
            if found.serial_number == named.serial and found.issuer.public_bytes() == _whole(named.issuer):
                return found
        elif named is None and info.key_identifier is not None and info.version == 3:
            held = [e.value for e in found.extensions if isinstance(e.value, x509.SubjectKeyIdentifier)]
            if held and hmac.compare_digest(held[0].digest, info.key_identifier):
                return found
    raise SignatureError("the signer's certificate is not in the signature; put it in, so that its key can be shown")


def _check_attributes(info: _SignerInfo, document: bytes, digest: hashes.HashAlgorithm) -> None:
    """Section 11: what is signed are the attributes, and they name the content's type and digest, once each."""
    told: dict[ObjectIdentifier, bytes] = {}
    for part in info.attributes.as_list():
        attribute = asn1.decode_der(_Attribute, _whole(part))
        values = attribute.values.as_list()
        if attribute.type in told or len(values) != 1:
            raise SignatureError("a signed attribute occurs once, with one value; sign anew")
        # kept with its tag: an octet string is no object identifier of the same bytes
        told[attribute.type] = values[0].tag_bytes + bytes(values[0].data)
    hashed = hashes.Hash(digest)
    hashed.update(document)
    if told.get(_CONTENT_TYPE) != _DATA_DER:
        raise SignatureError("the signed attributes do not name plain data; sign the file itself")
    if not hmac.compare_digest(told.get(_MESSAGE_DIGEST, b""), b"\x04" + hashed.finalize()):
        raise SignatureError("the signature is another file's, or this one was changed since; get both anew")


def _check_key(certificate: x509.Certificate) -> None:
    """Whether the key is strong, and may sign. Raises SignatureError."""
    key = certificate.public_key()
    match key:
        case rsa.RSAPublicKey():
            strong = key.key_size in RSA_BITS and key.public_numbers().e in range(65_537, 2**32)
        case ec.EllipticCurvePublicKey():
            strong = isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
        case _:
            strong = isinstance(key, ed25519.Ed25519PublicKey)
    if not strong:
        raise SignatureError(f"its key is weak or of an unknown kind; {_STRONG}")
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            raise SignatureError("its certificate's key is not for signatures (key usage); sign with one that is")


def _check_signature(info: _SignerInfo, key: object, digest: hashes.HashAlgorithm) -> str:
    """The algorithm in words. Raises SignatureError, InvalidSignature."""
    # section 5.4: with the tag of a SET OF, not with the one that it has inside the structure
    signed = _der(b"\x31", b"".join(_whole(part) for part in info.attributes.as_list()))
    name = info.algorithm.algorithm.dotted_string
    wanted = _SIGNATURES.get(name)
    # RFC 8419 section 3.1 asks for SHA-512 with Ed25519
    fits = wanted == info.digest.algorithm.dotted_string or name == _RSA
    match key:
        case rsa.RSAPublicKey() if fits and (name == _RSA or name.startswith("1.2.840.113549.1.1.1")):
            key.verify(info.signature, signed, padding.PKCS1v15(), digest)
            return f"RSA {key.key_size}, {digest.name.upper()}"
        case ec.EllipticCurvePublicKey() if fits and name.startswith("1.2.840.10045.4.3."):
            key.verify(info.signature, signed, ec.ECDSA(digest))
            return f"ECDSA {key.curve.name}, {digest.name.upper()}"
        case ed25519.Ed25519PublicKey() if fits and name == _ED25519:
            key.verify(info.signature, signed)
            return "Ed25519"
    raise SignatureError(f"its algorithm is weak or unknown, or not its key's; {_STRONG}")


def _fingerprint(certificate: x509.Certificate) -> str:
    return _key_id(certificate.public_key())


def _key_id(key: object) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    hashed = hashes.Hash(hashes.SHA256())
    hashed.update(der)
    return hashed.finalize().hex()


def _subject(certificate: x509.Certificate) -> str:
    """His own words about himself, for the owner's eyes; bounded, and with nothing that does not print."""
    text = certificate.subject.rfc4514_string()[:MAX_SUBJECT]
    return "".join(c if c.isprintable() else "\ufffd" for c in text) or "(no name)"
