"""What a field may hold: a small, closed subset of JSON Schema. It must never declare a field without a bound.

A schema is an object with these members, and no other:

- every one: ``type`` ("object", "array", "string", "integer", "number", "boolean", "time"; or an array of one of these and
  "null", where null may stand instead), ``title`` (what the owner reads; required for each property), ``description``,
- object: ``properties`` (schemas by name), ``required`` (names); nothing else may occur in it,
- array: ``items`` (one schema), ``maxItems``,
- string: ``enum`` or ``maxLength`` (in code points); text is brought into Unicode's form NFC and is one that a person can read
  (``repertoire``, ``reading``), so it has no control, invisible or unassigned characters, and no space but U+0020,
- integer: ``enum``, or ``minimum`` and ``maximum``, with ``multipleOf`` where it is coarser than 1; ``unit`` (SenML),
- number: ``minimum``, ``maximum`` and ``multipleOf``, all three; both bounds are multiples; ``unit``,
- time: ``grain`` in seconds, a divisor of a day; the value is text as RFC 3339 has it, in UTC with "Z".

A value is rounded to the nearest ``multipleOf``, a time down to its ``grain``; the rounded value is the one that leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

from gateway.standard import declaration
from gateway.standard.canonical import MAX_INTEGER, canonical_names
from gateway.standard.declaration import ManifestError
from gateway.standard.refusal import token
from gateway.standard.schemas import limit, member
from gateway.standard.units import SENML_UNITS

MAX_DEPTH = 12  # schemas inside each other
MAX_FIELDS = 2048  # schemas in one message type
MAX_PROPERTIES = limit("manifest", "$defs/object/properties/properties/maxProperties")  # in one object
MAX_NAME = limit("manifest", "$defs/memberName/maxLength")  # characters of a member name
MAX_TITLE = limit("manifest", "$defs/title/maxLength")
MAX_DESCRIPTION = limit("manifest", "$defs/description/maxLength")
MAX_LENGTH = limit("manifest", "$defs/string/properties/maxLength/maximum")  # characters of a free text
MAX_ENUM = limit("manifest", "$defs/string/properties/enum/maxItems")
MAX_ENUM_TEXT = limit("manifest", "$defs/choice/maxLength")
MAX_ITEMS = limit("manifest", "$defs/array/properties/maxItems/maximum")
MAX_STEPS = 10**15  # from zero to a bound; so many decimal steps survive the way through an IEEE double
FINEST: float = member("manifest", "$defs/number/properties/multipleOf/minimum")
COARSEST: float = member("manifest", "$defs/number/properties/multipleOf/maximum")
DAY = 86_400

_COMMON = ("type", "title", "description")
_MEMBERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "object": (("properties",), ("required",)),
    "array": (("items", "maxItems"), ()),
    "string": ((), ("enum", "maxLength")),
    "integer": ((), ("enum", "minimum", "maximum", "multipleOf", "unit")),
    "number": (("minimum", "maximum", "multipleOf"), ("unit",)),
    "boolean": ((), ()),
    "time": (("grain",), ()),
}
_BOUND = "every field has a bounded domain"


@dataclass(frozen=True)
class Schema:
    """One field's declaration. ``properties``: in canonical order; ``grain``: seconds; what does not apply is None or empty."""

    type: str
    title: str = ""
    description: str = ""
    unit: str = ""
    nullable: bool = False
    enum: tuple[str, ...] | tuple[int | float, ...] = ()
    minimum: int | float | None = None
    maximum: int | float | None = None
    multiple_of: int | float | None = None
    max_length: int | None = None
    properties: tuple[tuple[str, Schema], ...] = ()
    required: frozenset[str] = frozenset()
    items: Schema | None = None
    max_items: int | None = None
    grain: int | None = None

    @cached_property
    def rebuild(self) -> Callable[[Any], Any]:
        """The compiled validator: a value in, the value that may leave out; raises Mismatch (see ``validator``)."""
        from gateway.standard.validator import compiled

        return compiled(self)

    @cached_property
    def cost(self) -> Callable[[Any, int], float]:
        """The compiled charge: what ``rebuild`` returned and a reference time (s since the epoch) in, bits out (see ``bits``)."""
        from gateway.standard import bits

        return bits.compiled(self)


