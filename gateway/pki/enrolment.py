"""Who gets a device certificate by enrolment: the label's code proved, or a known key renewed. No socket here.

The process that talks to devices only relays, and is believed in nothing: codes are kept here, in memory, as long as the
owner's command waits; proofs are checked here; a renewal is signed with the very key that it renews. A certificate of a
pairing goes out only after the owner's command has listed it, and codes and proofs are never part of a log line.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.ipc.messages import Enrol, Enrolled, Pair, Proof, Prove, Renew
from gateway.pki import issue
from gateway.pki.ca import Authority
from gateway.reasons import Reason
from gateway.registry import Device, Home, Kind, RegistryError, RegistryFile
from gateway.standard import enrolment
from gateway.standard.enrolment import EnrolmentError

log = logging.getLogger(__name__)

MOST_PAIRINGS = 16
LONGEST_SECONDS = 86_400
MOST_WRONG = 10  # proofs; then the pairing ends: the code is mistyped, or somebody poses as the device
ANSWERS_KEPT = 32
PROOFS = (2.0, 10.0)  # of one pairing, both directions: a second, at once
RENEWALS = (1 / 3600, 4.0)  # of one device
WAITING = (10.0, 40.0)  # of all who are not being paired: questions that lead nowhere
ASKING = (1.0, 8.0)  # for renewals, of one MAC, whatever comes of them
MOST_ASKING = 4096  # MACs that are remembered for it
MOST_CERTIFICATE = 4096


class Refused(Exception):
    """The request gets nothing."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class Bucket:
    """A token bucket: ``pace`` is tokens a second, and how many at once."""

    def __init__(self, pace: tuple[float, float], clock: Callable[[], float]) -> None:
        self._rate, self._most = pace
        self._clock = clock
        self._level, self._at = self._most, clock()

    def take(self) -> bool:
        """Whether there is one more."""
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


@dataclass
class Pairing:
    """A device whose code the owner entered, until it proved it once."""

    device: str
    mac: str
    code: str = field(repr=False)
    nonce: bytes
    ends: float  # of the clock
    bucket: Bucket
    asked: int = 0  # gateway's proofs given
    wrong: int = 0
    request: bytes = b""  # SHA-256 of the request that was granted
    chain: bytes = b""


