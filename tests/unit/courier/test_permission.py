"""The courier's second look: what the doors make passes, whatever the manifest declares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.courier.permission import conforms
from gateway.ipc.messages import Deliver
from gateway.standard.envelope import outgoing, sent_at
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.parametrize("vendor", ["acme", "borealis"])
def test_what_a_door_makes_passes(vendor: str) -> None:
    judge = Judge(parse_manifest((SAMPLES / f"{vendor}.mud.json").read_bytes()))
    body = (SAMPLES / f"{vendor}.message.json").read_bytes()
    type_ = json.loads(body)["type"]
    host = judge.manifest.messages[type_].host
    message = judge.from_device(host, type_, body)
    for moment in (0, 1_770_000_000_123_456_789, 2**61):
        envelope = outgoing(message, judge.manifest, id="m-1", sent=sent_at(moment), device="d-1")
        assert conforms(judge, Deliver("m-1", "plug", vendor, host, type_, envelope), "d-1")
        assert not conforms(judge, Deliver("m-1", "plug", vendor, host, type_, envelope), "d-2")
