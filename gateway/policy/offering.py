"""What the owner can do with one declared field, and what each choice will mean, said beforehand. Pure.

It must never offer what would not fit the declaration, nor keep silent about what the vendor hears of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gateway.policy.coarse import NUMERIC, Unfit, coarser
from gateway.policy.rule import GRAINS, MAX_TEXT, Action, Rule
from gateway.standard import wording
from gateway.standard.refusal import token
from gateway.standard.schema import DAY, Schema, exact
from gateway.standard.withholding import EACH, ROOT

MOST_STEPS = 4
MOST_CHOICES = 24
LEAST_VALUES = 3  # that a coarser number still has
KM_PER_DEGREE = 111  # from north to south
MANY = 10_000_000
HOW = "say how: a step, a grain or a constant"


@dataclass(frozen=True, slots=True)
class Offer:
    """One choice. ``how``: JSON of the step, the grain's name or the constant; empty where the choice has none."""

    do: Action
    how: str
    words: str


@dataclass(frozen=True, slots=True)
class Place:
    """A declared field. ``titles``: from the outermost group to it; ``required``: by the manifest."""

    pointer: str
    schema: Schema
    titles: tuple[str, ...]
    required: bool


def place_of(schema: Schema, pointer: str) -> Place | None:
    """The declared field at ``pointer``, where ``-`` stands for each item of a list; None where there is none."""
    steps = pointer.split("/")
    if len(pointer) > MAX_TEXT or f"/{steps[1] if len(steps) > 2 else ''}" != ROOT:
        return None
    titles: list[str] = []
    required = False
    for step in steps[2:]:
        if schema.items is not None:
            if step != EACH:
                return None
            schema, required = schema.items, False
            continue
        named = next(((name, inner) for name, inner in schema.properties if token(name) == step), None)
        if named is None:
            return None
        required = named[0] in schema.required
        schema = named[1]
        titles.append(schema.title)
    return Place(pointer, schema, tuple(titles), required)


def declared_pointer(schema: Schema | None, pointer: str) -> str:
    """The declared place of a value at ``pointer``, both from ``/payload`` on: an index of a list becomes ``-``."""
    made = ROOT
    for step in pointer.split("/")[2:]:
        if schema is not None and schema.items is not None:
            made, schema = f"{made}/{EACH}", schema.items
        else:
            made = f"{made}/{step}"
            found = schema.properties if schema is not None else ()
            schema = next((inner for name, inner in found if token(name) == step), None)
    return made


def offers(place: Place) -> list[Offer]:
    """All choices for a field, those that protect most first. An item of a list cannot be taken out alone: its list can."""
    found = []
    if not place.pointer.endswith(f"/{EACH}"):
        found.append(Offer(Action.WITHHOLD, "", _withheld(place)))
    found += _coarser(place.schema)
    if not place.pointer.endswith(f"/{EACH}"):
        found += [
            Offer(Action.REPLACE, json.dumps(value, ensure_ascii=False), f"“{_shown(value)}” leaves instead, always")
            for value in _constants(place.schema)
        ]
    found.append(
        Offer(Action.ALLOW, "", "It leaves as the device sends it: an exception to the rules that stand after this one.")
    )
    return found


def told(do: Action) -> str:
    """What the vendor hears of it."""
    match do:
        case Action.WITHHOLD | Action.REPLACE:
            return "The vendor is told that you keep this field (“withheld”) and may refuse its service; you will see if it does."
        case Action.COARSEN:
            return "The vendor is not told: what leaves is true, only less exact."
        case _:
            return "The vendor is told nothing."


def table(do: Action, how: str, *, device: str, vendor: str, type: str, pointer: str) -> dict[str, Any]:
    """The rule as a table of a file, without a name. ``device``, ``vendor``: empty where it is for all. Raises ValueError."""
    made: dict[str, Any] = {word: value for word, value in (("device", device), ("vendor", vendor), ("type", type)) if value}
    made |= {"field": pointer, "do": str(do)}
    if do is Action.COARSEN or do is Action.REPLACE:
        try:
            value = json.loads(how)
        except (ValueError, RecursionError):
            raise ValueError(HOW) from None
        if not isinstance(value, str | int | float):  # nor a table, which no rule has and a file would not hold as meant
            raise ValueError(HOW)
        made["with" if do is Action.REPLACE else "grain" if isinstance(value, str) else "step"] = value
    if do not in (Action.COARSEN, Action.REPLACE, Action.WITHHOLD, Action.ALLOW):
        raise ValueError(f"{do} is not for one field")
    return made


def _withheld(place: Place) -> str:
    if place.required:
        return "It does not leave. The vendor says that it needs this field."
    return "It does not leave. The vendor says itself that it may be left out."


def _coarser(schema: Schema) -> list[Offer]:
    if schema.type == "time":
        own = schema.grain or DAY
        return [
            Offer(
                Action.COARSEN, json.dumps(name), f"It is told to {wording.grain(seconds)} only; today to {wording.grain(own)}."
            )
            for name, seconds in GRAINS.items()
            if seconds > own and seconds % own == 0
        ]
    if schema.type not in NUMERIC or schema.enum:
        return []
    found = []
    for step in _steps(schema):
        try:
            coarse, _ = coarser(Rule("offer", Action.COARSEN, step=step), schema)
        except Unfit:
            continue
        left, own_values = _values(coarse), _values(schema)
        size = f"{step:g}{wording.unit(schema)}"
        words = f"It is rounded to steps of {size}: {_many(left)} different values instead of {_many(own_values)}"
        if schema.unit in {"lat", "lon"}:
            words += f" (about {float(step) * KM_PER_DEGREE:.3g} km)"
        found.append(Offer(Action.COARSEN, json.dumps(step), f"{words}."))
    return found


def _steps(schema: Schema) -> list[int | float]:
    """Tens of the declared step, the coarsest that leave some values; twos and fives where there is no such."""
    own = exact(schema.multiple_of or 1)
    room = exact(schema.maximum or 0) - exact(schema.minimum or 0)
    tens = []
    step = own * 10
    while room / step >= LEAST_VALUES - 1:
        tens.append(step)
        step *= 10
    steps = tens[-MOST_STEPS:] or [own * by for by in (2, 5) if room / (own * by) >= LEAST_VALUES - 1]
    return [int(step) if step.denominator == 1 else float(step) for step in steps]


def _values(schema: Schema) -> int:
    room = exact(schema.maximum or 0) - exact(schema.minimum or 0)
    return int(Fraction(room) / exact(schema.multiple_of or 1)) + 1


def _many(number: int) -> str:
    return f"{number:,}" if number < MANY else "millions of"


def _constants(schema: Schema) -> list[Any]:
    if schema.type == "boolean":
        return [True, False]
    return list(schema.enum[:MOST_CHOICES])


def _shown(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
