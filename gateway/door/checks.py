"""Who may come in, decided from values alone: the registry, the TLS hello and the device's certificate.

Each check answers None (go on) or the reason to drop. None of them may raise for anything that a device can send.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.reasons import Reason
from gateway.registry import Home, Kind


@dataclass(frozen=True, slots=True)
class Peer:
    """What the door reads in a device certificate. ``serial``: lower-case hexadecimal; times in seconds since the epoch."""

    serial: str
    not_before: float
    not_after: float
    for_clients: bool
    by_home_ca: bool
    key: str = ""  # SHA-256 of its public key (SubjectPublicKeyInfo), lower-case hexadecimal


@dataclass(frozen=True, slots=True)
class Target:
    """Where a device connected to: the original destination, which is the listener's own end of the connection."""

    address: str
    port: int


def check_device(home: Home, device_id: str) -> Reason | None:
    """Whether the holder of the peer's address is a device that may use the door at all."""
    device = home.by_id.get(device_id)
    if device is None or device.kind is not Kind.STANDARD:
        return Reason.IDENTITY_UNKNOWN
    return None


def check_hello(home: Home, device_id: str, name: str, target: Target, door_port: int) -> Reason | None:
    """Whether this device may reach ``name`` (server name of the hello, lower case) at the target it chose."""
    device = home.by_id.get(device_id)
    if device is None:
        return Reason.IDENTITY_UNKNOWN
    if not name:
        return Reason.SNI_MISSING
    pool = home.pool_for(device, name)
    if pool is None:
        return Reason.SNI_NOT_APPROVED
    try:
        expected = {ip_address(pool.v4), ip_address(pool.v6)}
        if ip_address(target.address) not in expected or target.port != door_port:
            return Reason.ADDRESS_MISMATCH
    except ValueError:
        return Reason.ADDRESS_MISMATCH
    return None


def check_peer(home: Home, device_id: str, peer: Peer | None, now: float) -> Reason | None:
    """Whether the certificate is one that the registry lists, unrevoked, for this very device. ``now``: s since the epoch.

    OpenSSL verified the chain already; issuer, use and validity are looked at again, because a resumed session
    repeats no verification.
    """
    if peer is None:
        return Reason.CERTIFICATE_MISSING
    if not (peer.by_home_ca and peer.for_clients and peer.not_before <= now <= peer.not_after):
        return Reason.CERTIFICATE_UNTRUSTED
    listed = home.by_serial.get(peer.serial) or home.by_key.get(peer.key)  # a renewed one has a new serial and its old key
    if listed is None:
        # the home CA signed it, but its device was forgotten since, or it was never recorded
        return Reason.CERTIFICATE_REVOKED
    device, certificate = listed
    if device.id != device_id:
        return Reason.CERTIFICATE_OTHER
    return Reason.CERTIFICATE_REVOKED if certificate.revoked else None


@lru_cache(maxsize=2048)
def read_peer(certificate: x509.Certificate, ca: x509.Certificate) -> Peer:
    """What the checks need of a certificate that OpenSSL accepted; kept, since devices come back with the same one."""
    try:
        certificate.verify_directly_issued_by(ca)
        by_home_ca = True
    except (ValueError, TypeError, InvalidSignature):
        by_home_ca = False
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        for_clients = ExtendedKeyUsageOID.CLIENT_AUTH in usage
    except (ValueError, x509.ExtensionNotFound):
        for_clients = False
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Peer(
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        for_clients=for_clients,
        by_home_ca=by_home_ca,
        key=hashlib.sha256(spki).hexdigest(),
    )
