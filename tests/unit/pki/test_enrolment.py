"""Who gets a certificate by enrolment: a talk between device, owner and signer, and everybody who tries to cheat in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ipc.messages import Enrol, Enrolled, Pair, Prove, Renew
from gateway.pairing import listed
from gateway.pki import issue
from gateway.pki.ca import new_authority
from gateway.pki.enrolment import MOST_PAIRINGS, MOST_WRONG, Enrolments, Pairing
from gateway.pki.issue import RequestError
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryError, RegistryFile
from gateway.standard import enrolment

NOW = datetime(2026, 11, 25, tzinfo=UTC)
CODE, OTHER = "MUDROOMSAFEBOOTS", "ABCDEFGHIJKLMNOPQR"
MAC, NEIGHBOUR = "02:00:00:00:00:01", "02:00:00:00:00:02"
NONCE = bytes([0x11]) * 32
AUTHORITY, FOREIGN = new_authority(NOW), new_authority(NOW)
CA = enrolment.fingerprint(AUTHORITY.certificate.public_bytes(Encoding.DER))


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mudroom.home.arpa")])  # ignored, whatever it is
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@dataclass
class Gateway:
    """A signer's enrolments with two admitted devices, and hands on its clock."""

    folder: Path
    at: float = 1000.0
    today: datetime = NOW
    registry: RegistryFile = field(init=False)
    enrolments: Enrolments = field(init=False)

    def __post_init__(self) -> None:
        self.registry = RegistryFile(self.folder / "registry.json")
        with self.registry.change() as change:
            change.admit(Device("plug", "plug", Kind.LOCAL, MAC))
            change.admit(Device("lamp", "lamp", Kind.STANDARD, NEIGHBOUR))
        self.enrolments = Enrolments(AUTHORITY, self.registry, days=30, now=lambda: self.today, clock=lambda: self.at)

    def pair(self, device: str = "plug", mac: str = MAC, code: str = CODE, seconds: int = 900) -> Pairing:
        return self.enrolments.pair(Pair(1, device, mac, code, seconds))

    def nonce(self, mac: str = MAC) -> bytes:
        proof = self.enrolments.prove(Prove(1, mac, NONCE))
        assert proof.reason == -1
        return proof.nonce

    def enrol(self, request: bytes, proof: bytes, mac: str = MAC) -> Pairing | Enrolled:
        return self.enrolments.enrol(Enrol(2, mac, request, proof))

    def whole(self, key: ec.EllipticCurvePrivateKey, device: str = "plug", mac: str = MAC) -> bytes:
        """A whole enrolment; the certificate (PEM)."""
        self.pair(device, mac)
        request = csr(key)
        found = self.enrol(request, enrolment.device_proof(CODE, CA, self.nonce(mac), request), mac)
        assert isinstance(found, Pairing)
        with self.registry.change() as change:
            change.add_certificate(device, listed(found.chain))
        self.enrolments.recorded(found)
        return found.chain

    def renew(self, chain: bytes, key: ec.EllipticCurvePrivateKey, mac: str = MAC) -> Enrolled:
        certificate = x509.load_pem_x509_certificate(chain).public_bytes(Encoding.DER)
        return self.enrolments.renew(Renew(3, mac, certificate, csr(key)))


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def reason(answer: Pairing | Enrolled) -> Reason | None:
    """Why not."""
    assert isinstance(answer, Enrolled), "granted"
    assert bool(answer.chain) is (answer.reason == -1)
    return None if answer.reason == -1 else Reason.from_code(answer.reason)


def test_a_device_enrols_and_its_certificate_names_it(gateway: Gateway) -> None:
    key = new_key()
    certificate = x509.load_pem_x509_certificate(gateway.whole(key))
    certificate.verify_directly_issued_by(AUTHORITY.certificate)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=plug"
    assert certificate.not_valid_after_utc == NOW + timedelta(days=30)
    assert gateway.enrolments.waiting == []


