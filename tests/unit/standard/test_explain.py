"""The owner's figures: never less than the charge, and every field has a remedy or cannot be smaller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Leaks
from gateway.standard import textmodel
from gateway.standard.explain import fields, spent
from gateway.standard.manifest import parse_manifest
from tests.samples import honest

SAMPLES = Path(honest.__file__).parent
NOW = 1_795_000_000


@pytest.mark.parametrize("name", ["acme", "borealis"])
def test_field_by_field_it_sums_up_to_the_charge(name: str) -> None:
    manifest = parse_manifest((SAMPLES / f"{name}.mud.json").read_bytes())
    envelope: dict[str, Any] = json.loads((SAMPLES / f"{name}.message.json").read_text())
    schema = manifest.messages[envelope["type"]].schema
    payload = schema.rebuild(envelope["payload"])
    found = spent(schema, payload, NOW)
    assert sum(found.values()) == pytest.approx(schema.cost(payload, NOW))
    most = {field.pointer: field.most for field in fields(schema)}
    assert all(bits <= most.get(pointer, 0) + 1e-9 for pointer, bits in found.items())


def test_words_and_remedies() -> None:
    manifest = parse_manifest((SAMPLES / "borealis.mud.json").read_bytes())
    by_pointer = {field.pointer: field for field in fields(manifest.messages["climate-report"].schema)}
    temperature = by_pointer["/rooms/*/temperature"]
    assert "801 steps of 0.1 Cel from -20 to 60, up to 12 times" in temperature.why
    assert temperature.most == pytest.approx(12 * 9.65, abs=0.1)
    assert "coarser" in temperature.remedy
    assert "enum instead of text" in by_pointer["/rooms/*/name"].remedy
    assert "null: 1 bit" in by_pointer["/battery"].why
    assert "left out" in by_pointer["/rooms/*/humidity"].why
    assert by_pointer["/rooms"].why == "how many items: 0 to 12"
    assert "a minute" in by_pointer["/measured"].why


@pytest.mark.parametrize("name", honest.DEVICES)
def test_an_honest_day_fits_the_default_budget_with_room_to_spare(name: str) -> None:
    day = honest.a_day(name, Leaks())
    assert day.refused == 0
    assert day.bits < Leaks().bits_per_day / 2


def test_a_budget_that_is_too_small_refuses() -> None:
    assert honest.a_day("air-sensor", Leaks(bits_per_day=1000)).refused > 1000


@pytest.mark.parametrize("text", ["漢字仮名交文", "qЖz我", "жъщёыэ", "~^`|~^", "", "a"])
def test_no_text_is_charged_more_than_is_shown(text: str) -> None:
    for most in (len(text), len(text) + 5):
        if most:
            assert textmodel.code_length(text, most) <= textmodel.most(most)
