"""A payload's schema and, after a line feed, a value to hold against it."""

from __future__ import annotations

import rfc8785

from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.ijson import parse
from gateway.standard.refusal import Refusal
from gateway.standard.schema import ManifestError, parse_schema
from gateway.standard.validator import Mismatch
from tests.fuzz.oracles import JSON_WORDS
from tests.fuzz.targets.manifest import WORDS as MANIFEST_WORDS

WORDS = (*JSON_WORDS, "\n", *MANIFEST_WORDS[-26:])


def check(data: bytes) -> None:
    """A value that was admitted is rebuilt in canonical order, and rebuilding it again changes nothing."""
    first, _, rest = data.partition(b"\n")
    try:
        schema = parse_schema(parse(first, max_depth=48))
        value = parse(rest, max_depth=16)
    except (Refusal, ManifestError):
        return
    try:
        rebuilt = schema.rebuild(value)
    except Mismatch as mismatch:
        assert mismatch.reason in {Reason.NOT_IN_SCHEMA, Reason.NOT_DECLARED, Reason.NOT_READABLE, Reason.REQUIRED_MISSING}
        assert mismatch.detail
        return
    once = encode(rebuilt)
    assert once == rfc8785.dumps(rebuilt)
    assert encode(schema.rebuild(rebuilt)) == once, "rebuilt again, it is another value"
    assert encode(schema.rebuild(parse(once, max_depth=16))) == once, "read back and rebuilt, it is another value"
