"""The page for vendors and tests/vectors/signature.json show the bytes that really leave."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.courier.job import job_for
from gateway.courier.keys import PairKey
from gateway.courier.permission import Permit
from gateway.ipc.messages import Deliver
from gateway.standard.claim import TYPE, claim
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest
from gateway.standard.signing import COMPONENTS
from tests.home.lab.proof import proven

ROOT = Path(__file__).parents[3]
VECTOR = json.loads((ROOT / "tests" / "vectors" / "signature.json").read_text())
PAGE = (ROOT / "docs" / "clear-envelope.md").read_text()
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTOR["secret_key"]))
MANIFEST = parse_manifest((ROOT / "tests" / "samples" / "acme.mud.json").read_bytes())


def written(type: str, body: bytes) -> str:
    public = urlsafe_b64encode(KEY.public_key().public_bytes_raw()).decode().rstrip("=")
    envelope = json.loads(body)
    deliver = Deliver(envelope["id"], "plug", "Acme", "api.acme.example", type, body)
    permit = Permit(Judge(MANIFEST), envelope["device"])
    return job_for(deliver, permit, PairKey(envelope["device"], public, KEY.sign)).request.decode()


def test_the_vector_is_what_leaves() -> None:
    assert written("alarm", VECTOR["body"].encode()) == VECTOR["request"]


def test_the_vector_s_base_is_what_its_signature_is_over() -> None:
    signature = b64encode(KEY.sign(VECTOR["signature_base"].encode())).decode()
    assert f"Signature: ce=:{signature}:\r\n" in VECTOR["request"]
    assert [line.split('"')[1] for line in VECTOR["signature_base"].split("\n")] == [*COMPONENTS, "@signature-params"]


def test_another_s_library_agrees() -> None:
    head, _, body = VECTOR["request"].partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    method, target, _ = line.split(" ")
    assert proven(method, target, [tuple(f.split(": ", 1)) for f in fields], body.encode()) == VECTOR["keyid"]


def test_the_page_shows_the_vector() -> None:
    shown = PAGE.replace("\\\n  ", "")
    for line in (*VECTOR["request"].split("\r\n"), *VECTOR["signature_base"].split("\n")):
        assert line in shown
    assert VECTOR["secret_key"] in PAGE


def test_the_page_s_claim_is_a_claim() -> None:
    told = {"vendor": "Acme", "hosts": ("api.acme.example",), "id": VECTOR["claim_id"], "sent": "2026-11-22T13:40:00Z"}
    body = claim("ACME-7F3K-22QX", device="d-4f6d2ac91b07e835", **told)
    assert body.decode() in PAGE
    assert "POST /.well-known/clear-envelope/v1/claim HTTP/1.1" in written(TYPE, body)
