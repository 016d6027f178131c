"""What a payload could hide: its code length in bits under one fixed, normalised model. It must never depend on spelling.

The model gives each value that a schema admits a probability, and they sum up to one at most (Kraft's inequality); a value
is charged the logarithm of its inverse. So whatever code device and vendor agree on, on average it carries no more bits than
are charged. It is charged on the value that leaves: rounded, in canonical form.

| field | charged |
|---|---|
| number, integer | log2 of the number of steps between the bounds, both included |
| enum | log2 of the number of choices |
| boolean | 1 |
| text | ``textmodel.code_length`` |
| array | log2(maxItems + 1) for its length, and its items |
| object | 1 for each member that may be left out, and the members that are there |
| null admitted | 1, and nothing more where it is null |
| time | half of the model's weight: near the reference (below); the other half: any grain of the years 2000 to 2099 |

A time is mostly "now", and both ends know when a message left. So half of the weight lies around the reference, which is the
start of the message's slot: 1/2 on the reference itself, 1/(2(d+1)(d+2)) on each grain d away. The reference must be known
to the receiver anyway: the slot's start is charged as presence (``slots``), the exact moment within it is not, so it must not
be used. An honest "now" costs 2 to 6 bits, any other moment of the century 33 at most (grain 1).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import ceil, log2
from typing import Any

from gateway.standard import textmodel
from gateway.standard.schema import DAY, Schema, exact

Cost = Callable[[Any, int], float]

YEARS = 36_525 * DAY  # seconds from the start of 2000 to the end of 2099
_START = datetime(2000, 1, 1)
START_SECONDS = 946_684_800  # of _START since the epoch
_HAIR = 1e-6  # a sum of logarithms that is whole but for rounding must not cost a bit more


def whole(cost: float) -> int:
    """Whole bits: rounded up, so that the model stays normalised."""
    return ceil(cost - _HAIR)


def compiled(schema: Schema) -> Cost:
    """The function for a schema: (value that the schema's ``rebuild`` returned, reference in s since the epoch) to bits."""
    bits = fixed(schema)
    if bits is not None:
        return lambda _value, _reference: bits
    cost = _MAKERS[schema.type](schema)
    if not schema.nullable:
        return cost
    return lambda value, reference: 1.0 if value is None else 1.0 + cost(value, reference)


def fixed(schema: Schema) -> float | None:
    """Bits where every value costs the same; None where it depends on the value."""
    return None if schema.nullable or schema.type not in _CHOICES else _CHOICES[schema.type](schema)


def choices(schema: Schema) -> int | None:
    """How many values a number, integer, enum or boolean may have, null aside; None for other types."""
    match schema.type:
        case "boolean":
            return 2
        case "string" | "integer" | "number" if schema.enum:
            return len(schema.enum)
        case "number" | "integer":
            span = exact(schema.maximum or 0) - exact(schema.minimum or 0)
            return int(span / exact(schema.multiple_of or 1)) + 1
    return None


def grains(schema: Schema) -> int:
    """How many grains the years 2000 to 2099 have."""
    return YEARS // (schema.grain or DAY)


def _logarithm(schema: Schema) -> float | None:
    number = choices(schema)
    return None if number is None else log2(number)


_CHOICES: dict[str, Callable[[Schema], float | None]] = dict.fromkeys(("boolean", "string", "integer", "number"), _logarithm)


def _choice(schema: Schema) -> Cost:
    bits = _logarithm(schema) or 0.0
    return lambda _value, _reference: bits


def _string(schema: Schema) -> Cost:
    if schema.enum:
        return _choice(schema)
    most = schema.max_length or 0
    return lambda value, _reference: textmodel.code_length(value, most)


def _time(schema: Schema) -> Cost:
    grain = schema.grain or DAY
    anywhere = 0.5 / grains(schema)
    parse = datetime.fromisoformat

    def cost(value: Any, reference: int) -> float:
        since = parse(value[:19]) - _START
        away = abs((since.days * DAY + since.seconds) // grain - (reference - START_SECONDS) // grain)
        near = 0.5 if away == 0 else 0.5 / ((away + 1) * (away + 2))
        return -log2(0.5 * near + anywhere)

    return cost


def _array(schema: Schema) -> Cost:
    length = log2((schema.max_items or 0) + 1)
    if schema.items is None:
        return lambda _value, _reference: length
    each = fixed(schema.items)
    if each is not None:
        return lambda value, _reference: length + len(value) * each
    item = compiled(schema.items)

    def cost(value: Any, reference: int) -> float:
        bits = length
        for found in value:
            bits += item(found, reference)
        return bits

    return cost


def _object(schema: Schema) -> Cost:
    always = 0.0  # one sum for what every value costs
    optional: dict[str, float] = {}  # beside the bit for being there or not
    costly: list[tuple[str, Cost]] = []
    for name, inner in schema.properties:
        bits = fixed(inner)
        if name not in schema.required:
            always += 1.0
            if bits is not None:
                optional[name] = bits
        elif bits is not None:
            always += bits
        if bits is None:
            costly.append((name, compiled(inner)))
    by_name = dict(costly)

    def cost(value: Any, reference: int) -> float:
        # the members that are there, not those that are declared: thousands of nearly empty objects must stay cheap to judge
        bits = always
        for name, found in value.items():
            if name in optional:
                bits += optional[name]
            elif name in by_name:
                bits += by_name[name](found, reference)
        return bits

    return cost


_MAKERS: dict[str, Callable[[Schema], Cost]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _choice,
    "number": _choice,
    "boolean": _choice,
    "time": _time,
}