def test_the_gateway_proves_the_code_and_binds_its_ca(gateway: Gateway) -> None:
    gateway.pair()
    proof = gateway.enrolments.prove(Prove(1, MAC, NONCE))
    assert proof.proof == enrolment.gateway_proof(CODE, CA, NONCE, proof.nonce)
    theirs = enrolment.fingerprint(FOREIGN.certificate.public_bytes(Encoding.DER))
    assert proof.proof != enrolment.gateway_proof(CODE, theirs, NONCE, proof.nonce), "a false gateway's CA has no proof"


def test_before_the_owner_enters_the_code_everybody_waits(gateway: Gateway) -> None:
    assert gateway.enrolments.prove(Prove(1, MAC, NONCE)).reason == Reason.ENROLMENT_WAITING.code
    assert reason(gateway.enrol(csr(new_key()), bytes(32))) is Reason.ENROLMENT_WAITING


def test_another_address_gets_neither_proof_nor_certificate(gateway: Gateway) -> None:
    gateway.pair()
    request = csr(new_key())
    proof = enrolment.device_proof(CODE, CA, gateway.nonce(), request)
    assert gateway.enrolments.prove(Prove(1, NEIGHBOUR, NONCE)).reason == Reason.ENROLMENT_WAITING.code
    assert reason(gateway.enrol(request, proof, NEIGHBOUR)) is Reason.ENROLMENT_WAITING
    assert isinstance(gateway.enrol(request, proof), Pairing), "the device itself is not hindered"


@pytest.mark.parametrize("cheat", ["wrong code", "wrong CA", "other request", "other nonce", "reflection", "empty", "long"])
def test_a_proof_that_does_not_fit_gets_nothing(gateway: Gateway, cheat: str) -> None:
    gateway.pair()
    nonce, request = gateway.nonce(), csr(new_key())
    proofs = {
        "wrong code": enrolment.device_proof(OTHER, CA, nonce, request),
        "wrong CA": enrolment.device_proof(CODE, bytes(32), nonce, request),
        "other request": enrolment.device_proof(CODE, CA, nonce, csr(new_key())),
        "other nonce": enrolment.device_proof(CODE, CA, NONCE, request),
        "reflection": gateway.enrolments.prove(Prove(1, MAC, nonce)).proof,
        "empty": b"",
        "long": enrolment.device_proof(CODE, CA, nonce, request) + b"\0",
    }
    assert reason(gateway.enrol(request, proofs[cheat])) is Reason.ENROLMENT_PROOF


def test_an_old_proof_is_worth_nothing_in_a_new_pairing(gateway: Gateway) -> None:
    first = gateway.pair()
    request = csr(new_key())
    proof = enrolment.device_proof(CODE, CA, gateway.nonce(), request)
    gateway.enrolments.end(first)
    gateway.pair()
    assert reason(gateway.enrol(request, proof)) is Reason.ENROLMENT_PROOF


def test_a_code_serves_once_and_a_lost_answer_is_given_again(gateway: Gateway) -> None:
    pairing = gateway.pair()
    request = csr(new_key())
    proof = enrolment.device_proof(CODE, CA, gateway.nonce(), request)
    found = gateway.enrol(request, proof)
    assert found is pairing
    # while the owner's command records it: nothing for anybody, the same request included
    other = csr(new_key())
    assert reason(gateway.enrol(other, enrolment.device_proof(CODE, CA, pairing.nonce, other))) is Reason.ENROLMENT_RATE
    gateway.enrolments.recorded(pairing)
    assert pairing.code == ""
    again = gateway.enrol(request, proof)
    assert isinstance(again, Enrolled)
    assert again.chain == pairing.chain
    assert reason(gateway.enrol(request, proof, NEIGHBOUR)) is Reason.ENROLMENT_WAITING
    assert reason(gateway.enrol(other, enrolment.device_proof(CODE, CA, pairing.nonce, other))) is Reason.ENROLMENT_WAITING


