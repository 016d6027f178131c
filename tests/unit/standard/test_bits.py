"""What a message is charged: a normalised model (Kraft's inequality) over what leaves, whatever way it was spelled."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.standard.bits import START_SECONDS, YEARS, compiled, whole
from gateway.standard.judge import Judge
from gateway.standard.manifest import Manifest
from gateway.standard.schema import DAY, Schema, parse_schema

NOW = 1_795_000_000


def field(**members: Any) -> Schema:
    """A schema as a property's."""
    payload = {"type": "object", "properties": {"x": {"title": "X", **members}}, "required": ["x"]}
    return dict(parse_schema(payload).properties)["x"]


def cost(schema: Schema, value: Any, reference: int = NOW) -> float:
    return schema.cost(schema.rebuild(value), reference)


NUMBER = {"type": "number", "minimum": -1, "maximum": 1, "multipleOf": 0.5}
INTEGER = {"type": "integer", "minimum": 0, "maximum": 6, "multipleOf": 3}
MODE = {"type": "string", "enum": ["off", "eco", "on"]}
LEAVES: list[tuple[dict[str, Any], list[Any]]] = [
    (NUMBER, [-1, -0.5, 0, 0.5, 1]),
    (INTEGER, [0, 3, 6]),
    (MODE, ["off", "eco", "on"]),
    ({"type": "integer", "enum": [1, 2, 4, 8]}, [1, 2, 4, 8]),
    ({"type": "boolean"}, [False, True]),
]


def values(members: dict[str, Any]) -> list[Any]:
    """Every value that a small schema lets out."""
    kind = members["type"]
    if isinstance(kind, list):
        return [None, *values({**members, "type": kind[0]})]
    if kind == "array":
        items = values(members["items"])
        return [list(found) for n in range(members["maxItems"] + 1) for found in itertools.product(items, repeat=n)]
    if kind == "object":
        ways = []
        for name, inner in members["properties"].items():
            there = [(name, value) for value in values(inner)]
            ways.append(there if name in members.get("required", ()) else [None, *there])
        return [dict(member for member in combination if member) for combination in itertools.product(*ways)]
    return next(known for leaf, known in LEAVES if leaf == {k: v for k, v in members.items() if k != "title"})


def titled(members: dict[str, Any], number: int) -> dict[str, Any]:
    return {**members, "title": f"Field {number}"}


leaves = st.sampled_from([leaf for leaf, _ in LEAVES])
nullable = leaves.map(lambda leaf: {**leaf, "type": [leaf["type"], "null"]})
arrays = st.builds(
    lambda items, most: {"type": "array", "items": items, "maxItems": most}, st.one_of(leaves, nullable), st.integers(1, 3)
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    fields = draw(st.lists(st.one_of(leaves, nullable, arrays), min_size=1, max_size=3))
    names = [f"f{number}" for number in range(len(fields))]
    properties = {name: titled(inner, number) for number, (name, inner) in enumerate(zip(names, fields, strict=True))}
    return {"type": "object", "properties": properties, "required": draw(st.lists(st.sampled_from(names), unique=True))}


@settings(max_examples=60, deadline=None)
@given(objects())
def test_over_all_values_the_model_sums_up_to_one_at_most(members: dict[str, Any]) -> None:
    schema = parse_schema(members)
    everything = values(members)
    if len(everything) > 60_000:
        return
    weights = [2.0 ** -cost(schema, value) for value in everything]
    assert math.fsum(weights) <= 1 + 1e-9
    assert math.fsum(2.0 ** -whole(-math.log2(weight)) for weight in weights) <= 1 + 1e-9


def test_where_nothing_is_wasted_it_sums_up_to_one() -> None:
    members = {
        "type": "object",
        "properties": {
            "n": titled(NUMBER, 1),
            "m": titled({**MODE, "type": ["string", "null"]}, 2),
            "a": titled({"type": "array", "items": INTEGER, "maxItems": 3}, 3),
        },
        "required": ["a"],
    }
    total = math.fsum(2.0 ** -cost(parse_schema(members), value) for value in values(members))
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("members", "everything"), LEAVES)
def test_each_value_costs_its_share(members: dict[str, Any], everything: list[Any]) -> None:
    schema = field(**members)
    assert [cost(schema, value) for value in everything] == [pytest.approx(math.log2(len(everything)))] * len(everything)


