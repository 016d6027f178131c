"""What a later manifest changes: every kind of difference has its words and its effect, and "narrower" is never a lie."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.standard import changes
from gateway.standard.changes import Effect
from gateway.standard.manifest import parse_manifest
from gateway.standard.validator import Mismatch
from tests.unit.standard.conftest import SAMPLES
from tests.unit.standard.declarations import edited, encoded, fields, manifest, payloads, values
from tests.unit.standard.test_firmware import FIRMWARE
from tests.unit.standard.test_manifest import CE, FIELD, MUD, READING, put

POWER = f"{READING}/payload/properties/power"
TEMPERATURE = f"{READING}/payload/properties/temperature"
SOURCE = f"{READING}/payload/properties/source"
LABEL = f"{READING}/payload/properties/label"
REQUIRED = f"{READING}/payload/required"
NEW = {"type": "number", "title": "Outdoor temperature", "unit": "Cel", "minimum": -40, "maximum": 60, "multipleOf": 0.5}


SOFTWARE = f"{CE}/firmware"
ANOTHER = f"sha-256:{'1' * 64}"


@pytest.mark.parametrize(
    ("pointer", "value", "effect", "words"),
    [
        (f"{SOFTWARE}/version", "2.2.0", Effect.REPROGRAMS, "Acme would offer other software: “Safer Wi-Fi”, version 2.2.0"),
        (f"{SOFTWARE}/digest", ANOTHER, Effect.REPROGRAMS, f"so far version 2.1.0, {FIRMWARE['digest']}"),
        (f"{SOFTWARE}/size", 7, Effect.REPROGRAMS, "7 bytes"),
        (f"{SOFTWARE}/uri", "https://cdn.example/a", Effect.WIDENS,
         "the software would be fetched from https://cdn.example/a, so far from https://dl.acme.example/"),
        (f"{SOFTWARE}/title", "Fixes", Effect.REWORDS, "the software's title would be “Fixes”, so far “Safer Wi-Fi”"),
        (f"{SOFTWARE}/description", "All", Effect.REWORDS, "description would be “All”, so far there is none"),
        (SOFTWARE, ..., Effect.NARROWS, "the software “Safer Wi-Fi”, 2.1.0, would no longer be offered"),
        (f"{READING}/payload/properties/outdoor", NEW, Effect.WIDENS,
         "Acme would also learn: Outdoor temperature (a number from -40 to 60 °C in steps of 0.5)"),
        (f"{CE}/messages/switch/payload/properties/dim", NEW, Effect.WIDENS, "Acme would also tell the device: Outdoor"),
        (LABEL, ..., Effect.NARROWS, "“The owner's name for the plug” would no longer be sent"),
        (f"{READING}/rate", 3600, Effect.WIDENS, "messages “Power reading” would come every second, so far every 10 s"),
        (f"{READING}/rate", 60, Effect.NARROWS, "would come every minute, so far every 10 s"),
        (f"{READING}/title", "Status", Effect.REWORDS, "title of messages “Power reading” would be “Status”"),
        (f"{READING}/purpose", "Helps us", Effect.REWORDS, "the purpose of messages “Power reading” would be “Helps us”"),
        (f"{READING}/uses", ["service", "marketing"], Effect.WIDENS, "(what the device was bought for); marketing (selling"),
        (f"{READING}/uses", ["service"], Effect.NARROWS, "what becomes of messages “Power reading” would be: service"),
        (f"{READING}/uses", ["repair"], Effect.WIDENS, "would be: repair (finding and mending faults); so far: service"),
        (f"{READING}/uses", ..., Effect.WIDENS, "would be: the vendor does not say; so far: service"),
        (f"{CE}/messages/switch/uses", ["service"], Effect.REWORDS, "so far: the vendor does not say"),
        (f"{CE}/messages/alarm", ..., Effect.NARROWS, "messages “Alarm” would no longer be sent"),
        (f"{CE}/vendor/name", "Acme Ads", Effect.REWORDS, "the vendor's name would be “Acme Ads”, so far “Acme”"),
        (f"{CE}/vendor/terms", "None", Effect.REWORDS, "the terms would be “None”"),
        (f"{CE}/vendor/support-end", "2027-01-31", Effect.PROMISES_LESS,
         "support would end earlier, on 2027-01-31, so far on 2031-12-31"),
        (f"{CE}/vendor/support-end", "2035-01-31", Effect.NEUTRAL, "support would last longer"),
        (f"{CE}/hosts", ["api.acme.example", "ads.example"], Effect.WIDENS, "Acme would be reached at another host, ads.example"),
        (f"{MUD}/mud-url", "https://other.example/m.json", Effect.WIDENS, "later versions would come from https://other.example/m.json"),
        (f"{MUD}/mud-signature", "https://acme.example/s.p7s", Effect.NEUTRAL, "its signature would lie at"),
        (f"{MUD}/is-supported", False, Effect.PROMISES_LESS, "no longer supports the device"),
        (f"{MUD}/cache-validity", 24, Effect.NEUTRAL, "good for 24 hours, so far 48"),
        (f"{MUD}/last-update", "2020-01-01T00:00:00Z", Effect.REWORDS, "it is older (2020-01-01 00:00) than the approved one"),
        (f"{POWER}/maximum", 4000, Effect.WIDENS, "“Power drawn now” would reach from 0 to 4000 W, so far from 0 to 3680"),
        (f"{POWER}/maximum", 1000, Effect.NARROWS, "would reach from 0 to 1000 W"),
        (f"{POWER}/multipleOf", 0.01, Effect.WIDENS, "would be exact to 0.01 W, so far to 0.1"),
        (f"{POWER}/multipleOf", 0.2, Effect.NARROWS, "would be exact to 0.2 W"),
        (f"{POWER}/unit", "kW", Effect.REWORDS, "“Power drawn now” would be given in kW, so far in W"),
        (f"{POWER}/title", "Load", Effect.REWORDS, "the title of “Power drawn now” would be “Load”"),
        (f"{POWER}/description", "All of it", Effect.REWORDS,
         "the description of “Power drawn now” would be “All of it”, so far there is none"),
        (f"{TEMPERATURE}/type", "number", Effect.NARROWS, "could no longer be nothing (null)"),
        (f"{POWER}/type", ["number", "null"], Effect.WIDENS, "could also be nothing (null)"),
        (f"{SOURCE}/enum", ["timer", "button", "app", "schedule", "voice"], Effect.WIDENS, "could also be one of “voice”"),
        (f"{SOURCE}/enum", ["timer"], Effect.NARROWS, "could no longer be one of “button”, “app”, “schedule”"),
        (f"{SOURCE}/enum", ["schedule", "timer", "button", "app"], Effect.NEUTRAL, "in another order"),
        (f"{LABEL}/maxLength", 64, Effect.WIDENS, "text of at most 64 characters, so far 32"),
        (f"{LABEL}/maxLength", 16, Effect.NARROWS, "text of at most 16 characters"),
        (f"{READING}/payload/properties/measured/grain", 60, Effect.NARROWS, "exact to the minute, so far to the second"),
        (REQUIRED, ["measured", "on", "power", "label"], Effect.WIDENS, "would always be sent, so far it could be left out"),
        (REQUIRED, ["measured", "on"], Effect.WIDENS, "“Power drawn now” could be left out, so far it is always sent"),
        (f"{FIELD}", {"type": "integer", "title": "Plug switched on", "minimum": 0, "maximum": 1}, Effect.WIDENS,
         "would be a whole number from 0 to 1, so far yes or no"),
        (f"{LABEL}", {"type": "string", "title": "The owner's name for the plug", "enum": ["Kitchen", "Hall"]}, Effect.NARROWS,
         "would be one of “Kitchen”, “Hall”, so far text of at most 32 characters"),
        (f"{SOURCE}", {"type": "string", "title": "What caused the reading", "maxLength": 8}, Effect.WIDENS, "text of at most 8"),
    ],
)  # fmt: skip
def test_each_kind_of_difference(document: dict[str, Any], pointer: str, value: Any, effect: Effect, words: str) -> None:
    put(SOFTWARE, dict(FIRMWARE))(document)
    old = parse_manifest(encoded(document))
    put(pointer, value)(document)
    (found,) = changes.compare(old, parse_manifest(encoded(document)))
    assert found.effect is effect
    assert words in found.words
    assert found.waits == (effect not in {Effect.NARROWS, Effect.NEUTRAL})


def test_the_same_manifest_has_no_differences(document: dict[str, Any]) -> None:
    old = parse_manifest(encoded(document))
    assert changes.compare(old, old) == ()


def test_another_host_or_direction_of_a_message_widens(document: dict[str, Any]) -> None:
    put(f"{CE}/hosts", ["api.acme.example", "two.acme.example"])(document)
    old = parse_manifest(encoded(document))
    for pointer, value, words in (
        (f"{READING}/host", "two.acme.example", "belong to the host two.acme.example, so far to api.acme.example"),
        (f"{READING}/direction", "to-device", "would be sent to the device, so far the other way round"),
        (f"{CE}/messages/spy", {**document["ietf-mud:mud"]["clear-envelope"]["messages"]["alarm"], "title": "Spy"},
         "Acme would also get messages “Spy” (every minute, api.acme.example; Warns the owner"),
    ):  # fmt: skip
        changed = copy.deepcopy(document)
        put(pointer, value)(changed)
        (found,) = changes.compare(old, parse_manifest(encoded(changed)))
        assert found.effect is Effect.WIDENS
        assert words in found.words


def test_a_host_less_and_another_order(document: dict[str, Any]) -> None:
    put(f"{CE}/hosts", ["api.acme.example", "two.acme.example"])(document)
    old = parse_manifest(encoded(document))
    put(f"{CE}/hosts", ["two.acme.example", "api.acme.example"])(document)
    assert [d.effect for d in changes.compare(old, parse_manifest(encoded(document)))] == [Effect.NEUTRAL]
    put(f"{CE}/hosts", ["api.acme.example"])(document)
    assert [d.effect for d in changes.compare(old, parse_manifest(encoded(document)))] == [Effect.NARROWS]


@pytest.mark.parametrize(
    ("was", "now", "waits"), [("a", "a", False), ("a", "b", True), ("", "b", True), ("a", "", True), ("", "", True)]
)
def test_another_signer_or_none_waits(was: str, now: str, waits: bool) -> None:
    found = changes.signer(was, now, "CN=Somebody")
    assert (found is not None and found.waits) == waits


def relaxed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``old`` without asking for members that ``new`` does not know any more: a field less is narrower, by decision."""
    made = copy.deepcopy(old)
    if "properties" in old and "properties" in new:
        made["required"] = [name for name in old.get("required", []) if name in new["properties"]]
        for name in set(old["properties"]) & set(new["properties"]):
            made["properties"][name] = relaxed(old["properties"][name], new["properties"][name])
    elif "items" in old and "items" in new:
        made["items"] = relaxed(old["items"], new["items"])
    return made


