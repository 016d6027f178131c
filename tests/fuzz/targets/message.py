"""A device's message, judged: the first byte chooses the manifest."""

from __future__ import annotations

import json

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.envelope import outgoing
from gateway.standard.refusal import Refusal
from tests.fuzz.manifests import CHOICES
from tests.fuzz.oracles import JSON_WORDS, canonical, sound_refusal

WORDS = (
    *JSON_WORDS, '"ce":1', '"type":"all"', '"vendor":', '"hosts":["a.example","b.example"]', '"name":"Wide"', '"payload":',
    "2026-11-22T13:37:42Z", ".5Z", '"n":', '"i":', '"e":', '"c":', '"s":', '"t":', '"b":', '"a":', '"~/":{"x":true}',
)  # fmt: skip
REASONS = {
    Reason.JSON_SYNTAX, Reason.NOT_I_JSON, Reason.TOO_DEEP, Reason.ENVELOPE, Reason.VENDOR_MISMATCH, Reason.NOT_DECLARED,
    Reason.NOT_IN_SCHEMA, Reason.NOT_READABLE, Reason.REQUIRED_MISSING, Reason.HTTP_TOO_LARGE,
}  # fmt: skip


def check(data: bytes) -> None:
    """A refusal for a documented reason, or an envelope in canonical form that is judged again as the same."""
    judge, host, type = CHOICES[data[0] % len(CHOICES) if data else 0]
    try:
        message = judge.from_device(host, type, data[1:])
    except Refusal as refusal:
        sound_refusal(refusal, REASONS)
        return
    out = outgoing(message, judge.manifest, id="m", sent="2026-11-22T13:37:00Z", device="d")
    canonical(out)
    sent = json.loads(out)
    assert sent.keys() == {"ce", "device", "id", "payload", "sent", "type", "vendor", "withheld"}
    for indent in (None, 2):  # re-serialised, it is the same message
        again = {name: sent[name] for name in ("vendor", "payload", "type", "ce")}
        second = judge.from_device(host, type, json.dumps(again, indent=indent).encode())
        assert encode(second.payload) == encode(message.payload), "judged again, another message leaves"
