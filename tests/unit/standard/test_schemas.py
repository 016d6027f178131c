"""The shipped JSON Schemas and our parsers say the same, but for the rules named here that no JSON Schema can say."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource

from gateway.reasons import Reason
from gateway.standard import inbox, schemas
from gateway.standard.envelope import outgoing, sent_at
from gateway.standard.judge import Judge
from gateway.standard.manifest import Manifest, ManifestError, parse_manifest
from gateway.standard.problem import problem
from gateway.standard.refusal import Refusal
from tests.unit.standard.conftest import SAMPLES
from tests.unit.standard.declarations import encoded, manifest, payloads
from tests.unit.standard.test_document import EXAMPLES
from tests.unit.standard.test_firmware import FIRMWARE
from tests.unit.standard.test_manifest import CE, FIELD, MUD, READING, put

POWER = f"{READING}/payload/properties/power"


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "boolean"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema, "maxItems": 1}
    return {"title": "Deep", **schema}


def broad(fields: int) -> dict[str, Any]:
    groups, left = {}, fields
    while left > 0:
        inner = {f"f{n}": {"type": "boolean", "title": "F"} for n in range(min(left, 200))}
        groups[f"g{left}"] = {"type": "object", "title": "G", "properties": inner}
        left -= 200
    return groups


# What JSON Schema cannot say: the parser's rule, and a change of the sample that only the parser refuses.
NAMED: dict[str, tuple[str, str, Any]] = {
    "printable": (r"printable characters", f"{READING}/title", "a\u200bb"),
    "one spelling": (r"one space between them", f"{READING}/title", "Power  reading"),
    "readable": (r"such that a person can read", f"{READING}/title", "sZuTwgzBpBN2TMQI"),
    "few codes": (
        r"are codes and no words",
        f"{POWER}",
        {"type": "string", "title": "P", "enum": [f"{a}7{b}x" for a in "bcdfgh" for b in "jklmnp"]},
    ),
    "a host of the manifest": (r"this must be one of", f"{READING}/host", "other.example"),
    "real dates": (r"must be a date", f"{CE}/vendor/support-end", "2031-02-31"),
    "real times": (r"must be a time", f"{MUD}/last-update", "2031-02-31T00:00:00Z"),
    "required names properties": (r"names a property", f"{READING}/payload/required", ["nothing"]),
    "bounds are multiples": (r"a bound is a multiple", f"{POWER}/maximum", 0.25),
    "minimum before maximum": (r"not greater than maximum", f"{POWER}/minimum", 4000),
    "10^15 steps": (r"within 10\^15 steps", f"{POWER}/multipleOf", 1e-14),
    "depth": (r"nest at most", FIELD, deep(12)),
    "fields": (r"at most 2048 fields", f"{READING}/payload/properties", broad(2048)),
    "size": (r"at most 262144 bytes", f"{MUD}/note", "x" * 262_144),
    "whole numbers without a fraction": (r"this must be an integer", f"{READING}/rate", 60.0),
    "no number for version": (r"must be 1|speaks version", f"{MUD}/mud-version", 1.0),
}


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    documents = [schemas.document(each) for each in schemas.NAMES]
    registry: Registry[Any] = Registry().with_resources([(d["$id"], Resource.from_contents(d)) for d in documents])
    return jsonschema.Draft202012Validator(schemas.document(name), registry=registry)


def admits(document: Any, name: str = "manifest") -> bool:
    return validator(name).is_valid(document)


def refused(document: Any) -> str:
    """The rule by which our parser refuses a manifest; empty where it does not."""
    try:
        parse_manifest(encoded(document))
    except ManifestError as error:
        return error.rule
    return ""


@pytest.mark.parametrize("name", schemas.NAMES)
def test_each_is_a_schema_of_2020_12(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.document(name))


@pytest.mark.parametrize("name", ["acme", "borealis"])
def test_the_samples_conform(name: str) -> None:
    assert list(validator("manifest").iter_errors(json.loads((SAMPLES / f"{name}.mud.json").read_text()))) == []
    assert admits(json.loads((SAMPLES / f"{name}.message.json").read_text()), "envelope")


def test_the_documents_examples_conform() -> None:
    envelope, document = (json.loads(example) for example in EXAMPLES[:2])
    assert admits(envelope, "envelope")
    assert admits(document)


@pytest.mark.parametrize("name", NAMED)
def test_each_named_rule_is_one_that_only_the_parser_knows(document: dict[str, Any], name: str) -> None:
    rule, pointer, value = NAMED[name]
    if name == "fields":
        put(f"{READING}/payload/required", [])(document)
    put(pointer, value)(document)
    assert admits(document)
    assert re.search(rule, refused(document))


JUNK = (
    None, True, 0, -1, 1, 7, 1.5, 0.1, 2**53, -(2**53), 1e16, 1e-16, 3_600_001, 169, "", " x", "x ", "x",
    "x" * 129, "x" * 257, "x" * 513, "time", "number", ["number", "null"], ["null", "number"], [], {}, [1], ["a", "a"],
    {"a": 1}, "W", "api.acme.example", "API.acme.example", "10.0.0.1", "https://acme.example", "https://acme.example/x?y",
    "https://acme.example:1/x", "http://acme.example/x", "2026-01-01", "2026-01-01T00:00:00Z",
    {"type": "boolean", "title": "B"}, {"type": "object", "properties": {}},
    67_108_864, 67_108_865, "2.1", "2.1-", "sha-256:" + "0" * 63, FIRMWARE,
)  # fmt: skip


def containers(value: Any) -> Any:
    """Every object and array of a document."""
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_schema_and_parser_give_the_same_verdict(data: st.DataObject) -> None:
    sample = json.loads((SAMPLES / "acme.mud.json").read_text())
    sample["ietf-mud:mud"]["clear-envelope"]["firmware"] = FIRMWARE
    document = data.draw(st.one_of(st.just(sample), payloads.map(manifest)))
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(0, 2))):
        holders = [holder for holder in containers(document) if holder] or [{"gone": 1}]
        holder = data.draw(st.sampled_from(holders))
        step = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        junk = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
        match data.draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "replace":
                holder[step] = junk
            case "remove":
                del holder[step]
            case _ if isinstance(holder, dict):
                holder["stray"] = junk
            case _:
                holder.append(junk)
    rule = refused(document)
    if admits(document):
        assert not rule or any(re.search(named, rule) for named, _, _ in NAMED.values()), rule
    else:
        assert rule


@settings(max_examples=60, deadline=None)
@given(payloads)
def test_what_the_generator_makes_conforms(schema: dict[str, Any]) -> None:
    assert not refused(manifest(schema))
    assert admits(manifest(schema))


def test_what_leaves_is_an_envelope(acme: Manifest, judge: Judge, body: bytes) -> None:
    message = judge.from_device("api.acme.example", "power-reading", body)
    left = json.loads(outgoing(message, acme, id="m-1", sent=sent_at(10**18), device="d-1", withheld=("/payload/label",)))
    assert list(validator("envelope").iter_errors(left)) == []
    for member in left:
        assert not admits({name: value for name, value in left.items() if name != member}, "envelope")
    assert not admits({**left, "token": "x"}, "envelope")


def test_what_is_no_envelope_is_none_for_the_judge_either(judge: Judge, body: bytes) -> None:
    envelope = json.loads(body)
    for change in (
        {"ce": 2},
        {"ce": True},
        {"type": "Power"},
        {"vendor": {"name": "Acme"}},
        {"payload": []},
        {"more": 1},
        {"type": None},
    ):
        wrong = {**envelope, **change}
        assert not admits(wrong, "envelope"), change
        with pytest.raises(Refusal):
            judge.from_device("api.acme.example", "power-reading", json.dumps(wrong).encode())


ENTRY = {"seq": 3, "type": "switch", "payload": {"on": True}}


@pytest.mark.parametrize(
    ("document", "conforms"),
    [
        ({"ce": 1, "inbox": [ENTRY]}, True),
        ({"ce": 1, "inbox": [ENTRY | {"seq": seq} for seq in range(1, 17)]}, True),
        ({"ce": 1, "inbox": [ENTRY | {"seq": seq} for seq in range(1, 18)]}, False),
        ({"ce": 1, "inbox": []}, False),
        ({"ce": 2, "inbox": [ENTRY]}, False),
        ({"ce": 1, "inbox": [ENTRY], "more": 1}, False),
        ({"ce": 1}, False),
        ({"ce": 1, "inbox": [ENTRY | {"seq": 0}]}, False),
        ({"ce": 1, "inbox": [ENTRY | {"seq": 2**53 - 1}]}, True),
        ({"ce": 1, "inbox": [ENTRY | {"seq": 2**53}]}, False),
        ({"ce": 1, "inbox": [ENTRY | {"more": 1}]}, False),
        ({"ce": 1, "inbox": [{"seq": 3, "type": "switch"}]}, False),
        ({"ce": 1, "inbox": [ENTRY | {"type": "Switch"}]}, False),
        ({"ce": 1, "inbox": [ENTRY | {"payload": []}]}, False),
    ],
)
def test_an_inbox_conforms_to_its_schema_or_to_nothing(acme: Manifest, document: dict[str, Any], conforms: bool) -> None:
    assert admits(document, "inbox") is conforms
    try:
        entries = inbox.read(acme, "api.acme.example", json.dumps(document).encode(), 0, max_body=65_536)
        passed = all(entry.refusal is None for entry in entries)
    except Refusal:
        passed = False
    assert passed is conforms


def test_what_a_device_gets_conforms_too(acme: Manifest) -> None:
    body = b'{"payload":{"on":true},"type":"switch"}'
    given = inbox.compose(inbox.pass_on(acme, "api.acme.example", number, body) for number in range(1, inbox.MOST_ENTRIES + 1))
    assert list(validator("inbox").iter_errors(json.loads(given))) == []


def test_answers_and_problems(judge: Judge) -> None:
    answers = json.loads((SAMPLES / "acme.answers.json").read_text())
    for answer in answers.values():
        assert admits(answer, "answer")
        assert judge.from_vendor(200, "application/clear-envelope+json", json.dumps(answer).encode()).status == 200
    ours = json.loads(problem(Reason.NOT_IN_SCHEMA, 422, "d" * 600, ("/payload/" + "x" * 300,) * 20))
    assert list(validator("problem").iter_errors(ours)) == []
    for most, member in ((128, "title"), (256, "type"), (512, "detail")):
        for size in (most, most + 1):
            details = {member: "x" * size}
            assert admits(details, "problem") == (size == most)
            try:
                judge.from_vendor(422, "application/problem+json", json.dumps(details).encode())
                passed = True
            except Refusal:
                passed = False
            assert passed == (size == most)
