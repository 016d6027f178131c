"""What each field could hide, in words an owner understands. It must never show less than the model charges.

The figures are upper bounds of a declaration (``fields``) and the charge of one payload, field by field (``spent``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log2
from typing import Any

from gateway.standard import textmodel
from gateway.standard.bits import choices, fixed, grains
from gateway.standard.refusal import token
from gateway.standard.schema import DAY, Schema


@dataclass(frozen=True, slots=True)
class Field:
    """``pointer``: its place in the payload, ``*`` for any item; ``most``: bits in one message, all items together."""

    pointer: str
    title: str
    most: float
    why: str
    remedy: str


def fields(schema: Schema) -> list[Field]:
    """Every field of a payload's schema that costs something, in canonical order."""
    return [field for field in _fields(schema, "", schema.title, 1) if field.most > 0]


def spent(schema: Schema, payload: Any, reference: int) -> dict[str, float]:
    """The charge of a judged payload by pointer. It sums up to ``schema.cost``."""
    found: dict[str, float] = {}
    for pointer, bits in _spent(schema, payload, "", reference):
        found[pointer] = found.get(pointer, 0.0) + bits
    return found


def _fields(schema: Schema, pointer: str, title: str, times: int, extra: float = 0.0) -> Iterator[Field]:
    """``times``: how often it may occur; ``extra``: bits for being there or not."""
    own, why, remedy = _own(schema)
    notes = [why] if why else []
    if extra:
        notes.append("it may be left out: 1 bit")
    if schema.nullable:
        own += 1
        notes.append("it may be null: 1 bit")
    if not remedy and (extra or schema.nullable):
        remedy = "require it and do not admit null"
    counted = f", up to {times} times" if times > 1 else ""
    yield Field(pointer, title or pointer, (own + extra) * times, "; ".join(notes) + counted, remedy)
    for name, inner in schema.properties:
        there = 0.0 if name in schema.required else 1.0
        yield from _fields(inner, f"{pointer}/{token(name)}", inner.title, times, there)
    if schema.items is not None:
        yield from _fields(schema.items, f"{pointer}/*", f"{title}, each", times * (schema.max_items or 0))


def _own(schema: Schema) -> tuple[float, str, str]:
    """Bits at the most of the value itself, why, and what would lower them."""
    number = choices(schema)
    if number is not None:
        bits = log2(number)
        if schema.type == "boolean":
            return bits, "yes or no", ""
        if schema.enum:
            return bits, f"one of {number} choices", "fewer choices" if number > 2 else ""
        unit = f" {schema.unit}" if schema.unit else ""
        why = f"{number:,} steps of {schema.multiple_of or 1:g}{unit} from {schema.minimum:g} to {schema.maximum:g}"
        return bits, why, "a coarser multipleOf, closer bounds: each halving of the steps saves 1 bit" if number > 2 else ""
    if schema.type == "time":
        bits = log2(2 * grains(schema))
        why = f"any time of a century in steps of {_span(schema.grain or DAY)}; a time near now is charged 2 to 6 bits only"
        return bits, why, "a coarser grain; the device's own delay costs less then too"
    if schema.type == "string":
        most = schema.max_length or 0
        return (
            textmodel.most(most),
            f"free text of up to {most} characters, charged by what it says",
            "an enum instead of text, or a shorter maxLength",
        )
    if schema.type == "array":
        most = schema.max_items or 0
        return log2(most + 1), f"how many items: 0 to {most}", "a smaller maxItems"
    return 0.0, "", ""


def _spent(schema: Schema, value: Any, pointer: str, reference: int) -> Iterator[tuple[str, float]]:
    if schema.nullable:
        yield pointer, 1.0
        if value is None:
            return
    if schema.type == "object":
        for name, inner in schema.properties:
            place = f"{pointer}/{token(name)}"
            if name not in schema.required:
                yield place, 1.0
            if name in value:
                yield from _spent(inner, value[name], place, reference)
    elif schema.type == "array" and schema.items is not None:
        yield pointer, log2((schema.max_items or 0) + 1)
        for item in value:
            yield from _spent(schema.items, item, f"{pointer}/*", reference)
    else:
        whole = schema.cost(value, reference)
        yield pointer, whole - 1.0 if schema.nullable and fixed(schema) is None else whole


def _span(seconds: int) -> str:
    for length, name in ((DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds % length == 0:
            number = seconds // length
            return f"a {name}" if number == 1 else f"{number} {name}s"
    return "a second" if seconds == 1 else f"{seconds} seconds"
