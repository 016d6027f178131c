"""Conforming payloads at the edges of a schema's domain, for trying a vendor host. It must never make one that a gateway would
refuse: each goes through the schema's own validator.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.standard.schema import Schema, exact
from gateway.standard.validator import Mismatch

MOST_BYTES = 48_000  # of one payload, so that its envelope stays below 65,536
MOST_ITEMS = 32  # of an array in an array: full ones of full ones would be too much
_WORDS = "The lamp in the hall was switched on by hand and the room is warm. "


@dataclass(frozen=True, slots=True)
class Sample:
    """``words``: what is special about it; ``payload``: as it leaves a gateway."""

    words: str
    payload: dict[str, Any]


def samples(schema: Schema, now: int) -> list[Sample]:
    """A few payloads for a payload's schema, the plainest first, each different. ``now``: seconds since the epoch."""
    makers = (
        ("every field, in the middle", _Maker(now, 0.5, now)),
        ("every field at its lowest", _Maker(now, 0.0, 946_684_800)),
        ("every field at its highest", _Maker(now, 1.0, 4_102_444_799)),
        ("only what is required", _Maker(now, 0.5, now, optional=False)),
        ("null where it is admitted", _Maker(now, 0.5, now, null=True)),
    )
    found: list[Sample] = []
    for words, maker in makers:
        payload = maker.conforming(schema)
        if payload is not None and all(payload != other.payload for other in found):
            found.append(Sample(words, payload))
    return found


def without(schema: Schema, name: str, now: int) -> dict[str, Any]:
    """A payload that lacks one member, as where its owner withholds it. Raises ValueError where nothing conforms."""
    payload = _Maker(now, 0.5, now).conforming(schema)
    if payload is None:
        raise ValueError("no payload could be made")
    return {key: value for key, value in payload.items() if key != name}


class _Maker:
    """``place``: where in its domain a value lies, 0 to 1; ``when``: the times' value; ``optional``: with optional members."""

    def __init__(self, now: int, place: float, when: int, *, optional: bool = True, null: bool = False) -> None:
        self._place, self._when, self._optional, self._null = place, when, optional, null

    def conforming(self, schema: Schema) -> dict[str, Any] | None:
        """The payload as the validator gives it back; None where it does not conform or is too large."""
        for most in (1024, MOST_ITEMS, 1):
            try:
                payload: dict[str, Any] = schema.rebuild(self._value(schema, most))
            except Mismatch:
                return None
            if len(json.dumps(payload)) <= MOST_BYTES:
                return payload
        return None

    def _value(self, schema: Schema, most: int) -> Any:
        if self._null and schema.nullable:
            return None
        match schema.type:
            case "object":
                wanted = (pair for pair in schema.properties if self._optional or pair[0] in schema.required)
                return {name: self._value(inner, most) for name, inner in wanted}
            case "array":
                number = min(round((schema.max_items or 0) * self._place), most)
                return [self._value(schema.items, min(most, MOST_ITEMS) // 4) for _ in range(number)] if schema.items else []
            case "boolean":
                return self._place > 0
            case "time":
                moment = datetime.fromtimestamp(self._when, UTC)
                return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            case "string" if not schema.enum:
                return self._text(schema.max_length or 0)
        if schema.enum:
            return schema.enum[min(int(len(schema.enum) * self._place), len(schema.enum) - 1)]
        return self._number(schema)

    def _text(self, most: int) -> str:
        length = round(most * self._place)
        return (_WORDS * (length // len(_WORDS) + 1))[:length].strip()

    def _number(self, schema: Schema) -> int | float:
        least, step = exact(schema.minimum or 0), exact(schema.multiple_of or 1)
        steps = int((exact(schema.maximum or 0) - least) / step)
        value = least + round(steps * self._place) * step
        return int(value) if value.denominator == 1 else float(value)


def optional_members(schema: Schema) -> Iterator[str]:
    """The names that a payload may lack."""
    return (name for name, _ in schema.properties if name not in schema.required)
