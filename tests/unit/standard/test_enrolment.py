"""Enrolment's proofs: the standard's test vector, and what must never be the same."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.standard import enrolment
from gateway.standard.enrolment import EnrolmentError

ROOT = Path(__file__).parents[3]
VECTOR = json.loads((ROOT / "tests" / "vectors" / "enrolment.json").read_text())
CODE = VECTOR["code"]
CA, DEVICE_NONCE, GATEWAY_NONCE = (bytes.fromhex(VECTOR[name]) for name in ("ca_fingerprint", "device_nonce", "gateway_nonce"))
REQUEST = VECTOR["request"].encode()


def test_the_vector() -> None:
    assert enrolment.gateway_proof(CODE, CA, DEVICE_NONCE, GATEWAY_NONCE).hex() == VECTOR["gateway_proof"]
    assert enrolment.device_proof(CODE, CA, GATEWAY_NONCE, REQUEST).hex() == VECTOR["device_proof"]


def test_the_page_has_the_same_vector() -> None:
    page = (ROOT / "docs" / "clear-envelope.md").read_text()
    for name in ("code", "gateway_proof", "device_proof", "request"):
        assert VECTOR[name] in page, name
    for direction in ("gateway", "device"):
        assert VECTOR[f"{direction}_lines"][0] in page


@pytest.mark.skipif(shutil.which("openssl") is None, reason="another implementation is needed")
@pytest.mark.parametrize("direction", ["gateway", "device"])
def test_openssl_computes_the_same(direction: str) -> None:
    text = "".join(f"{line}\n" for line in VECTOR[f"{direction}_lines"])
    done = subprocess.run(["openssl", "dgst", "-sha256", "-hmac", CODE], input=text.encode(), capture_output=True, check=True)
    assert done.stdout.decode().split()[-1] == VECTOR[f"{direction}_proof"]


def test_no_change_leaves_a_proof_as_it_is() -> None:
    proofs = {
        enrolment.gateway_proof(CODE, CA, DEVICE_NONCE, GATEWAY_NONCE),
        enrolment.gateway_proof(CODE + "A", CA, DEVICE_NONCE, GATEWAY_NONCE),
        enrolment.gateway_proof(CODE, GATEWAY_NONCE, DEVICE_NONCE, GATEWAY_NONCE),
        enrolment.gateway_proof(CODE, CA, CA, GATEWAY_NONCE),
        enrolment.gateway_proof(CODE, CA, DEVICE_NONCE, CA),
        # swapped, and reflected: the other direction's proof over the very same bytes
        enrolment.gateway_proof(CODE, CA, GATEWAY_NONCE, DEVICE_NONCE),
        enrolment.device_proof(CODE, CA, GATEWAY_NONCE, REQUEST),
        enrolment.device_proof(CODE, CA, DEVICE_NONCE, REQUEST),
        enrolment.device_proof(CODE, CA, GATEWAY_NONCE, REQUEST + b"!"),
    }
    assert len(proofs) == 9


def test_parts_of_another_length_are_refused() -> None:
    for short in (b"", bytes(31), bytes(33)):
        with pytest.raises(EnrolmentError):
            enrolment.gateway_proof(CODE, CA, short, GATEWAY_NONCE)


@pytest.mark.parametrize("text", ["mudr-ooms-afeb-oots", " MUDR OOMS AFEB OOTS ", "MUDROOMSAFEBOOTS"])
def test_a_code_is_read_as_people_write_it(text: str) -> None:
    assert enrolment.canonical_code(text) == CODE


@pytest.mark.parametrize(
    "text", ["", "MUDROOMSAFEBOOT", "A" * 65, "MUDROOMSAFEBOOT1", "MUDROOMSAFEBOOT8", "MUDROOMSAFEBOOTß", "MUDROOMSAFEBOOTS\n"]
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(EnrolmentError, match="16 to 64"):
        enrolment.canonical_code(text)


def test_a_request_is_base64_in_any_lines() -> None:
    packed = base64.b64encode(REQUEST)
    assert enrolment.read_request(packed) == enrolment.read_request(packed[:5] + b"\r\n" + packed[5:] + b"\n") == REQUEST


@pytest.mark.parametrize("content", [b"", b"%%%%", b"-----BEGIN", b"AAA", b"AAAA====", base64.b64encode(bytes(4097))])
def test_what_is_no_request_is_refused(content: bytes) -> None:
    with pytest.raises(EnrolmentError):
        enrolment.read_request(content)


@pytest.mark.parametrize("text", [None, "", "00", "g" * 64, "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_a_field_holds_64_hexadecimal_digits(text: str | None) -> None:
    with pytest.raises(EnrolmentError, match="64 hexadecimal"):
        enrolment.read_hex("x", text)
