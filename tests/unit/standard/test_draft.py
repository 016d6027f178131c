"""A first manifest from samples: it conforms once its gaps are filled in, admits its samples, and says what it left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.standard.draft import Draft, draft, gaps, payload_of, title
from gateway.standard.manifest import Manifest, parse_manifest
from tests.unit.standard.conftest import SAMPLES


def filled(made: Draft) -> dict[str, Any]:
    """The document as a vendor would complete it."""
    whole: dict[str, Any] = json.loads(json.dumps(made.document))
    head = whole["ietf-mud:mud"]
    extension = head["clear-envelope"]
    head |= {"mud-url": "https://acme.example/m.json", "mud-signature": "https://acme.example/m.p7s", "systeminfo": "Plug"}
    extension["vendor"] = {"name": "Acme", "contact": "c", "support-end": "2031-12-31", "terms": "t"}
    extension["hosts"] = ["api.acme.example"]
    for message in extension["messages"].values():
        message |= {"purpose": "p", "uses": ["service"], "host": "api.acme.example", "rate": 60}
    assert list(gaps(whole)) == []
    return whole


def manifest(samples: list[Any], name: str = "sample") -> tuple[Manifest, Draft]:
    made = draft({name: samples})
    return parse_manifest(json.dumps(filled(made)).encode()), made


def field(samples: list[Any]) -> dict[str, Any]:
    """The declaration of the only field, "f"."""
    made = draft({"sample": [{"f": sample} for sample in samples]})
    found: dict[str, Any] = made.document["ietf-mud:mud"]["clear-envelope"]["messages"]["sample"]["payload"]["properties"]["f"]
    return {name: value for name, value in found.items() if name != "title"}


@pytest.mark.parametrize(
    ("samples", "declared"),
    [
        ([True, False], {"type": "boolean"}),
        ([12, 40], {"type": "integer", "minimum": 0, "maximum": 60}),
        ([-3, 7], {"type": "integer", "minimum": -5, "maximum": 20}),
        ([1.25, 3.5], {"type": "number", "minimum": 0, "maximum": 6, "multipleOf": 0.01}),
        ([1, 2.5], {"type": "number", "minimum": 0, "maximum": 4, "multipleOf": 0.1}),
        ([21.299999237060547], {"type": "number", "minimum": 0, "maximum": 40, "multipleOf": 1e-05}),
        (["eco", "off", "eco"], {"type": "string", "enum": ["eco", "off"]}),
        (["Living room, upstairs (2)"], {"type": "string", "maxLength": 40}),
        (["2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z"], {"type": "time", "grain": 3600}),
        (["2026-11-25T10:00:07Z", "2026-11-25T11:00:00Z"], {"type": "time", "grain": 1}),
        (["BMX055A", "MSS310R-EU2"], {"type": "string", "enum": ["BMX055A", "MSS310R-EU2"]}),
        (["Hall,  12"], {"type": "string", "maxLength": 16}),
        ([None, True], {"type": ["boolean", "null"]}),
        ([[1, 2], []], {"type": "array", "maxItems": 4, "items": {"type": "integer", "minimum": 0, "maximum": 3}}),
    ],
)  # fmt: skip
def test_types_ranges_steps_and_grains(samples: list[Any], declared: dict[str, Any]) -> None:
    assert field(samples) == declared


@pytest.mark.parametrize(
    ("name", "sample", "unit", "bounds"),
    [
        ("temperature", 21.5, "Cel", (-40, 125)), ("indoorTemp", 21.5, "Cel", (-40, 125)), ("humidity", 40, "%RH", (0, 100)),
        ("battery_percent", 77, "%EL", (0, 100)), ("power", 61.4, "W", (0, 100)), ("rssi", -61, "dBm", (-128, 20)),
        ("energy_kwh", 1.5, "kWh", (0, 3)), ("temperature", 900.5, "Cel", (0, 2000)),
    ],
)  # fmt: skip
def test_units_and_usual_ranges_come_from_names(name: str, sample: float, unit: str, bounds: tuple[int, int]) -> None:
    made = draft({"sample": [{name: sample}]})
    found = made.document["ietf-mud:mud"]["clear-envelope"]["messages"]["sample"]["payload"]["properties"][name]
    assert (found["unit"], (found["minimum"], found["maximum"])) == (unit, bounds)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("550e8400-e29b-41d4-a716-446655440000", "a UUID"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "a signed token"),
        ("d41d8cd98f00b204e9800998ecf8427e", "a hexadecimal string"),
        ("02:4d:75:64:01:01", "a hardware address"),
        ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "a key, token or encoded bytes"),
        ("https://acme.example/?id=1", "a URL"),
        ("line\nline", "control, invisible"),
        ("x" * 600, "text of 600 characters"),
        (None, "only null was seen"),
        ([], "only empty lists"),
        ({"02:11:22:33:44:55": 1}, "member names are data"),
        ({"1764100000": 1, "1764100060": 2}, "member names are data"),
        (2**53, "beyond"),
        ([1, "a"], "several types"),
        ({}, "nothing in it"),
    ],
)
def test_what_cannot_be_declared_is_left_out_with_its_reason(value: Any, why: str) -> None:
    made = draft({"sample": [{"f": value, "on": True}]})
    (note,) = [note for note in made.notes if note.left_out]
    assert note.pointer.startswith("/f") and why in note.words
    properties = made.document["ietf-mud:mud"]["clear-envelope"]["messages"]["sample"]["payload"]["properties"]
    assert list(properties) == ["on"]


@pytest.mark.parametrize("name", ["x7f3a9c2e41b8d05", "5f8ef594362f31000833d959-a1"])
def test_a_name_that_nobody_reads_is_left_out_with_its_reason(name: str) -> None:
    made = draft({"sample": [{name: True, "on": True}]})
    (note,) = [note for note in made.notes if note.left_out]
    assert note.pointer == f"/{name}" and "such that a person can read" in note.words
    manifest([{name: True, "on": True}])


def test_names_and_choices_that_nobody_reads_give_no_draft_that_is_refused_later() -> None:
    codes = [f"{one}7{two}x" for one in "bcdfgh" for two in "jklmnp"]
    made = draft({"sample": [{"codes": dict.fromkeys(codes, True), "on": True}]})
    assert [note.pointer for note in made.notes if note.left_out] == ["/codes"]
    samples = [{"mode": f"sZuTwgzBpBN2TM{n}"} for n in range(3)] + [{"on": True}]
    made = draft({"sample": samples})
    assert [note.pointer for note in made.notes if note.left_out] == ["/mode"]
    assert "__" not in title("a__b") and title("a__b") == "A b"


def test_times_that_the_device_must_write_otherwise_are_said() -> None:
    for value in (1_764_100_000, 1_764_100_000_000, "2026-11-25T10:00:00+01:00", "2026-11-25 10:00:00"):
        made = draft({"sample": [{"timestamp": value}]})
        assert any("2026-01-31T12:00:00Z" in note.words for note in made.notes)


def test_envelopes_are_taken_by_their_payload() -> None:
    envelope = json.loads((SAMPLES / "acme.message.json").read_text())
    name, payload = payload_of(envelope)
    assert (name, payload) == ("power-reading", envelope["payload"])
    found, _ = manifest([payload], name or "")
    found.messages["power-reading"].schema.rebuild(payload)


def test_gaps_are_named_and_keep_the_file_from_conforming() -> None:
    made = draft({"sample": [{"on": True}]})
    assert "/ietf-mud:mud/clear-envelope/vendor/name" in list(gaps(made.document))
    with pytest.raises(ValueError, match=r"mud-url|date|host"):
        parse_manifest(json.dumps(made.document).encode())


@pytest.mark.parametrize("samples", [[], [1], [{"a": 1}, []], [{f"m{n}": 1 for n in range(300)}]])
def test_what_is_no_payload(samples: list[Any]) -> None:
    with pytest.raises(ValueError, match="sample"):
        draft({"sample": samples})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text("abcdef 0123-:TZ", max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abé1", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["temp", "a", "at", "b b"]), json_values, max_size=4), min_size=1, max_size=4))
def test_whatever_the_samples_are_the_draft_conforms_when_filled_in(samples: list[dict[str, Any]]) -> None:
    found, made = manifest(samples)
    schema = found.messages["sample"].schema
    # what was left out apart, and what must be written otherwise, the samples themselves conform
    if not any(note.left_out or "the device must send" in note.words for note in made.notes):
        for sample in samples:
            schema.rebuild(sample)


CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "public" / "readable.jsonl"


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real payloads is not beside this checkout")
def test_real_payloads_give_drafts_that_conform_and_admit_them() -> None:
    payloads = [json.loads(line)["payload"] for line in CORPUS.read_text(encoding="utf-8").split("\n") if line]
    whole = 0
    for payload in (each for each in payloads if isinstance(each, dict)):
        found, made = manifest([payload])
        if not any(note.left_out or "the device must send" in note.words for note in made.notes):
            found.messages["sample"].schema.rebuild(payload)
            whole += 1
    assert whole > 100
