"""What holds of every set of rules over every payload that a manifest admits.

Above all: whatever leaves is declared or withheld, and it carries no more than it is charged for, even where a device and its
vendor know all the rules and choose their values by them.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.policy.coarse import Unfit
from gateway.policy.moment import Moment
from gateway.policy.plan import Plan, RuledOut, certain, compiled
from gateway.policy.rule import DAYS, Rule, joined, parse
from gateway.rulewriting import text
from gateway.standard.canonical import encode
from gateway.standard.envelope import Message, outgoing
from gateway.standard.schema import Schema, parse_schema
from gateway.standard.validator import Mismatch
from gateway.standard.withholding import relaxed
from tests.unit.policy.homes import MANIFEST, PLUG
from tests.unit.standard import declarations

MOMENTS = st.builds(Moment, st.integers(0, 1439), st.integers(0, 6), st.sampled_from(["", "home", "away"]))


def places(schema: dict[str, Any], pointer: str = "/payload") -> list[tuple[str, dict[str, Any]]]:
    """Every declared place but the payload itself."""
    found = []
    for name, inner in schema.get("properties", {}).items():
        place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        found += [(place, inner), *places(inner, place)]
    if "items" in schema:
        found += [(f"{pointer}/-", schema["items"]), *places(schema["items"], f"{pointer}/-")]
    return found


@st.composite
def actions(draw: st.DrawFn, field: dict[str, Any]) -> dict[str, Any]:
    """Something that may be done to a field."""
    kind = field["type"][0] if isinstance(field["type"], list) else field["type"]
    doing = draw(st.sampled_from(["withhold", "withhold", "allow", "replace", "coarsen"]))
    if doing == "coarsen" and kind == "time":
        return {"do": doing, "grain": draw(st.sampled_from(["minute", "hour", "day"]))}
    if doing == "coarsen" and kind in {"number", "integer"} and "enum" not in field:
        step = field.get("multipleOf", 1)
        if draw(st.booleans()):
            return {"do": doing, "step": step * draw(st.sampled_from([1, 2, 3, 10]))}
        return {"do": doing, "buckets": sorted({field["minimum"], draw(declarations.values(field | {"type": kind}))})}
    if doing == "replace" and kind not in {"object", "array"}:
        return {"do": doing, "with": draw(declarations.values(field | {"type": kind}))}
    return {"do": "allow" if doing == "allow" else "withhold"}


@st.composite
def tables(draw: st.DrawFn, schema: dict[str, Any], *, by_value: bool = True, sure: bool = False) -> dict[str, Any]:
    """One rule for a field of ``schema``; ``sure``: it always matches."""
    pointer, field = draw(st.sampled_from(places(schema)))
    table = {"field": pointer, **draw(actions(field))}
    if sure:
        return table
    if draw(st.integers(0, 2)) == 0:
        table["between"] = draw(st.sampled_from([["08:00", "20:00"], ["20:00", "08:00"]]))
    if draw(st.integers(0, 4)) == 0:
        table["days"] = draw(st.lists(st.sampled_from(DAYS), min_size=1, unique=True))
    if draw(st.integers(0, 4)) == 0:
        table["presence"] = draw(st.sampled_from(["home", "away"]))
    if by_value and draw(st.integers(0, 1)) == 0:
        of, looked_at = draw(st.sampled_from(places(schema)))
        value = draw(declarations.values(looked_at))
        if isinstance(value, str | bool | int | float):
            table |= {"value_of": of, "value": value}
    return table


def rules_of(drawn: list[dict[str, Any]]) -> tuple[Rule, ...]:
    return joined([parse("x.toml", text([{"name": f"r{n}", **table} for n, table in enumerate(drawn)]))])


def plan_of(drawn: list[dict[str, Any]], schema: Schema) -> Plan:
    try:
        return compiled(rules_of(drawn), PLUG, schema)
    except Unfit:
        assume(False)
        raise


@st.composite
def homes(draw: st.DrawFn, *, by_value: bool = True, sure: bool = False) -> tuple[Schema, list[dict[str, Any]], dict[str, Any]]:
    """A schema, rules for it, and a judged payload."""
    declared = draw(declarations.payloads)
    assume(places(declared))
    drawn = draw(st.lists(tables(declared, by_value=by_value, sure=sure), max_size=6))
    schema = parse_schema(declared)
    return schema, drawn, judged(schema, draw(declarations.values(declared)))


def judged(schema: Schema, value: Any) -> dict[str, Any]:
    """As the judge gives it on; drawn texts that nobody can read are left aside."""
    try:
        made: dict[str, Any] = schema.rebuild(value)
    except Mismatch:
        assume(False)
        raise
    return made


def envelope(made: Plan, payload: dict[str, Any]) -> bytes:
    message = Message("power-reading", "api.acme.example", payload)
    return outgoing(message, MANIFEST, id="m", sent="2026-11-26T12:00:00Z", device="d", withheld=made.withheld)


@given(homes(), MOMENTS)
def test_what_leaves_is_declared_or_withheld(home: tuple[Schema, list[dict[str, Any]], dict[str, Any]], moment: Moment) -> None:
    schema, drawn, sent = home
    made = plan_of(drawn, schema)
    before = encode(sent)
    ruled = made.apply(sent, moment)
    assert encode(sent) == before, "the judged payload stays as it is"
    assert relaxed(schema, made.withheld).rebuild(ruled.payload) == ruled.payload
    assert made.schema.rebuild(ruled.bare) == ruled.bare
    made.schema.cost(ruled.bare, 1_700_000_000)


@given(homes(by_value=False), MOMENTS)
def test_rules_applied_twice_are_rules_applied_once(
    home: tuple[Schema, list[dict[str, Any]], dict[str, Any]], moment: Moment
) -> None:
    """So the courier can hold what leaves against them once more."""
    schema, drawn, sent = home
    made = plan_of(drawn, schema)
    once = made.apply(sent, moment)
    twice = made.apply(once.payload, moment)
    assert envelope(made, twice.payload) == envelope(made, once.payload)


@given(homes(sure=True), MOMENTS)
def test_rules_that_always_match_charge_no_more_than_no_rules(
    home: tuple[Schema, list[dict[str, Any]], dict[str, Any]], moment: Moment
) -> None:
    schema, drawn, sent = home
    made = plan_of(drawn, schema)
    reference = 1_780_000_000
    assert made.schema.cost(made.apply(sent, moment).bare, reference) <= schema.cost(sent, reference) + 1e-6


@given(st.data(), MOMENTS)
def test_what_is_withheld_or_replaced_for_sure_tells_nothing(data: st.DataObject, moment: Moment) -> None:
    """Two payloads that differ there only leave as the same bytes, and cost the same."""
    declared = data.draw(declarations.payloads.filter(lambda found: bool(found["properties"])))
    name = data.draw(st.sampled_from(sorted(declared["properties"])))
    pointer, field = "/payload/" + name.replace("~", "~0").replace("/", "~1"), declared["properties"][name]
    action = data.draw(actions(field).filter(lambda found: found["do"] in {"withhold", "replace"}))
    others = data.draw(st.lists(tables(declared, by_value=False), max_size=3))
    schema = parse_schema(declared)
    made = plan_of([{"field": pointer, **action}, *others], schema)
    one, two = (data.draw(declarations.values(declared)) for _ in range(2))
    other = {key: value for key, value in one.items() if key != name} | {key: two[key] for key in [name] if key in two}
    first, second = (made.apply(judged(schema, sent), moment) for sent in (one, other))
    assert envelope(made, first.payload) == envelope(made, second.payload)
    assert made.schema.cost(first.bare, 0) == made.schema.cost(second.bare, 0)


@given(st.data(), MOMENTS)
def test_one_more_rule_that_withholds_in_front_never_shows_more(data: st.DataObject, moment: Moment) -> None:
    schema, drawn, sent = data.draw(homes())
    before = plan_of(drawn, schema).apply(sent, moment).payload
    name = data.draw(st.sampled_from([name for name, _ in schema.properties]))
    pointer = "/payload/" + name.replace("~", "~0").replace("/", "~1")
    after = plan_of([{"field": pointer, "do": "withhold"}, *drawn], schema).apply(sent, moment).payload
    assert after == {key: value for key, value in before.items() if key != name}


@given(st.data(), MOMENTS)
def test_rules_for_different_fields_may_stand_in_any_order(data: st.DataObject, moment: Moment) -> None:
    schema, drawn, sent = data.draw(homes())
    one_each = list({table["field"]: table for table in drawn}.values())
    mixed = data.draw(st.permutations(one_each))
    first, second = plan_of(one_each, schema), plan_of(mixed, schema)
    assert first.withheld == second.withheld
    assert first.schema == second.schema
    assert first.apply(sent, moment).payload == second.apply(sent, moment).payload


@given(homes(), st.lists(MOMENTS, min_size=2, max_size=4))
def test_withheld_is_from_the_rules_alone(
    home: tuple[Schema, list[dict[str, Any]], dict[str, Any]], moments: list[Moment]
) -> None:
    """It is made before any message is seen, names every member that is gone, and does not change with hour or presence."""
    schema, drawn, sent = home
    made = plan_of(drawn, schema)
    for moment in moments:
        left = made.apply(sent, moment).payload
        missing = [name for name in sent if name not in left]
        for name in missing:
            assert "/payload/" + name.replace("~", "~0").replace("/", "~1") in made.withheld


# Small enough to send every message that there is.
SMALL = {
    "type": "object",
    "properties": {
        "a": {"type": "boolean", "title": "A"},
        "b": {"type": "string", "title": "B", "enum": ["x", "y", "z"]},
        "n": {"type": ["integer", "null"], "title": "N", "minimum": 0, "maximum": 6},
        "o": {
            "type": "object",
            "title": "O",
            "properties": {"p": {"type": "number", "title": "P", "minimum": 0, "maximum": 1, "multipleOf": 0.25}},
            "required": ["p"],
        },
    },
    "required": ["a", "o"],
}
NOTHING = object()


def everything() -> list[dict[str, Any]]:
    """All payloads that SMALL admits."""
    choices: dict[str, list[Any]] = {
        "a": [False, True],
        "b": [NOTHING, "x", "y", "z"],
        "n": [NOTHING, None, *range(7)],
        "o": [{"p": step / 4} for step in range(5)],
    }
    schema = parse_schema(SMALL)
    found = itertools.product(*choices.values())
    return [schema.rebuild({k: v for k, v in zip(choices, values, strict=True) if v is not NOTHING}) for values in found]


ALL = everything()


@given(st.lists(tables(SMALL), max_size=5), MOMENTS)
def test_no_code_over_the_rules_carries_more_than_is_charged(drawn: list[dict[str, Any]], moment: Moment) -> None:
    """Kraft's inequality over all that a vendor can see, whichever values, hours or presence decide: so nothing is free.

    A message that a rule denies is silence, which is charged as presence.
    """
    made = plan_of(drawn, parse_schema(SMALL))
    seen: dict[bytes, float] = {}
    for sent in ALL:
        ruled = made.apply(sent, moment)
        bits = made.schema.cost(ruled.bare, 0)
        body = envelope(made, ruled.payload)
        assert seen.setdefault(body, bits) == bits, "one message, one charge"
    assert sum(2.0**-bits for bits in seen.values()) <= 1 + 1e-9


@given(st.lists(tables(SMALL), max_size=5), st.lists(MOMENTS, min_size=2, max_size=3))
def test_also_where_hours_and_presence_change_between_messages(drawn: list[dict[str, Any]], moments: list[Moment]) -> None:
    made = plan_of(drawn, parse_schema(SMALL))
    dice = random.Random(3)
    seen: dict[bytes, float] = {}
    for moment in moments:
        for sent in dice.sample(ALL, 120):
            ruled = made.apply(sent, moment)
            seen[envelope(made, ruled.payload)] = made.schema.cost(ruled.bare, 0)
    assert sum(2.0**-bits for bits in seen.values()) <= 1 + 1e-9


@given(st.lists(tables(SMALL), max_size=4), st.sampled_from(ALL), MOMENTS)
def test_a_denied_message_is_denied_whatever_the_fields_rules_say(
    drawn: list[dict[str, Any]], sent: dict[str, Any], moment: Moment
) -> None:
    made = plan_of([*drawn, {"do": "deny", "value_of": "/payload/a", "value": True}], parse_schema(SMALL))
    try:
        made.apply(sent, moment)
    except RuledOut:
        assert sent["a"] is True
    else:
        assert sent["a"] is False


@given(homes(), MOMENTS)
def test_what_was_ruled_holds_against_what_is_certain_in_the_same_rules(
    home: tuple[Schema, list[dict[str, Any]], dict[str, Any]], moment: Moment
) -> None:
    """The courier's second look never stops what the door let go, though it does not know what the device said."""
    schema, drawn, sent = home
    made = plan_of(drawn, schema)
    left = made.apply(sent, moment).payload
    again = compiled(certain(rules_of(drawn)), PLUG, relaxed(schema, made.withheld))
    assert encode(again.apply(left, Moment(0, 0)).payload) == encode(left)
    assert set(again.withheld) <= set(made.withheld)
