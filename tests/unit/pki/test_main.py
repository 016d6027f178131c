"""The signer as a process of its own user: who may ask for what, over its real socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.frames import FrameReader, encode
from gateway.ipc.messages import AskStatus, Knocked, Pair, Paired, Proof, Prove, SignDevice, Signed, SignLeaf, Status
from gateway.reasons import Reason
from gateway.registry import Device, Kind, RegistryFile
from gateway.service import uid_of
from tests.unit.folders import passable

HOST = "api.acme.example"
SIGNER = """
import asyncio, sys
from pathlib import Path
from gateway.config import Config, Paths
from gateway.pki.main import serve
folder = sys.argv[1]
asyncio.run(serve(Config(paths=Paths(state=folder + "/state", run=folder + "/run")), asyncio.Event()))
"""
ASK = """
import sys
from pathlib import Path
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.messages import AskStatus, Enrol, Enrolled, Pair, Paired, Proof, Prove, SignDevice, Signed, SignLeaf, Status
path, kind, name, csr = Path(sys.argv[1]), sys.argv[2], sys.argv[3], bytes.fromhex(sys.argv[4])
mac = "02:00:00:00:00:01"
question = {
    "leaf": SignLeaf(1, name, csr), "device": SignDevice(1, name, csr, 30), "status": AskStatus(),
    "pair": Pair(1, name, mac, "MUDROOMSAFEBOOTS", 60), "prove": Prove(1, mac, bytes(32)), "enrol": Enrol(1, mac, csr, bytes(32)),
}[kind]
try:
    answer = ask(path, question, Signed | Status | Paired | Proof | Enrolled)
    print(answer.error or "signed" if isinstance(answer, Signed) else type(answer).__name__.lower())
except NoAnswer as error:
    print("no answer", error)
