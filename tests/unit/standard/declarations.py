"""Hypothesis strategies for declarations and what they admit: manifests, payload schemas as they stand in one, and values."""

from __future__ import annotations

import copy
import json
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any

from hypothesis import strategies as st

from gateway.standard.lookalikes import unified
from gateway.standard.schema import MAX_DEPTH

GRAINS = (1, 60, 600, 3600, 86_400)
STEPS = ("0.01", "0.1", "0.5", "1", "5", "1e-9", "1000000")
WORDS = st.text("abc xyzé", min_size=1, max_size=8).map(unified).filter(bool)
NAMES = st.sampled_from(["a", "b", "on", "power", "x y", "~/"])
# Texts of these stay readable however they are cut: what the judge of free text refuses is not what these strategies are for.
_READABLE = st.sampled_from([" ", "a", "cab ", "é ", " 1 ", "bé", "12 "])


def _numbers(least: int, steps: int, step: str) -> dict[str, Any]:
    low, size = Decimal(least) * Decimal(step), Decimal(step)
    return {"minimum": _json(low), "maximum": _json(low + steps * size), "multipleOf": _json(size)}


def _json(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


_leaf = st.one_of(
    st.just({"type": "boolean"}),
    st.sampled_from(GRAINS).map(lambda grain: {"type": "time", "grain": grain}),
    st.integers(1, 24).map(lambda most: {"type": "string", "maxLength": most}),
    st.lists(WORDS, min_size=1, max_size=4, unique=True).map(lambda words: {"type": "string", "enum": words}),
    st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True).map(lambda n: {"type": "integer", "enum": n}),
    st.builds(
        lambda least, steps, step: {"type": "integer", **_numbers(least, steps, str(step))},
        st.integers(-5, 5), st.integers(0, 9), st.sampled_from([1, 2, 3, 10]),
    ),
    st.builds(
        lambda least, steps, step: {"type": "number", **_numbers(least, steps, step)},
        st.integers(-5, 5), st.integers(0, 9), st.sampled_from(STEPS),
    ),
)  # fmt: skip


def _whole(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def made(title: str, field: dict[str, Any], nullable: bool) -> dict[str, Any]:
        return {**field, "title": title, "type": [field["type"], "null"] if nullable else field["type"]}

    return st.builds(made, WORDS, inner, st.booleans())


def _object(fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAMES, fields, max_size=4).flatmap(
        lambda properties: (
            st.lists(st.sampled_from(sorted(properties)), unique=True).map(
                lambda required: {"type": "object", "properties": properties, "required": required}
            )
            if properties
            else st.just({"type": "object", "properties": {}})
        )
    )


fields = st.recursive(
    _whole(_leaf),
    lambda inner: st.one_of(
        _whole(_object(inner)),
        _whole(st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(1, 3))),
    ),
    max_leaves=5,
)
payloads = _object(fields)  # a payload's schema


def manifest(schema: dict[str, Any], **message: Any) -> dict[str, Any]:
    """A MUD file that declares one message type with this payload."""
    declared = {
        "title": "Reading", "purpose": "Shows it", "direction": "from-device", "host": "api.acme.example", "rate": 60,
        "payload": schema, **message,
    }  # fmt: skip
    extension = {
        "version": 1,
        "vendor": {"name": "Acme", "contact": "c", "support-end": "2031-12-31", "terms": "t"},
        "hosts": ["api.acme.example"],
        "messages": {"reading": declared},
    }
    head = {
        "mud-version": 1,
        "mud-url": "https://acme.example/mud.json",
        "extensions": ["clear-envelope"],
        "clear-envelope": extension,
    }
    return {"ietf-mud:mud": head}


def encoded(document: Any) -> bytes:
    """As it would be published."""
    return json.dumps(document).encode()


@st.composite
def values(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """Something that ``schema`` admits, seldom in its canonical form."""
    kind = schema["type"]
    if isinstance(kind, list):
        if draw(st.booleans()):
            return None
        kind = kind[0]
    match kind:
        case "object":
            required = schema.get("required", [])
            return {
                name: draw(values(inner))
                for name, inner in schema["properties"].items()
                if name in required or draw(st.booleans())
            }
        case "array":
            return draw(st.lists(values(schema["items"]), max_size=schema["maxItems"]))
        case "boolean":
            return draw(st.booleans())
        case "time":
            return f"2026-0{draw(st.integers(1, 9))}-11T{draw(st.integers(0, 23)):02}:{draw(st.integers(0, 59)):02}:37Z"
        case "string" if "maxLength" in schema:
            return draw(st.lists(_READABLE, max_size=6).map("".join))[: schema["maxLength"]]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if kind == "integer":
        return draw(st.integers(schema["minimum"], schema["maximum"]))
    return draw(st.floats(schema["minimum"], schema["maximum"], allow_nan=False))


@st.composite
def edited(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with one member changed, or two, in either direction."""
    changed = copy.deepcopy(schema)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        _edit(draw, draw(st.sampled_from(list(_places(changed)))))
    return changed


def _places(schema: dict[str, Any], depth: int = MAX_DEPTH) -> Any:
    yield schema
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from _places(inner, depth - 1)


def _edit(draw: st.DrawFn, place: dict[str, Any]) -> None:
    kind = place["type"][0] if isinstance(place["type"], list) else place["type"]
    if draw(st.integers(0, 3)) == 0 and "title" in place:  # a payload itself is never null
        place["type"] = kind if isinstance(place["type"], list) else [kind, "null"]
        return
    match kind:
        case "object":
            names = sorted(place["properties"])
            if names and draw(st.booleans()):
                name = draw(st.sampled_from(names))
                required = place.setdefault("required", [])
                if draw(st.booleans()):
                    del place["properties"][name]
                    place["required"] = [other for other in required if other != name]
                elif name in required:
                    required.remove(name)
                else:
                    required.append(name)
            else:
                place["properties"][draw(NAMES)] = draw(fields)
        case "array":
            place["maxItems"] = draw(st.integers(1, 4))
        case "time":
            place["grain"] = draw(st.sampled_from(GRAINS))
        case "string" if "maxLength" in place and draw(st.booleans()):
            place["maxLength"] = draw(st.integers(1, 24))
        case "string":
            place.pop("maxLength", None)
            place["enum"] = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
        case "integer" | "number" if "enum" not in place:
            low, high, step = (Decimal(str(place.get(name, 1))) for name in ("minimum", "maximum", "multipleOf"))
            match draw(st.sampled_from(["step", "minimum", "maximum", "all"])):
                case "step":  # coarser or finer, by what may divide it
                    step = (
                        step * draw(st.sampled_from([2, 3, 10])) if draw(st.booleans()) else max(step / 2, step % 1 and step / 10)
                    )
                    step = step.to_integral_value(ROUND_UP) if kind == "integer" else step
                    low, high = ((bound / step).to_integral_value(ROUND_DOWN) * step for bound in (low, high))
                case "minimum":
                    low += step * draw(st.integers(-2, 2))
                case "maximum":
                    high += step * draw(st.integers(-2, 2))
                case _:
                    step = Decimal(draw(st.sampled_from(STEPS if kind == "number" else ("1", "2", "5"))))
                    low = step * draw(st.integers(-6, 6))
                    high = low + step * draw(st.integers(0, 9))
            place.update(minimum=_json(low), maximum=_json(max(low, high)), multipleOf=_json(step))
        case "integer":
            place["enum"] = draw(st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True))
