"""Coarser values of a field, and the declaration that they then keep to. It must never give a value that is not declared.

Pure. What leaves is charged by the coarser declaration, so a coarse value must be one that it admits, and coarse values stay
as they are when they are made coarse again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from gateway.policy.rule import Rule
from gateway.standard.schema import DAY, Schema, exact

NUMERIC = ("integer", "number")


class Unfit(ValueError):
    """A rule cannot be applied to this declaration. Says why and what to do."""


def fits(rule: Rule, schema: Schema) -> bool:
    """Whether the rule's way of coarsening is one for fields of this type."""
    return schema.type == "time" if rule.grain else schema.type in NUMERIC and not schema.enum


def coarser(rule: Rule, schema: Schema) -> tuple[Schema, Callable[[Any], Any]]:
    """The declaration of what leaves, and the way there from a value that ``schema`` rebuilt (not null). Raises Unfit."""
    if not fits(rule, schema):
        way = "grain is for times" if rule.grain else "step and buckets are for numbers"
        raise Unfit(f"{way}, and this field is none: withhold or replace it instead")
    if rule.grain:
        made = _time(schema, rule.grain)
    elif rule.buckets:
        return _bucketed(schema, rule.buckets)
    else:
        made = _stepped(schema, rule.step or 1)
    least, most, rebuild = made.minimum, made.maximum, replace(made, nullable=False).rebuild
    if least is None or most is None:
        return made, rebuild
    # the nearest step within the bounds: the bounds themselves need not be one
    return made, lambda value: rebuild(min(max(value, least), most))


def _time(schema: Schema, grain: int) -> Schema:
    own = schema.grain or DAY
    if own % grain == 0:
        return schema  # as coarse already
    if grain % own:
        raise Unfit(f"grain: {grain} seconds are no multiple of the declared {own}: take one that is")
    return replace(schema, grain=grain)


def _stepped(schema: Schema, step: int | float) -> Schema:
    own, wanted = exact(schema.multiple_of or 1), exact(step)
    if own % wanted == 0:
        return schema
    if wanted % own:
        raise Unfit(f"step: {step} is no multiple of the declared {schema.multiple_of or 1}: take one that is")
    least, most = exact(schema.minimum or 0), exact(schema.maximum or 0)
    lowest, highest = -(-least // wanted) * wanted, most // wanted * wanted
    if lowest > highest:  # no whole step within the bounds: one value is left
        return replace(schema, maximum=schema.minimum)
    return replace(schema, minimum=_number(lowest), maximum=_number(highest), multiple_of=_number(wanted))


def _bucketed(schema: Schema, edges: tuple[int | float, ...]) -> tuple[Schema, Callable[[Any], Any]]:
    rebuild = replace(schema, nullable=False).rebuild
    own = exact(schema.multiple_of or 1)
    for edge in edges:
        if exact(edge) % own or not (schema.minimum or 0) <= edge <= (schema.maximum or 0):
            raise Unfit(
                f"buckets: the manifest does not declare the value {edge}: take multiples of {schema.multiple_of or 1} in bounds"
            )
    values = tuple(rebuild(edge) for edge in edges)

    def lowered(value: Any) -> Any:
        return values[max(bisect_right(values, value) - 1, 0)]

    return replace(schema, enum=values), lowered


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
