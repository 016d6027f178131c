"""The home's own certificate authority: made once, read ever after.

The key is P-256, lies in a folder that only the signer's user may enter, and is never overwritten: a new CA would make
every device certificate worthless, and that is the owner's decision. This module must never send a key anywhere.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway.lasting import write_new

COMMON_NAME = "Mudroom home CA"
LIFETIME = timedelta(days=3652)  # about ten years: longer than the box lasts
SKEW = timedelta(hours=1)  # devices without a battery wake up with a clock that is a little off


class CaError(Exception):
    """The CA cannot be made or read. Names the file and what to do."""


@dataclass(frozen=True)
class Authority:
    """The home CA: its certificate and the key that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def serial_number() -> int:
    """A certificate serial: positive, 159 random bits (RFC 5280, section 4.1.2.2, allows 20 octets and asks for no order)."""
    return secrets.randbits(158) | 1 << 158  # the top bit fixes the length, so that no serial is guessably short


def new_authority(now: datetime) -> Authority:
    """A fresh CA, valid from an hour before ``now`` (RFC 5280, section 4.2)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def key_usage(*allowed: str) -> x509.KeyUsage:
    """A KeyUsage with exactly these bits set."""
    bits = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{bit: bit in allowed for bit in bits})


def load_or_create(certificate_path: Path, key_path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Authority:
    """The home CA on disk; made where neither file exists. Raises CaError, and never overwrites either file."""
    has_certificate, has_key = certificate_path.exists(), _key_exists(key_path)
    if has_certificate and has_key:
        return _load(certificate_path, key_path)
    if has_key:
        raise CaError(
            f"{key_path} is there but {certificate_path} is not: restore the certificate from a backup, "
            f"or remove the key to start with a new CA (every device must then be enrolled again)"
        )
    if has_certificate:
        raise CaError(
            f"{certificate_path} is there but {key_path} is not: restore the key from a backup, "
            f"or remove the certificate to start with a new CA (every device must then be enrolled again)"
        )
    authority = new_authority(now())
    try:
        key_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(key_path.parent)
        certificate_path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        pem = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # the key first: a crash in between leaves a key that signed nothing yet, and the error above tells what to do
        write_new(key_path, pem, 0o600)
        write_new(certificate_path, authority.certificate.public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise CaError(
            f"the home CA cannot be written: {error}; the signer's user needs to own {key_path.parent} (mode 0700) "
            f"and to be able to write in {certificate_path.parent}"
        ) from error
    return authority


def _key_exists(key_path: Path) -> bool:
    try:
        return key_path.exists()
    except PermissionError as error:
        raise CaError(
            f"{key_path} cannot be looked at: {error}; run the signer as the user that owns {key_path.parent}"
        ) from error


def _check_folder(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise CaError(
            f"{folder} has owner {found.st_uid} and mode {found.st_mode & 0o777:04o}; "
            f"the CA key needs a folder that belongs to uid {os.geteuid()} alone (chmod 0700)"
        )


def _load(certificate_path: Path, key_path: Path) -> Authority:
    _check_folder(key_path.parent)
    try:
        found = key_path.stat()
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CaError(
            f"the home CA cannot be read ({certificate_path}, {key_path}): {error}; restore both from a backup"
        ) from error
    if found.st_mode & 0o077:
        raise CaError(f"{key_path} has mode {found.st_mode & 0o777:04o}; the CA key must be its owner's alone: chmod 0600")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CaError(f"{key_path} is not a P-256 key; restore the right one from a backup")
    if key.public_key() != certificate.public_key():
        raise CaError(f"{key_path} is not the key of {certificate_path}; restore the pair from one backup")
    return Authority(certificate, key)