@pytest.mark.parametrize("grain", [DAY, 21_600])
@pytest.mark.parametrize("reference", [NOW, START_SECONDS, START_SECONDS + YEARS - 1, 0])
def test_times_sum_up_to_one_at_most_wherever_now_is(grain: int, reference: int) -> None:
    from datetime import UTC, datetime

    schema = field(type="time", grain=grain)
    moments = range(START_SECONDS, START_SECONDS + YEARS, grain)
    texts = (datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in moments)
    assert 0.5 <= math.fsum(2.0 ** -schema.cost(text, reference) for text in texts) <= 1 + 1e-9


def test_now_is_cheap_and_any_other_time_bounded() -> None:
    schema = field(type="time", grain=1)
    assert cost(schema, "2026-11-18T11:06:40Z") == pytest.approx(2.0, abs=0.01)  # NOW
    assert cost(schema, "2026-11-18T11:06:38Z") < 6
    assert cost(schema, "2026-11-18T11:06:42Z") == cost(schema, "2026-11-18T11:06:38Z")
    assert 32 < cost(schema, "2051-03-04T05:06:07Z") < 33
    assert 32 < cost(schema, "2026-11-18T11:06:40Z", reference=0) < 33


SPELLINGS: list[tuple[dict[str, Any], list[Any]]] = [
    (NUMBER, [0.5, 0.4999, 0.6, 5e-1]),
    (NUMBER, [0, -0.0, 0.1, -0.1]),
    (INTEGER, [3, 3.0, 2, 4]),
    ({"type": "time", "grain": 60}, ["2026-01-31T12:00:00Z", "2026-01-31T12:00:59Z", "2026-01-31T12:00:00.000001Z"]),
]


@pytest.mark.parametrize(("members", "ways"), SPELLINGS)
def test_spelling_changes_nothing(members: dict[str, Any], ways: list[Any]) -> None:
    schema = field(**members)
    assert len({cost(schema, way) for way in ways}) == 1
    # charging what left once more gives the same
    assert cost(schema, schema.rebuild(ways[-1])) == cost(schema, ways[0])


def test_a_message_is_charged_in_whole_bits(acme: Manifest) -> None:
    judge = Judge(acme)
    body = (
        b'{"ce":1,"type":"power-reading","vendor":{"name":"Acme","hosts":["api.acme.example"]},'
        b'"payload":{"measured":"2026-11-18T11:06:40.9Z","power":61.4000001,"on":true}}'
    )
    message = judge.from_device("api.acme.example", "power-reading", body)
    # now 2, on 1, power of 36,801 steps, six members that may be left out
    cost = 2 - 0.01 + 1 + math.log2(36_801) + 6
    assert judge.bits(message, NOW, paced=True) == math.ceil(cost)
    assert judge.bits(message, NOW, paced=False) == math.ceil(cost + 1), "and which of two types came before which"


def test_the_vendor_s_answers_are_counted(acme: Manifest) -> None:
    judge = Judge(acme)
    nothing = judge.from_vendor(204, None, b"")
    switch = judge.from_vendor(200, "application/clear-envelope+json", b'{"ce":1,"type":"switch","payload":{"on":true}}')
    problem = judge.from_vendor(422, "application/problem+json", b'{"title":"No"}')
    assert (nothing.bits, switch.bits) == (2, 3)
    assert problem.bits == 8 * len(problem.body)


def test_thousands_of_nearly_empty_objects_cost_their_number(acme: Manifest) -> None:
    many = {f"m{number:03}": titled(MODE, number) for number in range(256)}
    schema = parse_schema(
        {
            "type": "object",
            "properties": {
                "all": {
                    "type": "array", "title": "All", "maxItems": 1024, "items": {"type": "object", "properties": many},
                }
            },
        }
    )  # fmt: skip
    looked_at = 0

    class Counting(dict[str, Any]):
        def items(self) -> Any:
            nonlocal looked_at
            looked_at += len(self)
            return super().items()

    compiled(schema)({"all": [Counting() for _ in range(1024)]}, NOW)
    assert looked_at == 0
