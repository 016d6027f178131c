"""Derives a declaration for a real payload, so that corpora can be sent under the standard.

``declare(payload)`` gives the schema (a dict, as it stands in a manifest) that admits exactly such payloads and leaves this
one unchanged, or None where the standard cannot declare it; ``undeclarable(payload)`` says why. This is a tool for tests: a
vendor that declared fields from single values would tell its customers nothing.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction

from gateway.standard import schema as limits
from gateway.standard.draft import title
from gateway.standard.legible import illegible, too_many_codes
from gateway.standard.lookalikes import misspelt
from gateway.standard.reading import unreadable
from gateway.standard.repertoire import flaw

MAX_ENVELOPE_DEPTH = 16  # of the judge, by default; the payload is the envelope's second level


class Undeclarable(ValueError):
    """The standard has no declaration for this payload; says why."""


def declare(payload: object) -> dict[str, object] | None:
    """The payload's schema; None where there is none (see ``undeclarable``)."""
    try:
        return _payload(payload)
    except Undeclarable:
        return None


def undeclarable(payload: object) -> str | None:
    """Why the payload cannot be declared; None where it can."""
    try:
        _payload(payload)
    except Undeclarable as reason:
        return str(reason)
    return None


def manifest(schema: dict[str, object], *, vendor: str = "Acme", host: str = "api.acme.example", name: str = "sample") -> bytes:
    """A MUD file that declares one message type with this payload schema, sent to ``host`` without a limit worth the name."""
    message = {
        "title": "Sample",
        "purpose": "Carries a payload of the corpus through the gateway",
        "direction": "from-device",
        "host": host,
        "rate": 3_600_000,
        "payload": schema,
    }
    extension = {
        "version": 1,
        "vendor": {"name": vendor, "contact": "tests", "support-end": "2031-12-31", "terms": "tests"},
        "hosts": [host],
        "messages": {name: message},
    }
    mud = {
        "mud-version": 1,
        "mud-url": f"https://{host}/mud.json",
        "extensions": ["clear-envelope"],
        "clear-envelope": extension,
    }
    return json.dumps({"ietf-mud:mud": mud}).encode()


def envelope(payload_text: str, *, vendor: str = "Acme", host: str = "api.acme.example", name: str = "sample") -> bytes:
    """A device's envelope around a payload given as JSON text, which is put in as it is."""
    head = json.dumps({"ce": 1, "type": name, "vendor": {"name": vendor, "hosts": [host]}})
    return (head[:-1] + ', "payload": ' + payload_text + "}").encode()


def _payload(payload: object) -> dict[str, object]:
    if not isinstance(payload, dict):
        raise Undeclarable("a payload is an object")
    schema = _schema([payload], MAX_ENVELOPE_DEPTH - 2, limits.MAX_DEPTH)
    if _count(schema) > limits.MAX_FIELDS:
        raise Undeclarable("too many fields")
    return schema


def _schema(values: list[object], levels: int, depth: int) -> dict[str, object]:
    """One schema for all of ``values``; ``levels``: containers that may still open; ``depth``: schemas that may."""
    if not depth:
        raise Undeclarable("nested too deeply")
    present = [value for value in values if value is not None]
    kinds = {_kind(value) for value in present}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if not kinds:
        return {"type": ["boolean", "null"]}  # null may be declared; what else the field might hold, no value tells
    if len(kinds) > 1:
        raise Undeclarable(f"one place, several types: {', '.join(sorted(kinds))}")
    (kind,) = kinds
    schema = _MAKERS[kind](present, levels, depth)
    if len(present) < len(values):
        schema["type"] = [schema["type"], "null"]
    return schema


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() and abs(value) < 2**53 else "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
    raise Undeclarable("no JSON value")


def _object(values: list, levels: int, depth: int) -> dict[str, object]:
    names = list(dict.fromkeys(name for value in values for name in value))
    if len(names) > limits.MAX_PROPERTIES:
        raise Undeclarable("too many members")
    properties = {}
    for name in names:
        if not 0 < len(name) <= limits.MAX_NAME or not name.isascii() or not name.isprintable():
            raise Undeclarable("a member name that is long or not printable ASCII")
        if illegible(name) or illegible(title(name)):
            raise Undeclarable("a member name that a person cannot read")
        inner = _schema([value[name] for value in values if name in value], levels - 1, depth - 1)
        properties[name] = {"title": title(name), **inner}
    if not levels:
        raise Undeclarable("nested too deeply")
    if too_many_codes(names):
        raise Undeclarable("member names that a person cannot read")
    return {"type": "object", "properties": properties, "required": [n for n in names if all(n in value for value in values)]}


def _array(values: list, levels: int, depth: int) -> dict[str, object]:
    if not levels:
        raise Undeclarable("nested too deeply")
    most = max(map(len, values))
    if most > limits.MAX_ITEMS:
        raise Undeclarable("too many items")
    items = [item for value in values for item in value]
    # an array that is always empty could hold anything; declare something harmless
    inner = _schema(items, levels - 1, depth - 1) if items else {"type": "boolean"}
    return {"type": "array", "maxItems": max(1, most), "items": inner}


def _string(values: list, levels: int, depth: int) -> dict[str, object]:
    del levels, depth
    if not all(value.isprintable() for value in values):
        raise Undeclarable("text with control, invisible or unassigned characters")
    longest = max(map(len, values))
    if longest > limits.MAX_LENGTH:
        raise Undeclarable("a text that is too long")
    if all(re.fullmatch(r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ", value, re.ASCII) for value in values):
        return {"type": "time", "grain": 1}
    if any(map(misspelt, values)):
        raise Undeclarable("a text that leaves in another spelling")
    if any(map(unreadable, values)):
        choices = sorted(set(values))
        if len(choices) > limits.MAX_ENUM or too_many_codes(choices) or not all(map(_choosable, choices)):
            raise Undeclarable("a text that a person cannot read")
        return {"type": "string", "enum": choices}  # a product's code is no free text, and a vendor can list it
    return {"type": "string", "maxLength": max(1, longest)}


def _choosable(value: str) -> bool:
    return value == "" or (len(value) <= limits.MAX_ENUM_TEXT and flaw(value) is None and illegible(value) is None)


def _integer(values: list, levels: int, depth: int) -> dict[str, object]:
    del levels, depth
    if max(map(abs, values)) >= 2**53:
        raise Undeclarable("an integer beyond 2^53")
    return {"type": "integer", "minimum": int(min(values)), "maximum": int(max(values))}


def _number(values: list, levels: int, depth: int) -> dict[str, object]:
    del levels, depth
    if max(map(abs, values)) >= 2**53:
        raise Undeclarable("a number beyond 2^53")
    finest = min(Decimal(repr(value)).normalize().as_tuple().exponent for value in values)
    step = float(f"1e{min(finest, 0)}")
    if step < limits.FINEST or any(
        abs(Fraction(Decimal(repr(v))) / Fraction(Decimal(repr(step)))) > limits.MAX_STEPS for v in values
    ):
        raise Undeclarable("a number with more than fifteen digits")
    return {"type": "number", "minimum": min(values), "maximum": max(values), "multipleOf": step}


def _boolean(values: list, levels: int, depth: int) -> dict[str, object]:
    del values, levels, depth
    return {"type": "boolean"}


_MAKERS = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}


def _count(schema: object) -> int:
    if not isinstance(schema, dict):
        return 0
    inner = [*schema.get("properties", {}).values(), schema.get("items")]
    return 1 + sum(map(_count, inner))