"""


def csr() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    )


class Signer:
    """A running signer and its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "run" / "signer" / "socket"
        self.process = subprocess.Popen([sys.executable, "-c", SIGNER, str(folder)], user="mudroom-signer", group="mudroom")
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def ask_as(self, user: str, kind: str, name: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", ASK, str(self.socket), kind, name, csr().hex()],
            user=user, group="mudroom", extra_groups=["mudroom"], capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        return done.stdout.strip()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    user = uid_of("signer")
    with passable("signer-t-") as folder:
        for name in ("state", "state/pki", "state/signer", "run", "run/signer"):
            (folder / name).mkdir()
        for name in ("state/pki", "state/signer", "run/signer"):
            os.chown(folder / name, user, -1)
        (folder / "state/signer").chmod(0o700)
        with RegistryFile(folder / "state" / "registry.json").change() as change:
            change.admit(Device("plug-1", "plug", Kind.STANDARD, "02:00:00:00:00:01"))
            document = (Path(__file__).parents[2] / "samples" / "acme.mud.json").read_bytes()
            change.approve("plug-1", document, IPv4Network("10.127.0.0/24"), IPv6Network("fd00::/64"))
        running = Signer(folder)
        yield running
        running.close()


def test_the_ca_is_made_and_only_its_certificate_is_readable(signer: Signer) -> None:
    certificate = signer.folder / "state" / "pki" / "ca.pem"
    x509.load_pem_x509_certificate(certificate.read_bytes())
    for path, readable in ((certificate, True), (signer.folder / "state" / "signer" / "ca.key", False)):
        done = subprocess.run(["cat", str(path)], user="mudroom-door", group="mudroom", capture_output=True)
        assert (done.returncode == 0) is readable


def test_the_door_gets_leaves_for_approved_hosts_only(signer: Signer) -> None:
    assert signer.ask_as("mudroom-door", "leaf", HOST) == "signed"
    assert "in no approved manifest" in signer.ask_as("mudroom-door", "leaf", "tracker.example")
    assert "in no approved manifest" in signer.ask_as("mudroom-door", "leaf", HOST.upper())


def test_the_door_gets_nothing_else(signer: Signer) -> None:
    assert "root" in signer.ask_as("mudroom-door", "device", "plug-1")
    assert "no answer" in signer.ask_as("mudroom-door", "status", "")


def test_enrolment_gets_its_own_leaf_and_what_it_relays(signer: Signer) -> None:
    assert signer.ask_as("mudroom-enrolment", "leaf", "mudroom.home.arpa") == "signed"
    assert "for the door only" in signer.ask_as("mudroom-enrolment", "leaf", HOST)
    assert "for enrolment and the owner's pages only" in signer.ask_as("mudroom-door", "leaf", "mudroom.home.arpa")
    assert signer.ask_as("mudroom-enrolment", "prove", "") == "proof"
    assert signer.ask_as("mudroom-enrolment", "enrol", "") == "enrolled"
    for kind, name in (("pair", "plug-1"), ("device", "plug-1"), ("status", "")):
        answer = signer.ask_as("mudroom-enrolment", kind, name)
        assert "no answer" in answer or "root" in answer


def test_the_door_neither_pairs_nor_enrols(signer: Signer) -> None:
    for kind in ("pair", "prove", "enrol"):
        assert "no answer" in signer.ask_as("mudroom-door", kind, "plug-1")


def test_the_owner_pairs_and_whoever_leaves_ends_it(signer: Signer) -> None:
    question = Pair(4, "plug-1", "02:00:00:00:00:01", "MUDROOMSAFEBOOTS", 60)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as owner:
        owner.connect(str(signer.socket))
        owner.sendall(encode(question))
        waits(signer, "plug-1")
        assert "already" in ask(signer.socket, question, Paired).error
        proof = ask(signer.socket, Prove(5, "02:00:00:00:00:01", bytes(32)), Proof)
        assert (proof.reason, len(proof.proof)) == (-1, 32)
        owner.settimeout(5)
        heard = [msgspec.msgpack.decode(each, type=Knocked | Paired) for each in FrameReader().feed(owner.recv(4096))]
        assert heard == [Knocked(4, 1)], "whoever waits hears that the device is there"
    waits(signer, "none")
    assert ask(signer.socket, Prove(5, "02:00:00:00:00:01", bytes(32)), Proof).reason == Reason.ENROLMENT_WAITING.code


def waits(signer: Signer, name: str) -> None:
    deadline = time.monotonic() + 10
    while ask(signer.socket, AskStatus(), Status).facts["waiting for their device"] != name:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_code_that_nobody_proves_ends_with_words(signer: Signer) -> None:
    answer = ask(signer.socket, Pair(4, "plug-1", "02:00:00:00:00:01", "MUDROOMSAFEBOOTS", 1), Paired)
    assert not answer.chain
    assert "did not ask" in answer.error


def test_others_get_nothing_at_all(signer: Signer) -> None:
    for user in ("mudroom-courier", "mudroom-names", "mudroom-ledger"):
        assert "no answer" in signer.ask_as(user, "leaf", HOST)


def test_root_gets_device_certificates_and_the_status(signer: Signer) -> None:
    answer = ask(signer.socket, SignDevice(7, "plug-1", csr(), 30), Signed)
    assert answer.ref == 7
    certificate = x509.load_pem_x509_certificate(answer.chain)
    authority = x509.load_pem_x509_certificate((signer.folder / "state" / "pki" / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)
    status = ask(signer.socket, AskStatus(), Status)
    assert status.ready
    assert int(status.facts["device certificates signed"]) >= 1


def test_bad_requests_get_words(signer: Signer) -> None:
    assert "not a certificate request" in ask(signer.socket, SignLeaf(1, HOST, b"rubbish"), Signed).error
    assert "limit is 4096" in ask(signer.socket, SignLeaf(1, HOST, b"x" * 5000), Signed).error
    assert "1 to 398" in ask(signer.socket, SignDevice(1, "plug-1", csr(), 4000), Signed).error


def test_a_flood_of_requests_is_slowed_down(signer: Signer) -> None:
    request = csr()
    errors = [ask(signer.socket, SignLeaf(1, HOST, request), Signed).error for _ in range(600)]
    assert "signatures a second" in errors[-1]


def test_a_second_start_keeps_the_ca(signer: Signer) -> None:
    before = (signer.folder / "state" / "pki" / "ca.pem").read_bytes()
    signer.close()
    signer.socket.unlink(missing_ok=True)
    again = Signer(signer.folder)
    try:
        assert (signer.folder / "state" / "pki" / "ca.pem").read_bytes() == before
        assert again.ask_as("mudroom-door", "leaf", HOST) == "signed"
    finally:
        again.close()
        with pytest.raises(NoAnswer):
            ask(again.socket, AskStatus(), Status)
