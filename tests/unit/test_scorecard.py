"""A vendor's score from its manifests and what the record says: pure."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway import scorecard
from gateway.config import Config, load
from gateway.ipc.scores import Denied, Scores, TypeSeen, VendorSeen
from gateway.reasons import Reason
from gateway.registry import Device, Home, Kind, Registry
from gateway.standard.manifest import parse_manifest

DOCUMENT = json.loads((Path(__file__).parents[1] / "samples" / "acme.mud.json").read_text())
MANIFEST = parse_manifest(json.dumps(DOCUMENT).encode())
NOW = 1_795_000_000.0  # 2026-11-18


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "mudroom.toml"
    path.write_text('[dmz]\ntrunk = "port1"\n')
    return load(path)


def home(**vendor: Any) -> Home:
    document = json.loads(json.dumps(DOCUMENT))
    document["ietf-mud:mud"]["clear-envelope"]["vendor"] |= vendor
    devices = tuple(
        Device(id=f"plug-{n}", name=f"Hall {n}", kind=Kind.STANDARD, mac=f"02:00:00:00:00:0{n}", manifest="k") for n in (1, 2)
    )
    return Home(Registry(devices=devices, manifests={"k": json.dumps(document)}))


def seen(**changed: Any) -> Scores:
    kinds = (TypeSeen("power-reading", 40, (("/payload/power", 40), ("/payload/energy", 1), ("/payload/old", 2)),
                      (("/payload/label", 30),)),)  # fmt: skip
    denied = (Denied("required-withheld", 3, (("/payload/label", 3), ("/payload/mr-smith", 1))),)
    tried = ((Reason.MULTICAST.label, 900), (Reason.QUIC.label, 41), (Reason.LOCAL_ONLY.label, 7))
    days = ((20_000, 20, 400), (20_001, 20, 200))
    vendor = {
        "name": "Acme", "looked_at": 40, "first": 20_000, "whole": True, "hosts": ("api.acme.example", "old.acme.example"),
        "types": kinds, "answered": 40, "denied": denied, "odd": 0, "tried": tried, "tried_first": 19_990, "days": days,
    }  # fmt: skip
    return Scores(0, 19_980, 0, (VendorSeen(**(vendor | changed)),), False)


def card(config: Config, **changed: Any) -> dict[str, Any]:
    (found,) = scorecard.cards(config, home(), seen(**changed), NOW)["vendors"]
    return found  # type: ignore[no-any-return]


def test_a_card_holds_declared_sent_and_withheld_fields(config: Config) -> None:
    found = card(config)
    reading = next(each for each in found["types"] if each["type"] == "power-reading")
    fields = {field["pointer"]: field for field in reading["fields"]}
    assert (fields["/payload/power"]["sent"], fields["/payload/power"]["required"]) == (40, True)
    assert (fields["/payload/label"]["sent"], fields["/payload/label"]["withheld"]) == (0, 30)
    assert not fields["/payload/old"]["declared"]
    assert found["declared"] == len([f for each in found["types"] for f in each["fields"] if f["declared"]])
    assert (found["sent"], found["withheld"], found["devices"], found["messages"]) == (3, 1, 2, 40)
    assert (found["hosts"], found["other_hosts"]) == (["api.acme.example"], ["old.acme.example"])
    assert (found["bits"]["highest"], found["bits"]["mean"]) == (400, 300)
    assert found["bits"]["most"] > 1000
    (why,) = found["refused"]["why"]
    assert why["needs"] == ["The owner's name for the plug"] and why["other_needs"] == 1
    assert "mr-smith" not in json.dumps(found), "what a vendor names beside its manifest is not repeated"
    assert [row["reason"] for row in found["tried"]] == ["quic", "local-only", "multicast"], "noise comes last"


def test_a_withheld_group_withholds_its_fields(config: Config) -> None:
    kinds = (TypeSeen("power-reading", 4, (), (("/payload", 4),)),)
    reading = next(each for each in card(config, types=kinds)["types"] if each["type"] == "power-reading")
    assert {field["withheld"] for field in reading["fields"]} == {4}


@pytest.mark.parametrize(
    ("end", "state", "look"),
    [("2031-12-31", "holds", False), ("2026-12-01", "near", True), ("2026-11-18", "near", True), ("2026-11-17", "over", True)],
)
def test_the_end_of_support_has_a_clear_word(config: Config, end: str, state: str, look: bool) -> None:
    (found,) = scorecard.cards(config, home(**{"support-end": end}), seen(), NOW)["vendors"]
    assert (found["support"]["state"], found["support"]["look"], found["support"]["end"]) == (state, look, end)
    assert ("ended" in found["support"]["words"]) == (state == "over")


def test_a_vendor_that_gave_the_device_up_says_so(config: Config) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    document["ietf-mud:mud"]["is-supported"] = False
    assert scorecard.support([parse_manifest(json.dumps(document).encode())], date(2026, 11, 18))["state"] == "given-up"


def test_a_vendor_on_record_alone_and_one_that_was_never_heard(config: Config) -> None:
    found = scorecard.cards(config, home(), seen(name="Gone"), NOW)["vendors"]
    gone, acme = (next(each for each in found if each["name"] == name) for name in ("Gone", "Acme"))
    assert (gone["approved"], gone["support"]["state"], gone["messages"]) == (False, "unknown", 40)
    assert (acme["approved"], acme["messages"], acme["sent"]) == (True, 0, 0)
    scorecard.published(gone, "2026-10-20", "2026-11-18")


def test_what_is_published_is_rounded_and_not_of_the_home(config: Config) -> None:
    made = scorecard.published(card(config), "2026-10-20", "2026-11-18")
    text = json.dumps(made)
    for own in ("Hall", "plug-1", "02:00", "old.acme.example", "/payload/old", "local-only", "home network only", "41"):
        assert own not in text, own
    assert made["tried"] == [{"words": Reason.QUIC.words, "count": "about 40"}]
    assert (made["messages"], made["refused"]["share"]) == ("about 40", "at times")
    fields = {field["title"]: field for each in made["types"] for field in each["fields"]}
    assert (fields["Power drawn now"]["sent"], fields["The owner's name for the plug"]["withheld"]) == ("always", "often")


@pytest.mark.parametrize(
    ("number", "words"), [(0, "none"), (9, "a few"), (10, "about 10"), (4177, "about 4,000"), (96, "about 100")]
)
def test_numbers_are_rounded(number: int, words: str) -> None:
    assert scorecard.about(number) == words


@pytest.mark.parametrize(
    ("part", "of", "words"),
    [(0, 9, "never"), (9, 9, "always"), (5, 9, "often"), (1, 9, "at times"), (1, 99, "seldom"), (1, 0, "never")],
)
def test_shares_are_words(part: int, of: int, words: str) -> None:
    assert scorecard.share(part, of) == words


def test_owners_are_known_by_id_and_hardware_address() -> None:
    assert scorecard.owners(home()) == {
        "plug-1": "Acme", "02:00:00:00:00:01": "Acme", "plug-2": "Acme", "02:00:00:00:00:02": "Acme",
    }  # fmt: skip


def test_nothing_that_the_owner_or_the_gateway_decided_counts_as_tried_beside_the_standard() -> None:
    for reason in (Reason.LOCAL_ONLY, Reason.QUARANTINED, Reason.UNKNOWN_DEVICE, Reason.NO_LISTENER, Reason.LEAK_BUDGET,
                   Reason.RULE_DENIED, Reason.CERTIFICATE_REVOKED, Reason.JUDGE_ERROR, Reason.VENDOR_REFUSED):  # fmt: skip
        assert reason.label not in scorecard.BESIDE
    for reason in (
        Reason.QUIC,
        Reason.TO_LAN,
        Reason.NAME_NOT_APPROVED,
        Reason.SNI_NOT_APPROVED,
        Reason.NOT_DECLARED,
        Reason.DOT,
    ):
        assert reason.label in scorecard.BESIDE
