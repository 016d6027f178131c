"""Real payloads: what the schema can declare crosses in canonical form, what it cannot is refused with a reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import rfc8785

from gateway.standard.canonical import encode
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest
from gateway.standard.refusal import Refusal
from tests.samples.declare import declare, envelope, manifest, undeclarable

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "public" / "readable.jsonl"
OTHER = {"type": "object", "properties": {"on": {"type": "boolean", "title": "On"}}, "required": ["on"]}


@pytest.mark.skipif(not CORPUS.exists(), reason=f"the corpus of real payloads is not at {CORPUS}")
def test_every_real_payload_crosses_or_is_refused_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    declared, refused, why = 0, Counter[str](), Counter[str]()
    other = Judge(parse_manifest(manifest(OTHER)))
    for line in CORPUS.read_bytes().split(b"\n"):
        if not line:
            continue
        row = json.loads(line)
        payload = row["payload"]
        body = envelope(row.get("raw") or json.dumps(payload, ensure_ascii=False))
        schema = declare(payload)
        if schema is not None:
            message = Judge(parse_manifest(manifest(schema))).from_device("api.acme.example", "sample", body)
            assert encode(message.payload) == rfc8785.dumps(payload), row["id"]
            declared += 1
        else:
            why[str(undeclarable(payload))] += 1
            with pytest.raises(Refusal) as caught:
                other.from_device("api.acme.example", "sample", body)
            assert caught.value.detail
            refused[caught.value.reason.label] += 1
    with capsys.disabled():
        print(f"\ncorpus: {declared} payloads can be declared and crossed, {refused.total()} cannot and were refused")
        for words, count in why.most_common():
            print(f"  {count:4} {words}")
    assert (
        declared > 550
    )  # of 913 without a UUID, token, hash or base64; the rest are times in milliseconds, serials, mixed types
    assert set(refused) <= {"not-declared", "not-in-schema", "required-missing", "not-i-json", "too-deep", "http-too-large"}