def test_a_code_runs_out(gateway: Gateway) -> None:
    gateway.pair(seconds=60)
    request = csr(new_key())
    proof = enrolment.device_proof(CODE, CA, gateway.nonce(), request)
    gateway.at += 60
    assert reason(gateway.enrol(request, proof)) is Reason.ENROLMENT_WAITING


def test_guesses_are_slow_and_few(gateway: Gateway) -> None:
    gateway.pair()
    request = csr(new_key())
    at_once = [reason(gateway.enrol(request, bytes(32))) for _ in range(MOST_WRONG + 5)]
    assert at_once == [Reason.ENROLMENT_PROOF] * (MOST_WRONG + 5), "ten are looked at, then none"
    right = enrolment.device_proof(CODE, CA, next(iter(gateway.enrolments._pairings.values())).nonce, request)
    assert reason(gateway.enrol(request, right)) is Reason.ENROLMENT_PROOF
    assert gateway.enrolments.prove(Prove(1, MAC, NONCE)).reason == Reason.ENROLMENT_PROOF.code


def test_questions_are_rate_limited_for_each_pairing_and_for_all(gateway: Gateway) -> None:
    gateway.pair()
    asked = [gateway.enrolments.prove(Prove(1, MAC, NONCE)).reason for _ in range(12)]
    assert asked == [-1] * 10 + [Reason.ENROLMENT_RATE.code] * 2
    strangers = [gateway.enrolments.prove(Prove(1, NEIGHBOUR, NONCE)).reason for _ in range(45)]
    assert strangers[-1] == Reason.ENROLMENT_RATE.code
    gateway.at += 1
    assert gateway.enrolments.prove(Prove(1, MAC, NONCE)).reason == -1


def test_only_a_p256_key_whose_holder_signed(gateway: Gateway) -> None:
    gateway.pair()
    nonce = gateway.nonce()
    broken = bytearray(csr(new_key()))
    broken[-1] ^= 1
    p384 = csr(ec.generate_private_key(ec.SECP384R1()))
    for request in (csr(rsa.generate_private_key(65537, 2048)), p384, bytes(broken), b"rubbish", b""):
        answer = gateway.enrol(request, enrolment.device_proof(CODE, CA, nonce, request))
        assert reason(answer) is Reason.ENROLMENT_REQUEST
        gateway.at += 1