def schema_of(payload: dict[str, Any]) -> Any:
    return parse_manifest(encoded(manifest(payload))).messages["reading"].schema


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_what_is_called_narrower_lets_out_nothing_new(data: st.DataObject) -> None:
    old = data.draw(payloads)
    new = data.draw(edited(old))
    found = changes.compare(parse_manifest(encoded(manifest(old))), parse_manifest(encoded(manifest(new))))
    assume(not any(difference.waits for difference in found))  # so that the examples are ones with something to lie about
    value = data.draw(values(new))
    left = schema_of(new).rebuild(value)
    before = schema_of(relaxed(old, new))
    assert before.rebuild(left) == left
    before.rebuild(value)  # and what the device sends was admitted before, too


def domains() -> dict[str, list[dict[str, Any]]]:
    """Small declarations of one type, by type: few enough to hold each against each."""
    numbers = [
        {"minimum": low * step, "maximum": high * step, "multipleOf": step}
        for step in (1, 2, 3, 4)
        for low in (-2, -1, 0)
        for high in (0, 1, 3)
    ]
    return {
        "integer": [*numbers, {"enum": [0, 2]}, {"enum": [-1, 3]}, {"enum": [2]}],
        "number": [{name: value / 2 for name, value in each.items()} for each in numbers],
        "time": [{"grain": grain} for grain in (1, 2, 3, 60, 90, 3600, 86_400)],
        "string": [{"maxLength": 1}, {"maxLength": 2}, {"enum": ["", "a"]}, {"enum": ["aaa", "a"]}, {"enum": ["aa"]}],
    }


