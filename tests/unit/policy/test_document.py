"""docs/rules.md shows rules that work, commands that exist, and every action and word that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer.main

from gateway.cli.command import app
from gateway.policy.moment import Moment
from gateway.policy.plan import Subject, compiled
from gateway.policy.rule import Action, Rule, joined, parse
from gateway.standard.schema import parse_schema
from tests.unit.policy.homes import NOON, PLUG, READING, SENT

TEXT = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


def example(number: int) -> tuple[Rule, ...]:
    return joined([parse("x.toml", EXAMPLES[number].encode())])


def test_the_example_file_does_what_it_says() -> None:
    rules = example(0)
    assert {rule.do for rule in rules} == set(Action) - {Action.ALLOW}
    plan = compiled(rules, PLUG, READING.schema)
    ruled = plan.apply(SENT, NOON)
    assert ruled.payload == {name: value for name, value in SENT.items() if name != "label"} | {"power": 100, "source": "app"}
    assert plan.withheld == ("/payload/label", "/payload/source", "/payload/temperature")
    assert ruled.limit is not None and ruled.limit.per_hour == 6
    hot = plan.apply(SENT | {"power": 2500.0}, NOON)
    assert "temperature" not in hot.payload
    place = {"type": "number", "title": "Place", "minimum": -90, "maximum": 90, "multipleOf": 0.0001}
    schema = parse_schema({"type": "object", "properties": {"lat": place, "lon": place}, "required": ["lat", "lon"]})
    there = compiled(rules, Subject("cam", "standard", "Borealis", "place", "p"), schema)
    assert there.apply({"lat": 52.5163, "lon": 13.3777}, Moment(0, 0)).payload == {"lat": 52.5, "lon": 13.4}


def test_the_exception_stands_in_front() -> None:
    assert compiled(example(1), PLUG, READING.schema).apply(SENT, NOON).payload == {"power": SENT["power"]}


def test_every_word_is_explained() -> None:
    for action in Action:
        assert f"| `{action}` |" in TEXT
    for word in ("device", "vendor", "kind", "type", "purpose", "field", "value", "value_of", "above", "below", "between", "days",
                 "presence", "use", "with", "step", "buckets", "grain", "seconds", "per_hour", "note", "name"):  # fmt: skip
        assert re.search(rf"\b{word}\b", TEXT), word


def test_every_command_exists_and_takes_its_words() -> None:
    group = typer.main.get_command(app).commands["rules"]  # type: ignore[attr-defined]
    shown = set()
    for line in re.findall(r"^mudroom rules (.*)$", TEXT, re.M):
        name, *words = shlex.split(line.split("#")[0])
        shown.add(name)
        command = group.commands[name]
        command.make_context(name, [*words], resilient_parsing=False)
    assert shown == set(group.commands) - {"allow"}
