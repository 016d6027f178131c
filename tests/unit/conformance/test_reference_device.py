"""The reference device where its gateway is false or says no: what it then says, and what it keeps. (Its life: tests/home.)"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tests.home.lab import papers
from tests.home.reference import device as reference

CODE = "MUDROOMSAFEBOOTS"


class Heard(reference.Device):
    """Answers of a gateway, in order; notes what it was asked. Only the wire is not there."""

    def __init__(self, folder: Path, *answers: tuple[int, dict[str, str], bytes]) -> None:
        super().__init__(folder, CODE, "in.celsia.example")
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def est(self, context: ssl.SSLContext, operation: str, body: bytes | None = None, **fields: str) -> reference.Heard:
        self.asked.append((operation, context.verify_mode, fields))
        status, named, content = self.answers.pop(0)
        found = http.client.HTTPMessage()
        for name, value in named.items():
            found[name] = value
        return status, found, content


def authority() -> tuple[x509.Certificate, bytes]:
    found = papers.Authority("Home CA").certificate
    return found, base64.b64encode(pkcs7.serialize_certificates([found], Encoding.DER))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(reference.time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize("proof", ["0" * 64, "", "é"], ids=["wrong", "none", "odd"])
def test_a_gateway_that_proves_nothing_hears_nothing(tmp_path: Path, pauses: list[float], proof: str) -> None:
    named = {"Clear-Envelope-Nonce": "22" * 32} | ({"Clear-Envelope-Proof": proof} if proof else {})
    made = Heard(tmp_path, (200, named, authority()[1]))
    with pytest.raises(ValueError, match="false gateway"):
        made.enrol_once()
    assert [operation for operation, _, _ in made.asked] == ["cacerts"]
    assert list(tmp_path.iterdir()) == [], "it believes and keeps nothing of it"
    assert pauses == [60]


def test_it_waits_as_it_is_told_and_no_longer_than_an_hour(tmp_path: Path, pauses: list[float]) -> None:
    for told, waits in (("7", 7), ("86400", 3600), ("soon", 10), ("²", 10), ("9" * 5000, 10)):
        Heard(tmp_path, (202, {"Retry-After": told}, b"")).enrol_once()
        assert pauses.pop() == waits
    assert list(tmp_path.iterdir()) == []


def test_the_request_goes_only_to_whoever_the_proved_authority_vouches_for(tmp_path: Path, pauses: list[float]) -> None:
    certificate, content = authority()
    theirs = "22" * 32

    class Proving(Heard):
        def est(self, context: ssl.SSLContext, operation: str, body: bytes | None = None, **fields: str) -> reference.Heard:
            if operation == "cacerts":
                print_ = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
                lines = f"clear-envelope-1 enrolment gateway\n{print_}\n{fields['nonce']}\n{theirs}\n"
                self.answers[0][1]["Clear-Envelope-Proof"] = hmac.new(CODE.encode(), lines.encode(), hashlib.sha256).hexdigest()
            return super().est(context, operation, body, **fields)

    made = Proving(tmp_path, (200, {"Clear-Envelope-Nonce": theirs}, content), (403, {}, b"no"))
    made.enrol_once()
    assert [(operation, mode) for operation, mode, _ in made.asked] == [
        ("cacerts", ssl.CERT_NONE), ("simpleenroll", ssl.CERT_REQUIRED),
    ]  # fmt: skip
    assert not (tmp_path / "cert.pem").exists()
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert made.asked[0][2].keys() == {"nonce"}, "a stranger learns a random number and nothing else"