INPUTS: dict[str, list[Any]] = {
    "integer": list(range(-13, 14)),
    "number": [step / 4 for step in range(-26, 27)],
    "time": [f"2026-01-01T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z" for s in (0, 1, 2, 3, 30, 59, 60, 89, 90, 3661, 86_399)],
    "string": ["", "a", "aa", "aaa", "b"],
}


@pytest.mark.parametrize("kind", ["integer", "number", "time", "string"])
def test_no_pair_of_domains_is_called_narrower_that_is_not(kind: str) -> None:
    schemas = [
        schema_of({"type": "object", "properties": {"f": {"type": kind, "title": "F", **each}}}) for each in domains()[kind]
    ]
    outputs = [{_out(schema, value) for value in INPUTS[kind]} - {None} for schema in schemas]
    claimed = 0
    for old in schemas:
        for new, after in zip(schemas, outputs, strict=True):
            found = list(changes._Fields("").compare(old, new, "", ""))
            if not any(difference.waits for difference in found):
                claimed += old is not new
                assert all(_out(old, value) == value for value in after), (old, new, found)
    assert claimed


def _out(schema: Any, value: Any) -> Any:
    try:
        return schema.rebuild({"f": value})["f"]
    except Mismatch:
        return None


@settings(max_examples=100, deadline=None)
@given(payloads, fields, st.sampled_from(["b", "more"]))
def test_a_field_more_always_waits(payload: dict[str, Any], field: dict[str, Any], name: str) -> None:
    changed = copy.deepcopy(payload)
    changed["properties"][name] = field
    found = changes.compare(parse_manifest(encoded(manifest(payload))), parse_manifest(encoded(manifest(changed))))
    assert name in payload["properties"] or any(d.waits and "Acme would also learn" in d.words for d in found)


