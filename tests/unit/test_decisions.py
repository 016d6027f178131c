"""What the owner may say about a device, whoever passes it on."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from gateway import decisions
from gateway.decisions import DecisionError
from gateway.registry import Change, Kind, Registry, RegistryError, Signer

ACME = (Path(__file__).parents[1] / "samples" / "acme.mud.json").read_bytes()
MORE = ACME.replace(b'"rate": 360', b'"rate": 400')
POOL4, POOL6 = IPv4Network("10.127.0.0/16"), IPv6Network("fd00:0:0:7f::/64")
OLD, NEW = Signer("a" * 64, "Acme"), Signer("b" * 64, "Acme too")


def house() -> Change:
    change = Change(Registry())
    decisions.admit(change, "plug", "02:00:00:00:00:0A", "  Plug  ")
    return change


def test_a_newcomer_is_for_the_home_only_and_has_a_name() -> None:
    change = house()
    decisions.admit(change, "lamp", "02:00:00:00:00:02")
    assert [(d.id, d.name, d.kind, d.mac) for d in change.registry.devices] == [
        ("plug", "Plug", Kind.LOCAL, "02:00:00:00:00:0a"),
        ("lamp", "lamp", Kind.LOCAL, "02:00:00:00:00:02"),
    ]


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "a\x1b[31m", "a\u202eb"])
def test_a_name_is_short_and_printable(name: str) -> None:
    change = Change(Registry())
    with pytest.raises(DecisionError, match="printable"):
        decisions.admit(change, "plug", "02:00:00:00:00:01", name)
    assert change.registry.devices == ()


def test_there_is_no_kind_that_lets_anything_pass() -> None:
    change = house()
    for kind in ("passthrough", "ignore", "", "Standard"):
        with pytest.raises(DecisionError, match="say one of unknown, local, standard, quarantined"):
            decisions.set_kind(change, "plug", kind)
    decisions.set_kind(change, "plug", "quarantined")
    assert change.registry.devices[0].kind is Kind.QUARANTINED


@pytest.mark.parametrize(("said", "bits"), [("default", None), ("0", 0), ("4096", 4096), (str(2**53 - 1), 2**53 - 1)])
def test_a_budget(said: str, bits: int | None) -> None:
    assert decisions.budget(said) == bits


@pytest.mark.parametrize("said", ["", "-1", "1.5", "1e3", "٣", str(2**53), "9" * 17, "none", " 1"])
def test_no_budget(said: str) -> None:
    with pytest.raises(DecisionError, match="whole number"):
        decisions.budget(said)


@pytest.mark.parametrize(("said", "slot"), [("default", None), ("off", 0.0), ("0.1", 0.1), ("60", 60.0), ("3600", 3600.0)])
def test_a_pace(said: str, slot: float | None) -> None:
    assert decisions.pace(said) == slot


@pytest.mark.parametrize("said", ["", "0", "0.05", "3601", "nan", "inf", "-5", "1e2", "off "])
def test_no_pace(said: str) -> None:
    with pytest.raises(DecisionError, match=r"say 0\.1 to 3600 seconds"):
        decisions.pace(said)


def waiting(signer: Signer | None, pinned: Signer | None = OLD) -> Change:
    change = house()
    change.approve("plug", ACME, POOL4, POOL6, signer=pinned, now=1)
    assert change.offer("plug", MORE, POOL4, POOL6, signer=signer, now=2).state == "waits"
    return change


def test_only_what_was_seen_is_approved_or_declined() -> None:
    change = waiting(OLD)
    seen = change.waiting("plug").manifest
    for decide in (
        lambda: decisions.approve_waiting(change, "plug", POOL4, POOL6, seen="0" * 64, now=3),
        lambda: decisions.decline_waiting(change, "plug", seen="0" * 64),
    ):
        with pytest.raises(DecisionError, match="came meanwhile"):
            decide()
    manifest, signer = decisions.approve_waiting(change, "plug", POOL4, POOL6, seen=seen, now=3)
    assert manifest.messages["power-reading"].rate == 400 and signer == OLD
    with pytest.raises(RegistryError, match="no manifest of plug waits"):
        decisions.decline_waiting(change, "plug", seen=seen)


@pytest.mark.parametrize(
    ("signer", "pinned", "unsigned", "new_signer", "words"),
    [
        (OLD, OLD, False, False, ""),
        (OLD, None, False, False, ""),
        (None, OLD, False, False, "nobody signed"),
        (None, OLD, False, True, "nobody signed"),
        (None, OLD, True, False, ""),
        (NEW, OLD, False, False, "so far it was “Acme”"),
        (NEW, OLD, True, False, "so far it was “Acme”"),
        (NEW, OLD, False, True, ""),
    ],
)
def test_a_manifest_that_may_be_anybodys_takes_one_more_word(
    signer: Signer | None, pinned: Signer | None, unsigned: bool, new_signer: bool, words: str
) -> None:
    change = waiting(signer, pinned)
    if words:
        with pytest.raises(DecisionError, match=words):
            decisions.unsure(change, "plug", unsigned=unsigned, new_signer=new_signer)
    else:
        decisions.unsure(change, "plug", unsigned=unsigned, new_signer=new_signer)
