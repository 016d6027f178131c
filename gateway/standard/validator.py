"""Schemas compiled to functions that rebuild a value as it may leave. A function must never return an object it was given.

Each checks, rounds and rebuilds in one pass over the value, with members in canonical order; the work is bounded by the
size of the value. No regular expressions.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.reasons import Reason
from gateway.standard.lookalikes import unified
from gateway.standard.reading import unreadable
from gateway.standard.refusal import token
from gateway.standard.schema import DAY, Schema, exact

Rebuild = Callable[[Any], Any]

MAX_SPELLED = 4  # characters for each one of a text before it is in its one spelling

_REMEDY = "send a value that the manifest declares"


class Mismatch(Exception):  # a verdict, not an error
    """A value is outside its declaration. ``tokens``: the way to it, innermost first."""

    def __init__(self, reason: Reason, detail: str, *tokens: str) -> None:
        self.reason = reason
        self.detail = detail
        self.tokens = list(tokens)
        super().__init__(detail)

    @property
    def pointer(self) -> str:
        """The place in the value, as a JSON Pointer (RFC 6901)."""
        return "".join("/" + token(step) for step in reversed(self.tokens))


def compiled(schema: Schema) -> Rebuild:
    """The function for a schema: raises Mismatch, returns the value that may leave."""
    rebuild = _MAKERS[schema.type](schema)
    if not schema.nullable:
        return rebuild
    return lambda value: None if value is None else rebuild(value)


def _outside(schema: Schema, rule: str) -> Callable[[object], Mismatch]:
    """Makes the refusal of a value that breaks ``rule``; the value itself is not repeated, only its kind."""
    what = f"{schema.title}: {rule}" if schema.title else rule
    if schema.nullable:
        what += ", or null"

    def mismatch(value: object) -> Mismatch:
        return Mismatch(Reason.NOT_IN_SCHEMA, f"{what}; found {_found(value)}; {_REMEDY}")

    return mismatch


def _found(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number that is not"
        case str():
            return f"a string of {len(value)} characters"
        case list():
            return f"an array of {len(value)} items"
    return "an object"


def _object(schema: Schema) -> Rebuild:
    members = tuple((name, inner.rebuild, name in schema.required) for name, inner in schema.properties)
    known = {member[0]: (place, member) for place, member in enumerate(members)}
    outside = _outside(schema, "an object with declared members")

    def rebuild(value: Any) -> Any:
        if type(value) is not dict:
            raise outside(value)
        built = {}
        looked_at = members
        if len(value) * 4 < len(members) and value.keys() >= schema.required:
            # few of many: else thousands of nearly empty objects would cost their number times that of the declared members
            looked_at = tuple(member for _, member in sorted(known[name] for name in value if name in known))
        for name, inner, required in looked_at:
            if name in value:
                try:
                    built[name] = inner(value[name])
                except Mismatch as mismatch:
                    mismatch.tokens.append(name)
                    raise
            elif required:
                raise Mismatch(Reason.REQUIRED_MISSING, "the manifest requires this member; send it", name)
        if len(built) != len(value):
            stray = next(name for name in value if name not in known)
            raise Mismatch(Reason.NOT_DECLARED, "the manifest does not declare this member; leave it out or declare it", stray)
        return built

    return rebuild


def _array(schema: Schema) -> Rebuild:
    most = schema.max_items or 0
    inner = schema.items.rebuild if schema.items else _nothing
    outside = _outside(schema, f"an array of at most {most} items")

    def rebuild(value: Any) -> Any:
        if type(value) is not list or len(value) > most:
            raise outside(value)
        built = []
        for item in value:
            try:
                built.append(inner(item))
            except Mismatch as mismatch:
                mismatch.tokens.append(str(len(built)))
                raise
        return built

    return rebuild


def _nothing(value: object) -> Any:
    raise Mismatch(Reason.NOT_IN_SCHEMA, f"nothing is declared here; found {_found(value)}; {_REMEDY}")


def _string(schema: Schema) -> Rebuild:
    if schema.enum:
        return _choice(schema, str)
    most = schema.max_length or 0
    outside = _outside(schema, f"printable text of at most {most} characters")
    what = f"{schema.title}: " if schema.title else ""

    def rebuild(value: Any) -> Any:
        if type(value) is not str or len(value) > MAX_SPELLED * most or not value.isprintable():
            raise outside(value)
        text = unified(value)
        if len(text) > most:
            raise outside(value)
        flaw = unreadable(text)
        if flaw is not None:
            raise Mismatch(Reason.NOT_READABLE, what + flaw)
        return text

    return rebuild


def _choice(schema: Schema, *kinds: type) -> Rebuild:
    choices = frozenset(schema.enum)
    shown = ", ".join(str(choice) for choice in schema.enum[:8]) + (", …" if len(schema.enum) > 8 else "")
    outside = _outside(schema, f"one of {shown}")

    def rebuild(value: Any) -> Any:
        if type(value) not in kinds or value not in choices:
            raise outside(value)
        return value

    return rebuild


def _integer(schema: Schema) -> Rebuild:
    if schema.enum:
        return _choice(schema, int)
    least, most, step = int(schema.minimum or 0), int(schema.maximum or 0), int(schema.multiple_of or 1)
    outside = _outside(schema, f"an integer from {least} to {most}")

    def rebuild(value: Any) -> Any:
        if type(value) is not int:
            if type(value) is not float or not value.is_integer():
                raise outside(value)
            value = int(value)  # 5.0 is the integer 5 (JSON Schema 2020-12, section 4.2.3)
        if not least <= value <= most:
            raise outside(value)
        return value if step == 1 else (2 * value + step) // (2 * step) * step

    return rebuild


def _number(schema: Schema) -> Rebuild:
    if schema.enum:  # no manifest's: what the owner's rules leave of one (gateway.policy.coarse)
        return _choice(schema, int, float)
    least, most = schema.minimum or 0, schema.maximum or 0
    step = exact(schema.multiple_of or 1)
    above, below = step.numerator, step.denominator
    outside = _outside(schema, f"a number from {least} to {most}")

    def rebuild(value: Any) -> Any:
        if (type(value) is not float and type(value) is not int) or not least <= value <= most:
            raise outside(value)
        # The value that leaves is the double nearest to a whole number of steps: one double for each step, and no other.
        rounded = round(value * below / above) * above / below
        return int(rounded) if rounded.is_integer() else rounded

    return rebuild


def _boolean(schema: Schema) -> Rebuild:
    outside = _outside(schema, "true or false")

    def rebuild(value: Any) -> Any:
        if type(value) is not bool:
            raise outside(value)
        return value

    return rebuild


def _time(schema: Schema) -> Rebuild:
    grain = schema.grain or DAY
    outside = _outside(schema, 'a time from 2000 to 2099 such as "2026-01-31T12:00:00Z" (RFC 3339, UTC)')

    def rebuild(value: Any) -> Any:
        if type(value) is not str or not 20 <= len(value) <= 30 or value[10] != "T" or value[-1] != "Z" or not value.isascii():
            raise outside(value)
        if len(value) > 20 and not (value[19] == "." and value[20:-1].isdigit()):
            raise outside(value)
        try:
            when = datetime.fromisoformat(value[:19])
        except ValueError:
            raise outside(value) from None
        # 19 characters of extended format and no other ISO 8601 spelling: written back, they must be the same
        if not 2000 <= when.year <= 2099 or when.isoformat() != value[:19]:
            raise outside(value)
        seconds = when.hour * 3600 + when.minute * 60 + when.second
        seconds -= seconds % grain
        return f"{value[:10]}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"

    return rebuild


_MAKERS: dict[str, Callable[[Schema], Rebuild]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "time": _time,
}
