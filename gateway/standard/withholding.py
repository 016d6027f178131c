"""Which members an envelope may lack because the owner keeps them. It must never admit what the manifest does not declare.

A pointer of ``withheld`` leads to a declared member of an object; ``-`` in place of an index stands for each item of an array.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from gateway.standard.refusal import token
from gateway.standard.schema import Schema
from gateway.standard.schemas import limit

ROOT = "/payload"
EACH = "-"  # RFC 6901 section 4 has it for no item that there is, so no index is like it
MAX_WITHHELD = limit("envelope", "$defs/toVendor/properties/withheld/maxItems")  # pointers in one envelope
MAX_WITHHELD_TEXT = 8_192  # characters of them together


def in_order(withheld: tuple[str, ...]) -> bool:
    """Whether these pointers stand as an envelope lists them: each once, sorted, not too many."""
    return (
        len(withheld) <= MAX_WITHHELD
        and sum(map(len, withheld)) <= MAX_WITHHELD_TEXT
        and all(before < after for before, after in pairwise(withheld))
    )


def relaxed(schema: Schema, withheld: tuple[str, ...]) -> Schema:
    """A payload's schema in which every withheld member may be absent. Raises LookupError for a pointer to no declared member."""
    wanted = set(withheld)
    made = _relaxed(schema, ROOT, wanted)
    if wanted:
        raise LookupError(f"{min(wanted)}: no declared member")
    return made


def _relaxed(schema: Schema, pointer: str, wanted: set[str]) -> Schema:
    if schema.items is not None:
        return replace(schema, items=_relaxed(schema.items, f"{pointer}/{EACH}", wanted))
    properties = []
    required = set(schema.required)
    for name, inner in schema.properties:
        place = f"{pointer}/{token(name)}"
        if place in wanted:
            wanted.discard(place)
            required.discard(name)
        properties.append((name, _relaxed(inner, place, wanted)))
    return replace(schema, properties=tuple(properties), required=frozenset(required))
