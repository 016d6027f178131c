"""Bytes to I-JSON values, and back in canonical form."""

from __future__ import annotations

import json

import rfc8785

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.ijson import parse
from gateway.standard.refusal import Refusal
from tests.fuzz.oracles import JSON_WORDS, sound_refusal

WORDS = JSON_WORDS
DEPTH = 16


def check(data: bytes) -> None:
    """A value that another parser reads too and whose canonical form is stable, or a refusal."""
    try:
        value = parse(data, max_depth=DEPTH)
    except Refusal as refusal:
        sound_refusal(refusal, {Reason.JSON_SYNTAX, Reason.NOT_I_JSON, Reason.TOO_DEEP})
        return
    assert value == json.loads(data), "the standard library reads another value"
    assert depth(value) <= DEPTH
    once = encode(value)
    assert once == rfc8785.dumps(value)
    if not large(value):
        assert encode(parse(once, max_depth=DEPTH)) == once, "its canonical form has another canonical form"


def depth(value: object) -> int:
    """How many containers enclose each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def large(value: object) -> bool:
    """Whether there is a double that canonical form writes as an integer beyond ±(2^53-1), which is then no I-JSON."""
    if isinstance(value, dict | list):
        return any(map(large, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and 2**53 <= abs(value) < 1e21