def test_who_is_quarantined_or_forgotten_meanwhile_gets_nothing(gateway: Gateway) -> None:
    gateway.pair()
    request = csr(new_key())
    proof = enrolment.device_proof(CODE, CA, gateway.nonce(), request)
    for kind in (Kind.QUARANTINED, Kind.UNKNOWN):
        with gateway.registry.change() as change:
            change.set_kind("plug", kind)
        assert reason(gateway.enrol(request, proof)) is Reason.IDENTITY_UNKNOWN
    with gateway.registry.change() as change:
        change.forget("plug")
    assert reason(gateway.enrol(request, proof)) is Reason.IDENTITY_UNKNOWN


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": "nobody"}, "no device"),
        ({"mac": NEIGHBOUR}, "no device"),
        ({"code": "SHORT"}, "16 to 64"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 100_000}, "seconds"),
    ],
)
def test_what_the_owner_may_get_wrong(gateway: Gateway, change: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        gateway.pair(**change)  # type: ignore[arg-type]


def test_one_pairing_for_each_device_and_not_many(gateway: Gateway) -> None:
    gateway.pair()
    with pytest.raises(RequestError, match="already"):
        gateway.pair()
    with gateway.registry.change() as change:
        for number in range(MOST_PAIRINGS):
            change.admit(Device(f"d{number}", "d", Kind.LOCAL, f"02:00:00:00:01:{number:02x}"))
    with pytest.raises(RequestError, match="16 devices"):
        for number in range(MOST_PAIRINGS):
            gateway.pair(f"d{number}", f"02:00:00:00:01:{number:02x}")


# --- renewals -----------------------------------------------------------------------------------------------------


def test_a_known_key_renews_even_after_its_certificate_expired(gateway: Gateway) -> None:
    key = new_key()
    chain = gateway.whole(key)
    gateway.today += timedelta(days=400)
    answer = gateway.renew(chain, key)
    assert reason(answer) is None
    renewed = x509.load_pem_x509_certificate(answer.chain)
    assert renewed.subject.rfc4514_string() == "CN=plug"
    assert renewed.not_valid_after_utc == gateway.today + timedelta(days=30)
    # and the renewed one renews in its turn
    assert reason(gateway.renew(answer.chain, key)) is None


def test_a_revoked_key_renews_nothing_and_cannot_enrol_again(gateway: Gateway) -> None:
    key = new_key()
    chain = gateway.whole(key)
    with gateway.registry.change() as change:
        change.revoke("plug")
    assert reason(gateway.renew(chain, key)) is Reason.CERTIFICATE_REVOKED
    gateway.pair()
    request = csr(key)
    answer = gateway.enrol(request, enrolment.device_proof(CODE, CA, gateway.nonce(), request))
    assert reason(answer) is Reason.ENROLMENT_REQUEST


def test_a_renewal_is_for_the_device_that_asks_and_its_own_key(gateway: Gateway) -> None:
    key = new_key()
    chain = gateway.whole(key)
    assert reason(gateway.renew(chain, new_key())) is Reason.ENROLMENT_REQUEST, "whoever relays it cannot put in a key of his"
    assert reason(gateway.renew(chain, key, NEIGHBOUR)) is Reason.IDENTITY_UNKNOWN
    for kind in (Kind.QUARANTINED, Kind.UNKNOWN):
        with gateway.registry.change() as change:
            change.set_kind("plug", kind)
        assert reason(gateway.renew(chain, key)) is Reason.IDENTITY_UNKNOWN
    with gateway.registry.change() as change:
        change.forget("plug")
    assert reason(gateway.renew(chain, key)) is Reason.CERTIFICATE_REVOKED


def test_certificates_that_enrolment_did_not_give_renew_nothing(gateway: Gateway) -> None:
    key = new_key()
    for authority, found in ((AUTHORITY, Reason.CERTIFICATE_REVOKED), (FOREIGN, Reason.CERTIFICATE_UNTRUSTED)):
        certificate = issue.device_certificate(authority, "plug", csr(key), 30, NOW)
        assert reason(gateway.renew(certificate.public_bytes(Encoding.PEM), key)) is found
    leaf = issue.leaf(AUTHORITY, "api.acme.example", csr(key), NOW)
    assert reason(gateway.renew(leaf.public_bytes(Encoding.PEM), key)) is Reason.CERTIFICATE_REVOKED
    ca = AUTHORITY.certificate.public_bytes(Encoding.PEM)
    assert reason(gateway.renew(ca, AUTHORITY.key)) is Reason.CERTIFICATE_REVOKED
    for rubbish in (b"", b"rubbish", bytes(5000)):
        answer = gateway.enrolments.renew(Renew(1, MAC, rubbish, csr(key)))
        assert reason(answer) is Reason.CERTIFICATE_UNTRUSTED


def test_renewals_are_few(gateway: Gateway) -> None:
    key = new_key()
    chain = gateway.whole(key)
    assert [reason(gateway.renew(chain, key)) for _ in range(5)] == [None] * 4 + [Reason.ENROLMENT_RATE]
    gateway.at += 3600
    assert reason(gateway.renew(chain, key)) is None


def test_whoever_asks_for_renewals_without_end_hinders_nobody_else(gateway: Gateway) -> None:
    key = new_key()
    chain = gateway.whole(key)
    rubbish = [gateway.enrolments.renew(Renew(1, NEIGHBOUR, b"rubbish", b"")) for _ in range(100)]
    assert reason(rubbish[-1]) is Reason.ENROLMENT_RATE
    assert [gateway.enrolments.prove(Prove(1, NEIGHBOUR, NONCE)).reason for _ in range(100)][-1] == Reason.ENROLMENT_RATE.code
    assert reason(gateway.renew(chain, key)) is None
    gateway.pair()
    assert gateway.enrolments.prove(Prove(1, MAC, NONCE)).reason == -1


def test_no_code_and_no_proof_is_logged(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    gateway.whole(new_key())
    pairing = gateway.pair()
    gateway.enrol(csr(new_key()), bytes(32))
    assert "enrolled plug" in caplog.text
    assert "02:00:00:00:00:01" in caplog.text
    assert CODE not in caplog.text
    assert CODE not in repr(pairing)


def test_two_devices_cannot_share_a_key(gateway: Gateway) -> None:
    key = new_key()
    chain = gateway.whole(key)
    with gateway.registry.change() as change, pytest.raises(RegistryError, match="another device"):
        change.add_certificate("lamp", listed(chain))
    gateway.pair("lamp", NEIGHBOUR)
    request = csr(key)
    answer = gateway.enrol(request, enrolment.device_proof(CODE, CA, gateway.nonce(NEIGHBOUR), request), NEIGHBOUR)
    assert reason(answer) is Reason.ENROLMENT_REQUEST


def test_an_unreadable_registry_enrols_nobody(gateway: Gateway) -> None:
    gateway.pair()
    request = csr(new_key())
    proof = enrolment.device_proof(CODE, CA, gateway.nonce(), request)
    gateway.registry.path.write_text("{")
    assert reason(gateway.enrol(request, proof)) is Reason.ENROLMENT_FAILED


def test_no_manifest_makes_the_door_pose_as_enrolment(gateway: Gateway) -> None:
    from gateway.ipc.messages import Signed, SignLeaf
    from gateway.pki.signer import Signer

    document = (Path(__file__).parents[2] / "samples" / "acme.mud.json").read_text()
    document = document.replace("api.acme.example", enrolment.HOST)
    with gateway.registry.change() as change:
        change.approve("lamp", document.encode(), IPv4Network("10.127.0.0/24"), IPv6Network("fd00::/64"))
    signer = Signer(AUTHORITY, gateway.registry, 951, now=lambda: NOW, enrolment_uid=958)
    for uid, granted in ((951, False), (958, True)):
        answer = signer.answer(uid, SignLeaf(1, enrolment.HOST, csr(new_key())))
        assert isinstance(answer, Signed)
        assert bool(answer.chain) is granted
    refused = signer.answer(958, SignLeaf(1, "www.acme.example", csr(new_key())))
    assert isinstance(refused, Signed)
    assert not refused.chain


def test_a_renewal_with_a_version_that_does_not_exist_is_refused(gateway: Gateway) -> None:
    key = new_key()
    certificate = x509.load_pem_x509_certificate(gateway.whole(key)).public_bytes(Encoding.DER)
    request = csr(key)
    at = request.index(b"\x02\x01\x00")  # INTEGER 0, the only version of PKCS #10 (RFC 2986 section 4.1)
    request = request[: at + 2] + b"\x6f" + request[at + 3 :]
    assert reason(gateway.enrolments.renew(Renew(3, MAC, certificate, request))) is Reason.ENROLMENT_REQUEST
    at = certificate.index(b"\xa0\x03\x02\x01\x02")  # version 3 (RFC 5280 section 4.1.2.1)
    certificate = certificate[: at + 4] + b"\x6f" + certificate[at + 5 :]
    assert reason(gateway.enrolments.renew(Renew(3, MAC, certificate, csr(key)))) is Reason.CERTIFICATE_UNTRUSTED
