"""What holds of every message under every manifest: one value has one spelling, and judging it again changes nothing.

Schemas, values that they admit and spellings of these values are generated; the judge sees bytes, as from a device.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import rfc8785
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.standard.envelope import outgoing
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest
from gateway.standard.reading import unreadable
from gateway.standard.refusal import Refusal
from tests.samples.declare import manifest

Drawn = tuple[dict[str, Any], Any]  # a schema, and a value that it admits
NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=6)
# what a free text may hold; what it may not is test_reading.py's
READABLE = st.text("abc é1жñ.,-", max_size=8).filter(lambda text: unreadable(text) is None)
SPACE = st.text(" \t\r\n", max_size=2)


def _number(step_digits: int, multiple: int, low: int, span: int, at: float) -> Drawn:
    """Bounds and step as decimals with so many digits; ``at``: where the value lies between the bounds, 0 to 1."""
    unit = multiple * 10.0**-step_digits
    step = float(f"{multiple}e{-step_digits}")
    least, most = float(f"{low * multiple}e{-step_digits}"), float(f"{(low + span) * multiple}e{-step_digits}")
    value = min(max(least + at * span * unit, least), most)
    return {"type": "number", "minimum": least, "maximum": most, "multipleOf": step}, value


def _integer(step: int, low: int, span: int, at: float) -> Drawn:
    least, most = low * step, (low + span) * step
    return {"type": "integer", "minimum": least, "maximum": most, "multipleOf": step}, min(most, least + int(at * (most - least)))


def _object(members: dict[str, Drawn], optional: set[str]) -> Drawn:
    properties = {name: {"title": "T", **schema} for name, (schema, _) in members.items()}
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": properties, "required": required}, {n: value for n, (_, value) in members.items()}


def _nullable(drawn: Drawn, null: bool) -> Drawn:
    schema, value = drawn
    return {**schema, "type": [schema["type"], "null"]}, None if null else value


SCALARS: st.SearchStrategy[Drawn] = st.one_of(
    st.booleans().map(lambda value: ({"type": "boolean"}, value)),
    READABLE.map(lambda text: ({"type": "string", "maxLength": 8}, text)),
    st.sampled_from(["on", "off", ""]).map(lambda text: ({"type": "string", "enum": ["on", "off", ""]}, text)),
    st.builds(_integer, st.integers(1, 999), st.integers(-(10**9), 10**9), st.integers(0, 10**9), st.floats(0, 1)),
    st.builds(
        _number, st.integers(0, 9), st.integers(1, 999), st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.floats(0, 1)
    ),
    st.builds(
        lambda when, grain: ({"type": "time", "grain": grain}, when.isoformat() + "Z"),
        st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 12, 31)),
        st.sampled_from([1, 60, 900, 86_400]),
    ),
)


def _containers(inner: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    arrays = st.tuples(inner, st.integers(0, 3)).map(
        lambda drawn: ({"type": "array", "maxItems": 3, "items": drawn[0][0]}, [drawn[0][1]] * drawn[1])
    )
    return arrays | _objects(inner) | st.builds(_nullable, inner.filter(lambda d: isinstance(d[0]["type"], str)), st.booleans())


def _objects(inner: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    return st.builds(_object, st.dictionaries(NAMES, inner, max_size=4), st.sets(NAMES, max_size=2))


PAYLOADS = _objects(st.recursive(SCALARS, _containers, max_leaves=6))


@st.composite
def spelt(draw: st.DrawFn, value: Any) -> str:
    """JSON text for ``value`` with drawn white space, member order, escapes and numbers written in another way."""
    around = draw(SPACE), draw(SPACE)
    if isinstance(value, dict):
        members = draw(st.permutations(sorted(value)))
        inner = ",".join(draw(_text(name)) + draw(SPACE) + ":" + draw(spelt(value[name])) for name in members)
        return f"{around[0]}{{{inner}}}{around[1]}"
    if isinstance(value, list):
        return f"{around[0]}[{','.join(draw(spelt(item)) for item in value)}]{around[1]}"
    if isinstance(value, str):
        return around[0] + draw(_text(value)) + around[1]
    if isinstance(value, bool) or value is None:
        return around[0] + json.dumps(value) + around[1]
    return around[0] + draw(st.sampled_from(_numerals(value))) + around[1]


@st.composite
def _text(draw: st.DrawFn, text: str) -> str:
    """A JSON string: each character as it is, or escaped in one of the ways."""
    written = []
    for character in text:
        units = character.encode("utf-16-be").hex()
        escaped = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        ways = [escaped, escaped.upper().replace("U", "u"), json.dumps(character)[1:-1]]
        if character not in '"\\':
            ways.append(character)
        if character == "/":
            ways.append("\\/")
        written.append(draw(st.sampled_from(ways)))
    return '"' + "".join(written) + '"'


def _numerals(value: float) -> list[str]:
    """Spellings of one number; those that another reader would take for another double are left out."""
    plain = repr(value)
    ways = [plain, f"{value:.17e}", f"{value:.25f}", plain + ("0" if "." in plain and "e" not in plain else "")]
    if isinstance(value, int):
        ways += [f"{value}.0", f"{value}0e-1", f"{value}E+00"]
    if value == 0:
        ways += ["-0", "0e5", "-0.0"]
    return [way for way in ways if float(way) == value]


def leaves(judge: Judge, text: str, order: bool = False) -> bytes:
    """What leaves for an envelope around a payload given as JSON text."""
    parts = ['"ce":1', '"type":"sample"', '"vendor":{"hosts":["api.acme.example"],"name":"Acme"}', f'"payload":{text}']
    body = "{" + ",".join(reversed(parts) if order else parts) + "}"
    message = judge.from_device("api.acme.example", "sample", body.encode())
    return outgoing(message, judge.manifest, id="m", sent="2026-11-22T13:37:00Z", device="d")


@settings(max_examples=400, deadline=None)
@given(PAYLOADS, st.data())
def test_one_value_leaves_as_the_same_bytes_however_it_was_spelt(drawn: Drawn, data: st.DataObject) -> None:
    schema, value = drawn
    judge = Judge(parse_manifest(manifest(schema)))
    plain = leaves(judge, json.dumps(value))
    assert plain == rfc8785.dumps(json.loads(plain))
    assert leaves(judge, data.draw(spelt(value)), data.draw(st.booleans())) == plain


@settings(max_examples=400, deadline=None)
@given(PAYLOADS)
def test_what_left_is_judged_as_itself(drawn: Drawn) -> None:
    schema, value = drawn
    judge = Judge(parse_manifest(manifest(schema)))
    once = leaves(judge, json.dumps(value))
    assert leaves(judge, rfc8785.dumps(json.loads(once)["payload"]).decode()) == once


@settings(max_examples=400, deadline=None)
@given(PAYLOADS, PAYLOADS, st.data())
def test_a_refusal_is_the_same_however_the_value_was_spelt(ours: Drawn, other: Drawn, data: st.DataObject) -> None:
    judge = Judge(parse_manifest(manifest(ours[0])))
    verdicts = []
    for text in (json.dumps(other[1]), json.dumps(other[1], indent=3), data.draw(spelt(other[1]))):
        try:
            verdicts.append(leaves(judge, text))
        except Refusal as refusal:
            verdicts.append(refusal.reason)
    assert verdicts[1] == verdicts[0]
    # which of several flaws is named may depend on the order of members; whether there is one does not
    assert isinstance(verdicts[2], bytes) == isinstance(verdicts[0], bytes)
    if isinstance(verdicts[0], bytes):
        assert verdicts[2] == verdicts[0]


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 15), st.integers(1, 10**17), st.integers(-(10**15), 10**15), st.floats(0, 1))
def test_rounding_twice_is_rounding_once_at_any_step(digits: int, multiple: int, low: int, at: float) -> None:
    schema, value = _number(digits, multiple, low, 10**15 - abs(low), at)
    try:
        judge = Judge(parse_manifest(manifest(_object({"n": (schema, value)}, set())[0])))
    except ValueError:
        assume(False)  # no declaration: the bound is no multiple, too far off or too fine
    once = leaves(judge, json.dumps({"n": value}))
    assert leaves(judge, json.dumps(json.loads(once)["payload"])) == once
