"""What is offered for a field fits its declaration, and says what it will mean."""

from __future__ import annotations

import pytest

from gateway.policy.offering import declared_pointer, offers, place_of, table
from gateway.policy.plan import compiled
from gateway.policy.rule import Action
from gateway.rulewriting import text
from tests.unit.policy.homes import NESTED, PLUG, READING

POINTERS = [f"/payload/{name}" for name, _ in READING.schema.properties]


@pytest.mark.parametrize("pointer", POINTERS)
def test_every_offer_fits(pointer: str) -> None:
    from gateway.policy.rule import parse

    place = place_of(READING.schema, pointer)
    assert place is not None
    found = offers(place)
    assert {Action.WITHHOLD, Action.ALLOW} <= {offer.do for offer in found}
    for offer in found:
        made = table(offer.do, offer.how, device="plug", vendor="", type="power-reading", pointer=pointer)
        compiled(parse("a.toml", text([{"name": "x", **made}])), PLUG, READING.schema)


def test_words_say_what_it_means() -> None:
    power = place_of(READING.schema, "/payload/power")
    assert power is not None
    assert any("steps of 100 W" in offer.words for offer in offers(power))
    north = place_of(NESTED, "/payload/place/lat")
    assert north is not None and north.titles == ("Place", "North")
    assert any("about 11.1 km" in offer.words for offer in offers(north))
    assert place_of(NESTED, "/payload/events/-/who") is not None


@pytest.mark.parametrize(
    "pointer", ["", "/", "/payload", "/payload/", "payload/power", "/payload/none", "/x/power", "/payload/" + "a" * 600]
)
def test_what_is_no_declared_field_has_no_choices(pointer: str) -> None:
    assert place_of(READING.schema, pointer) is None


def test_an_index_becomes_each_item() -> None:
    assert declared_pointer(NESTED, "/payload/events/3/who") == "/payload/events/-/who"
    assert declared_pointer(None, "/payload/0") == "/payload/0"


@pytest.mark.parametrize("how", ["", "{", "[" * 10_000, "null", '{"a": 1}', "[1]"])
def test_what_says_no_how_is_refused(how: str) -> None:
    with pytest.raises(ValueError, match="say how"):
        table(Action.COARSEN, how, device="", vendor="", type="", pointer="/payload/power")