class Enrolments:
    """Decides for one home CA. ``now``: the date; ``clock``: seconds that only grow; ``nonces``: so many random bytes."""

    def __init__(
        self,
        authority: Authority,
        registry: RegistryFile,
        *,
        days: int,
        now: Callable[[], datetime],
        clock: Callable[[], float] = monotonic,
        nonces: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._authority = authority
        self._ca = enrolment.fingerprint(authority.certificate.public_bytes(Encoding.DER))
        self._registry = registry
        self._days = days
        self._now = now
        self._clock = clock
        self._nonces = nonces
        self._pairings: dict[str, Pairing] = {}  # by MAC
        self._answers: dict[tuple[str, bytes], bytes] = {}  # (MAC, SHA-256 of request and proof): chain
        self._renewals: dict[str, Bucket] = {}
        self._asking: dict[str, Bucket] = {}  # by MAC
        self._nobody = Bucket(WAITING, clock)
        self.enrolled = self.renewed = self.refused = 0

    @property
    def waiting(self) -> list[str]:
        """Devices whose code was entered and not proved yet."""
        return sorted(pairing.device for pairing in self._pairings.values())

    def pair(self, message: Pair) -> Pairing:
        """Take a code. Raises RequestError."""
        try:
            code = enrolment.canonical_code(message.code)
            device = self._home().by_id.get(message.device)
        except (EnrolmentError, Refused) as error:
            raise issue.RequestError(str(error)) from None
        if device is None or device.mac != message.mac:
            raise issue.RequestError(f"there is no device {message.device} with MAC {message.mac} in the registry")
        if device.kind not in (Kind.LOCAL, Kind.STANDARD):
            raise issue.RequestError(f"{device.id} is {device.kind.value}; make it local or standard first")
        if not 1 <= message.seconds <= LONGEST_SECONDS:
            raise issue.RequestError(f"a code is kept 1 to {LONGEST_SECONDS} seconds")
        if message.mac in self._pairings:
            raise issue.RequestError(f"{device.id} is being paired already; end that command first")
        if len(self._pairings) >= MOST_PAIRINGS:
            raise issue.RequestError(f"{MOST_PAIRINGS} devices are being paired; wait for one of them")
        clock = self._clock
        pairing = Pairing(
            device.id, device.mac, code, self._nonces(enrolment.NONCE_SIZE), clock() + message.seconds, Bucket(PROOFS, clock)
        )
        self._pairings[device.mac] = pairing
        return pairing

    def end(self, pairing: Pairing) -> None:
        """Forget a pairing and its code."""
        if self._pairings.get(pairing.mac) is pairing:
            del self._pairings[pairing.mac]
        pairing.code = ""

    def prove(self, message: Prove) -> Proof:
        """The gateway's half, for the device whose code was entered and for nobody else."""
        try:
            pairing = self._pairing(message.mac)
            proof = enrolment.gateway_proof(pairing.code, self._ca, message.nonce, pairing.nonce)
        except Refused as refusal:
            return Proof(message.ref, b"", b"", refusal.reason.code)
        except EnrolmentError:
            return Proof(message.ref, b"", b"", Reason.ENROLMENT_REQUEST.code)
        pairing.asked += 1
        return Proof(message.ref, pairing.nonce, proof, -1)

    def enrol(self, message: Enrol) -> Pairing | Enrolled:
        """A Pairing whose ``chain`` is to be recorded before it is handed out (``recorded``), or the answer at once."""
        digest = hashlib.sha256(message.csr + message.proof).digest()
        chain = self._answers.get((message.mac, digest))
        if chain is not None:  # its answer was lost on the way: the same request gets the same certificate
            return Enrolled(message.ref, chain, -1, "")
        try:
            pairing = self._proven(message)
            pairing.chain = self._issue(self._newcomer(pairing, message), message.csr)
        except Refused as refusal:
            return self._refuse(message, refusal)
        pairing.request = digest
        return pairing

    def _proven(self, message: Enrol) -> Pairing:
        pairing = self._pairing(message.mac)
        expected = enrolment.device_proof(pairing.code, self._ca, pairing.nonce, message.csr)
        if not enrolment.same(message.proof, expected):
            pairing.wrong += 1
            raise Refused(Reason.ENROLMENT_PROOF, "the proof does not fit the code that the owner entered")
        if pairing.chain:
            raise Refused(Reason.ENROLMENT_RATE, "a certificate for this device is being recorded; ask again in a moment")
        return pairing

    def _newcomer(self, pairing: Pairing, message: Enrol) -> Device:
        device = self._welcome(pairing.device, message.mac)
        known = self._home().by_key.get(self._key(message.csr))
        if known is not None and (known[0].id != device.id or known[1].revoked):
            raise Refused(Reason.ENROLMENT_REQUEST, "this key is another device's or was revoked; make a new one")
        return device

    def recorded(self, pairing: Pairing) -> None:
        """The owner's command has listed the certificate: the code has done its work."""
        self.end(pairing)
        while len(self._answers) >= ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]
        self._answers[(pairing.mac, pairing.request)] = pairing.chain
        self.enrolled += 1
        log.info("enrolled %s", pairing.device)

    def renew(self, message: Renew) -> Enrolled:
        """A new certificate for a known key, whether or not its old one has expired."""
        try:
            chain = self._issue(self._known(message), message.csr)
        except Refused as refusal:
            return self._refuse(message, refusal)
        self.renewed += 1
        return Enrolled(message.ref, chain, -1, "")

    def _known(self, message: Renew) -> Device:
        if len(self._asking) >= MOST_ASKING:
            self._asking.clear()
        if not self._asking.setdefault(message.mac, Bucket(ASKING, self._clock)).take():  # before anything is verified
            raise Refused(Reason.ENROLMENT_RATE, "asked too often; wait a minute")
        device, key = self._holder(message)
        if self._key(message.csr) != key:
            raise Refused(
                Reason.ENROLMENT_REQUEST, "a renewal keeps the key of its certificate; for a new key its owner pairs the device"
            )
        if not self._renewals.setdefault(device.id, Bucket(RENEWALS, self._clock)).take():
            raise Refused(Reason.ENROLMENT_RATE, "a certificate is renewed four times at once, and then every hour")
        return device

    def _refuse(self, message: Enrol | Renew, refusal: Refused) -> Enrolled:
        self.refused += 1
        log.warning("refused a certificate to %s: %s", message.mac, refusal.detail)
        return Enrolled(message.ref, b"", refusal.reason.code, refusal.detail)

    def _pairing(self, mac: str) -> Pairing:
        pairing = self._pairings.get(mac)
        if pairing is None or self._clock() >= pairing.ends:
            if not self._nobody.take():
                raise Refused(Reason.ENROLMENT_RATE, "the gateway is asked too often; wait a minute")
            raise Refused(Reason.ENROLMENT_WAITING, "the owner has not entered this device's code yet; ask again later")
        if pairing.wrong >= MOST_WRONG:
            raise Refused(Reason.ENROLMENT_PROOF, "too many wrong proofs; the owner must enter the code anew")
        if not pairing.bucket.take():
            raise Refused(Reason.ENROLMENT_RATE, "asked too often; wait some seconds")
        return pairing

    def _home(self) -> Home:
        try:
            return self._registry.current()
        except (RegistryError, ValueError) as error:
            log.error("nobody is enrolled: %s", error)
            raise Refused(Reason.ENROLMENT_FAILED, "the gateway cannot read who is admitted; try again later") from None

    def _welcome(self, device_id: str, mac: str) -> Device:
        device = self._home().by_id.get(device_id)
        if device is None or device.mac != mac or device.kind not in (Kind.LOCAL, Kind.STANDARD):
            raise Refused(Reason.IDENTITY_UNKNOWN, "the owner has not admitted this device, or has quarantined it")
        return device

    def _holder(self, message: Renew) -> tuple[Device, str]:
        """The device whose enrolled, unrevoked key ``message.certificate`` names, and that key."""
        if len(message.certificate) > MOST_CERTIFICATE:
            raise Refused(Reason.CERTIFICATE_UNTRUSTED, "the certificate is too long to be one of the home CA's")
        try:
            certificate = x509.load_der_x509_certificate(message.certificate)
            certificate.verify_directly_issued_by(self._authority.certificate)
            key = _digest(certificate.public_key())
        except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature):
            raise Refused(Reason.CERTIFICATE_UNTRUSTED, "the home CA did not issue this certificate") from None
        listed = self._home().by_key.get(key)
        if listed is None or listed[1].revoked:
            raise Refused(Reason.CERTIFICATE_REVOKED, "this key was revoked, or never enrolled; the owner pairs the device anew")
        return self._welcome(listed[0].id, message.mac), key

    def _key(self, csr: bytes) -> str:
        try:
            return _digest(issue.public_key_of(csr))
        except issue.RequestError as error:
            raise Refused(Reason.ENROLMENT_REQUEST, str(error)) from None

    def _issue(self, device: Device, csr: bytes) -> bytes:
        try:
            certificate = issue.device_certificate(self._authority, device.id, csr, self._days, self._now())
        except issue.RequestError as error:
            raise Refused(Reason.ENROLMENT_REQUEST, str(error)) from None
        log.info("signed a certificate for %s by enrolment, serial %x", device.id, certificate.serial_number)
        return certificate.public_bytes(Encoding.PEM)


def _digest(key: object) -> str:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("not an EC key")
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
