"""Declarations in an owner's words: what a field may hold, how often a message comes. It must leave nothing out unsaid."""

from __future__ import annotations

from gateway.standard.manifest import USES
from gateway.standard.schema import Schema

MOST_SHOWN = 12  # choices of an enum; the rest is counted

_UNITS = {  # where SenML's name is not what people write
    "Cel": "°C", "%RH": "% relative humidity", "%EL": "% battery", "EL": "seconds of battery", "/": "(a ratio)",
    "lat": "° latitude", "lon": "° longitude",
    "count": "(a count)", "deg": "°", "Ohm": "Ω", "m2": "m²", "m3": "m³", "m/s2": "m/s²", "W/m2": "W/m²",
    "cd/m2": "cd/m²", "ug/m3": "µg/m³", "kg/m3": "kg/m³", "m3/s": "m³/s",
}  # fmt: skip
_GRAINS = {1: "the second", 60: "the minute", 3600: "the hour", 86_400: "the day"}
_HOUR = 3600


def domain(schema: Schema) -> str:
    """What a field may hold, such as "a number from -40 to 60 °C in steps of 0.5"."""
    words = _domain(schema)
    return f"{words}, or nothing (null)" if schema.nullable else words


def _domain(schema: Schema) -> str:
    match schema.type:
        case "object":
            return "a group of " + (", ".join(f"{inner.title}: {domain(inner)}" for _, inner in schema.properties) or "nothing")
        case "array":
            inner = domain(schema.items) if schema.items else "nothing"
            return f"a list of at most {schema.max_items}, each {inner}"
        case "string" if schema.max_length:
            return f"text of at most {schema.max_length} characters"
        case "boolean":
            return "yes or no"
        case "time":
            return f"a time to {grain(schema.grain or 1)}"
    if schema.enum:
        return choices(schema.enum) + unit(schema)
    kind = "a whole number" if schema.type == "integer" else "a number"
    return f"{kind} from {schema.minimum} to {schema.maximum}{unit(schema)}{steps(schema)}"


def steps(schema: Schema) -> str:
    """The step of a number, where it is worth a word."""
    step = schema.multiple_of or 1
    return "" if schema.type == "integer" and step == 1 else f" in steps of {step}"


def unit(schema: Schema) -> str:
    """The unit with a space before it; empty where there is none."""
    return f" {_UNITS.get(schema.unit, schema.unit)}" if schema.unit else ""


def choices(values: tuple[str, ...] | tuple[int | float, ...]) -> str:
    """An enum's choices."""
    shown = ", ".join(f"“{value}”" if isinstance(value, str) else str(value) for value in values[:MOST_SHOWN])
    more = len(values) - MOST_SHOWN
    return f"one of {shown}" + (f" and {more} more" if more > 0 else "")


def grain(seconds: int) -> str:
    """How exact a time is."""
    return _GRAINS.get(seconds, f"{seconds} seconds")


def uses(labels: tuple[str, ...]) -> str:
    """What a vendor says that it does with a message, by the registry of purposes."""
    return "; ".join(f"{label} ({USES[label]})" for label in labels) or "the vendor does not say"


def rate(per_hour: int) -> str:
    """How often a message may come, in the words that fit best."""
    if per_hour == 1:
        return "once an hour"
    if per_hour <= 60:
        return (
            f"{per_hour} times an hour"
            if 60 % per_hour
            else f"every {60 // per_hour} minutes"
            if per_hour < 60
            else "every minute"
        )
    if per_hour < _HOUR:
        seconds = _HOUR / per_hour
        return f"every {seconds:.0f} s" if seconds.is_integer() else f"{per_hour} times an hour"
    seconds = per_hour / _HOUR
    return "every second" if seconds == 1 else f"{seconds:g} times a second"
