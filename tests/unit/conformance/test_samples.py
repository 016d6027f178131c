"""Payloads at the edges of a domain: a gateway would let every one pass, and they reach the edges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from gateway.conformance.samples import MOST_BYTES, samples, without
from gateway.standard.manifest import parse_manifest
from gateway.standard.schema import parse_schema
from tests.unit.standard.declarations import payloads

NOW = 1_795_354_680
SAMPLES = Path(__file__).parents[2] / "samples"


@given(payloads)
def test_every_sample_conforms_and_is_as_it_leaves_a_gateway(raw: dict[str, Any]) -> None:
    schema = parse_schema(raw)
    for sample in samples(schema, NOW):
        assert schema.rebuild(sample.payload) == sample.payload
        assert len(json.dumps(sample.payload)) <= MOST_BYTES


@pytest.mark.parametrize("file", sorted(SAMPLES.rglob("*.mud.json")), ids=lambda file: file.stem)
def test_real_manifests_get_samples_at_both_ends(file: Path) -> None:
    for declared in parse_manifest(file.read_bytes()).messages.values():
        found = {sample.words: sample.payload for sample in samples(declared.schema, NOW)}
        assert {"every field, in the middle"} <= found.keys(), declared.name
        for name, inner in declared.schema.properties:
            seen = [payload[name] for payload in found.values() if name in payload]
            if inner.type in ("number", "integer") and not inner.enum:
                assert {inner.minimum, inner.maximum} <= set(seen), (declared.name, name)
            elif inner.enum and len(inner.enum) > 1:
                assert {inner.enum[0], inner.enum[-1]} <= set(seen)
            elif inner.type == "string" and not inner.enum:
                assert max(len(text) for text in seen) > (inner.max_length or 0) - 3, (
                    "the longest text, but for a space at its end"
                )


def test_a_member_can_be_left_out_as_where_it_is_withheld() -> None:
    (schema,) = (
        m.schema for m in parse_manifest((SAMPLES / "acme.mud.json").read_bytes()).messages.values() if m.name == "alarm"
    )
    assert without(schema, "raised", NOW).keys() == {"kind", "note"}