def parse_schema(value: object, pointer: str = "") -> Schema:
    """The schema of a whole payload, which is an object. ``pointer``: its place in the manifest. Raises ManifestError."""
    budget = [MAX_FIELDS]
    schema = _parse(value, pointer, budget, MAX_DEPTH, titled=False)
    if schema.type != "object" or schema.nullable:
        raise ManifestError(f"{pointer}/type", "a payload is an object", 'write "type": "object"')
    return schema


def _parse(value: object, pointer: str, budget: list[int], depth: int, *, titled: bool) -> Schema:
    budget[0] -= 1
    if budget[0] < 0:
        raise ManifestError(pointer, f"a message type has at most {MAX_FIELDS} fields", "declare fewer")
    if not depth:
        raise ManifestError(pointer, f"schemas nest at most {MAX_DEPTH} deep", "declare it flatter")
    raw = declaration.mapping(value, pointer)
    kind, nullable = _kind(raw.get("type"), f"{pointer}/type")
    required, optional = _MEMBERS[kind]
    raw = declaration.members(
        raw, pointer, ("type", "title", *required) if titled else ("type", *required), (*_COMMON, *optional)
    )
    fields: dict[str, Any] = {"type": kind, "nullable": nullable}
    for name, most in (("title", MAX_TITLE), ("description", MAX_DESCRIPTION)):
        if name in raw:
            fields[name] = declaration.text(raw[name], f"{pointer}/{name}", most)
    if "unit" in raw:
        if not isinstance(raw["unit"], str) or raw["unit"] not in SENML_UNITS:
            raise ManifestError(f"{pointer}/unit", "units are SenML's (RFC 8428, RFC 8798)", "choose one or leave it out")
        fields["unit"] = raw["unit"]
    match kind:
        case "object":
            fields |= _object(raw, pointer, budget, depth)
        case "array":
            fields["max_items"] = declaration.integer(raw["maxItems"], f"{pointer}/maxItems", 1, MAX_ITEMS)
            fields["items"] = _parse(raw["items"], f"{pointer}/items", budget, depth - 1, titled=False)
        case "string":
            fields |= _string(raw, pointer)
        case "integer":
            fields |= _integer(raw, pointer)
        case "number":
            fields |= _number(raw, pointer)
        case "time":
            grain = declaration.integer(raw["grain"], f"{pointer}/grain", 1, DAY)
            if DAY % grain:
                raise ManifestError(
                    f"{pointer}/grain", "a grain divides a day of 86400 seconds", "choose 1, 60, 600, 3600 or 86400"
                )
            fields["grain"] = grain
    return Schema(**fields)


def _kind(value: object, pointer: str) -> tuple[str, bool]:
    if isinstance(value, list):
        if len(value) != 2 or value[1] != "null":
            raise ManifestError(pointer, 'an array here names one type and then "null"', 'write for example ["string", "null"]')
        return declaration.one_of(value[0], f"{pointer}/0", _MEMBERS), True
    return declaration.one_of(value, pointer, _MEMBERS), False


def _object(raw: dict[str, Any], pointer: str, budget: list[int], depth: int) -> dict[str, Any]:
    place = f"{pointer}/properties"
    found = declaration.mapping(raw["properties"], place)
    if len(found) > MAX_PROPERTIES:
        raise ManifestError(place, f"an object has at most {MAX_PROPERTIES} properties", "declare fewer")
    for name in found:
        if not 0 < len(name) <= MAX_NAME or not name.isascii() or not name.isprintable():
            raise ManifestError(
                place, f"member names are 1 to {MAX_NAME} printable ASCII characters", f"rename {name[:MAX_NAME]!a}"
            )
    properties = tuple(
        (name, _parse(found[name], f"{place}/{token(name)}", budget, depth - 1, titled=True)) for name in canonical_names(found)
    )
    required = declaration.array(raw.get("required", []), f"{pointer}/required", 0, MAX_PROPERTIES)
    for index, name in enumerate(required):
        if not isinstance(name, str) or name not in found or name in required[:index]:
            raise ManifestError(f"{pointer}/required/{index}", "names a property, once", "correct or remove it")
    return {"properties": properties, "required": frozenset(required)}