def test_every_new_field_of_a_group_is_named() -> None:
    group = {
        "type": "object",
        "title": "Place",
        "properties": {"lat": {**NEW, "title": "Latitude"}, "lon": {**NEW, "title": "Longitude"}},
    }
    old, new = ({"type": "object", "properties": p} for p in ({}, {"place": group}))
    (found,) = changes.compare(parse_manifest(encoded(manifest(old))), parse_manifest(encoded(manifest(new))))
    assert "Latitude" in found.words and "Longitude" in found.words


def test_the_samples_are_their_own_equals() -> None:
    for name in ("acme", "borealis"):
        one = parse_manifest((SAMPLES / f"{name}.mud.json").read_bytes())
        assert changes.compare(one, one) == ()


def test_software_where_there_was_none_waits_for_the_owner(document: dict[str, Any]) -> None:
    old = parse_manifest(encoded(document))
    put(SOFTWARE, FIRMWARE)(document)
    (found,) = changes.compare(old, parse_manifest(encoded(document)))
    assert (found.effect, found.waits) == (Effect.REPROGRAMS, True)
    assert found.words.startswith("Acme would offer software for the device: “Safer Wi-Fi”, version 2.1.0, 1.0 MiB, sha-256:")
    assert found.words.endswith(f"from {FIRMWARE['uri']}")