def _string(raw: dict[str, Any], pointer: str) -> dict[str, Any]:
    if ("enum" in raw) == ("maxLength" in raw):
        raise ManifestError(pointer, f"{_BOUND}: a string has either enum or maxLength", "add one of them")
    if "maxLength" in raw:
        return {"max_length": declaration.integer(raw["maxLength"], f"{pointer}/maxLength", 1, MAX_LENGTH)}
    values = declaration.array(raw["enum"], f"{pointer}/enum", 1, MAX_ENUM)
    for index, value in enumerate(values):
        if value != "":  # an empty choice is a choice
            declaration.text(value, f"{pointer}/enum/{index}", MAX_ENUM_TEXT)
    return {"enum": _distinct(values, f"{pointer}/enum")}


def _integer(raw: dict[str, Any], pointer: str) -> dict[str, Any]:
    if "enum" in raw:
        for other in ("minimum", "maximum", "multipleOf"):
            if other in raw:
                raise ManifestError(f"{pointer}/{other}", "an enum says it all", "remove one of the two")
        values = declaration.array(raw["enum"], f"{pointer}/enum", 1, MAX_ENUM)
        for index, value in enumerate(values):
            declaration.integer(value, f"{pointer}/enum/{index}", -MAX_INTEGER, MAX_INTEGER)
        return {"enum": _distinct(values, f"{pointer}/enum")}
    for name in ("minimum", "maximum"):
        if name not in raw:
            raise ManifestError(f"{pointer}/{name}", f"{_BOUND}: an integer has minimum and maximum, or enum", "add it")
    fields = {
        "minimum": declaration.integer(raw["minimum"], f"{pointer}/minimum", -MAX_INTEGER, MAX_INTEGER),
        "maximum": declaration.integer(raw["maximum"], f"{pointer}/maximum", -MAX_INTEGER, MAX_INTEGER),
        "multiple_of": declaration.integer(raw.get("multipleOf", 1), f"{pointer}/multipleOf", 1, MAX_INTEGER),
    }
    _check_bounds(fields, pointer)
    return fields


def _number(raw: dict[str, Any], pointer: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, field in (("minimum", "minimum"), ("maximum", "maximum"), ("multipleOf", "multiple_of")):
        value = raw[name]
        if type(value) not in (int, float):
            raise ManifestError(f"{pointer}/{name}", "this must be a number", "write one")
        fields[field] = value
    if not FINEST <= fields["multiple_of"] <= COARSEST:
        raise ManifestError(f"{pointer}/multipleOf", f"a step lies between {FINEST} and {COARSEST}", "for example 0.1")
    for name in ("minimum", "maximum"):
        if abs(fields[name]) > MAX_INTEGER:  # canonical form writes it without an exponent: then it would be no I-JSON integer
            raise ManifestError(f"{pointer}/{name}", "lies within ±(2^53-1)", "take a larger unit")
        if abs(exact(fields[name]) / exact(fields["multiple_of"])) > MAX_STEPS:
            raise ManifestError(f"{pointer}/{name}", "lies within 10^15 steps of multipleOf", "narrow it or take a coarser step")
    _check_bounds(fields, pointer)
    return fields


def _check_bounds(fields: dict[str, Any], pointer: str) -> None:
    for name in ("minimum", "maximum"):
        if exact(fields[name]) % exact(fields["multiple_of"]):
            raise ManifestError(
                f"{pointer}/{name}", "a bound is a multiple of multipleOf", "so that rounding stays within the bounds"
            )
    if fields["minimum"] > fields["maximum"]:
        raise ManifestError(f"{pointer}/minimum", "is not greater than maximum", "swap or correct them")


def exact(value: int | float) -> Fraction:
    """A JSON number as the decimal that was written, not as the binary double nearest to it."""
    return Fraction(value) if isinstance(value, int) else Fraction(Decimal(repr(value)))


def _distinct(values: list[Any], pointer: str) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ManifestError(pointer, "each choice occurs once", "remove the repetition")
    return tuple(values)
