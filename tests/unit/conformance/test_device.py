"""The device kit: a device that does all of it fails nothing, and each fault fails its own requirement and no other."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.conformance.device import ELSEWHERE, REQUIREMENTS, SECOND, Certificate, Observed, Said, Tried, Unsaid, check
from gateway.conformance.report import Verdict, passed
from gateway.reasons import Reason
from gateway.standard.manifest import parse_manifest
from tests.unit.conformance.street import MANIFEST, ids

NOW = int(datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()) * SECOND
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
DOCUMENT: dict[str, Any] = json.loads(MANIFEST.read_text())


def said(ago: int, type: str = "temperature-reading", *, after: int = 1, **payload: Any) -> Said:
    """Received ``ago`` seconds ago and answered ``after`` seconds later; 0: not at all."""
    at = NOW - ago * SECOND
    body = json.dumps({"type": type, "ago": ago}).encode()
    return Said(type, at, body, payload or {"temperature": 20.5}, at + after * SECOND if after else 0)


def unsaid(ago: int, reason: Reason, body: bytes = b"{}") -> Unsaid:
    return Unsaid("temperature-reading", NOW - ago * SECOND, body, reason, "what is wrong")


GOOD = Observed(
    "thermometer",
    "standard",
    parse_manifest(MANIFEST.read_bytes()),
    NOW - 7 * DAY,
    NOW,
    said=(said(400), said(300, humidity=45), said(200), said(100, "battery-low", charge=20)),
    certificates=(Certificate(True, NOW // SECOND + 30 * 86_400),),
    charged={"temperature-reading": (3, 60.0, 30.0), "battery-low": (1, 3.0, 2.0)},
    most={"temperature-reading": 90_000.0, "battery-low": 300.0},
    budget=262_144,
    asked_names=True,
)


def test_a_good_device_fails_nothing_and_what_had_no_occasion_is_open() -> None:
    lines = check(GOOD)
    assert ids(lines) == set()
    assert ids(lines, Verdict.OPEN) == {"renews", "once", "gives-up", "waits"}
    assert passed(lines)


def changed(**ways: Any) -> Observed:
    return replace(GOOD, **ways)


def refused(*reasons: Reason) -> Observed:
    return changed(unsaid=tuple(unsaid(50 - 10 * n, reason, bytes([n])) for n, reason in enumerate(reasons)))


def tried(*reasons: Reason) -> Observed:
    return changed(tried=tuple(Tried(reason, "203.0.113.9:443", 3) for reason in reasons))


def declaring(**vendor: Any) -> Observed:
    document = json.loads(json.dumps(DOCUMENT))
    document["ietf-mud:mud"]["clear-envelope"]["vendor"] |= vendor
    return changed(manifest=parse_manifest(json.dumps(document).encode()))


FAULTS: dict[str, tuple[Observed, str]] = {
    "local": (changed(kind="local"), "admitted"),
    "no longer supported": (declaring(**{"support-end": "2026-11-25"}), "support"),
    "given up": (changed(manifest=replace(parse_manifest(MANIFEST.read_bytes()), supported=False)), "support"),
    "signed by hand": (changed(certificates=(Certificate(False, NOW // SECOND + 86_400),)), "enrolled"),
    "no certificate": (changed(certificates=()), "enrolled"),
    "revoked": (changed(certificates=(Certificate(True, NOW // SECOND + 86_400, revoked=True),)), "enrolled"),
    "never renewed": (changed(certificates=(Certificate(True, NOW // SECOND - 50),)), "renews"),
    "another authority's certificate": (tried(Reason.CERTIFICATE_UNTRUSTED), "tls"),
    "silent": (changed(said=()), "heard"),
    "asks for other names": (tried(Reason.NAME_NOT_APPROVED), "names"),
    "has addresses built in": (changed(asked_names=False), "names"),
    "asks elsewhere": (tried(Reason.FOREIGN_DNS, Reason.DOT), "names"),
    "no server name": (tried(Reason.SNI_MISSING), "tls"),
    "no TLS": (tried(Reason.NOT_TLS), "tls"),
    "chunks": (refused(Reason.HTTP_FRAMING), "http"),
    "h1 pipelines": (refused(Reason.HTTP_PIPELINING), "http"),
    "no JSON": (refused(Reason.JSON_SYNTAX), "envelope"),
    "another type": (refused(Reason.TYPE_UNKNOWN), "envelope"),
    "outside the schema": (refused(Reason.NOT_IN_SCHEMA), "payload"),
    "a token": (refused(Reason.NOT_READABLE), "payload"),
    "too often, and stopped": (refused(Reason.RATE_MESSAGES), "rate"),
    "too often": (changed(said=tuple(said(n) for n in range(100)) + GOOD.said), "rate"),
    "budget spent": (refused(Reason.LEAK_BUDGET), "budget"),
    "could spend it": (changed(charged={"temperature-reading": (2, 40.0, 360.0)}), "budget"),
    "could spend it, unseen": (changed(charged={}, budget=90_000), "budget"),
    "sends it again after 202": (
        changed(said=(said(400, after=0), replace(said(390), original=said(400).original), *GOOD.said[1:])), "once",
    ),
    "tries QUIC": (tried(Reason.QUIC), "nothing-else"),
    "tries the home": (tried(Reason.TO_LAN, Reason.TO_DEVICE), "nothing-else"),
}  # fmt: skip


@pytest.mark.parametrize(("observed", "requirement"), FAULTS.values(), ids=FAULTS)
def test_each_fault_fails_its_own_requirement(observed: Observed, requirement: str) -> None:
    lines = check(observed)
    assert ids(lines) == {requirement}, [line for line in lines if line.verdict is Verdict.BROKEN]
    assert not passed(lines)


def test_what_was_refused_may_come_once_more_and_not_for_ever() -> None:
    twice = changed(unsaid=(unsaid(50, Reason.NOT_IN_SCHEMA), unsaid(40, Reason.NOT_IN_SCHEMA)))
    assert ids(check(twice)) == {"payload"}
    assert ids(check(replace(twice, unsaid=(*twice.unsaid, unsaid(30, Reason.NOT_IN_SCHEMA))))) == {"payload", "gives-up"}
    other = replace(twice, unsaid=(*twice.unsaid, unsaid(30, Reason.NOT_IN_SCHEMA, b"[]")))
    assert ids(check(other)) == {"payload"}


def test_a_device_that_is_told_to_come_later_waits() -> None:
    told = unsaid(90, Reason.LEDGER_UNAVAILABLE)
    patient = changed(unsaid=(told,), said=(*GOOD.said, said(60)))
    assert ids(check(patient)) == set()
    assert "waits" not in ids(check(patient), Verdict.OPEN)
    assert ids(check(changed(unsaid=(told,), said=(*GOOD.said, said(88))))) == {"waits"}


def test_a_renewed_certificate_shows_by_speech_after_the_first_one_s_end() -> None:
    renewed = check(changed(certificates=(Certificate(True, NOW // SECOND - 350),)))
    assert ids(renewed) == set()
    assert "renews" in ids(renewed, Verdict.HELD)


def test_what_was_not_seen_is_open_and_told() -> None:
    lines = {line.id: line for line in check(changed(said=GOOD.said[:1]))}
    assert (lines["types"].verdict, lines["optional"].verdict) == (Verdict.OPEN, Verdict.OPEN)
    assert "battery-low" in lines["types"].seen and "temperature-reading/humidity never came" in lines["optional"].seen
    always = tuple(said(1000 + n, humidity=40) for n in range(0, 6300, 300))
    lines = {line.id: line for line in check(changed(said=always))}
    assert "always came: require it" in lines["optional"].seen


def test_a_question_that_is_not_counted_yet_is_no_fault() -> None:
    lines = check(changed(asked_names=False, said=(said(20), said(10, "battery-low"))))
    assert ids(lines) == set() and "names" in ids(lines, Verdict.OPEN)


def test_202_without_a_repetition_is_as_it_should_be() -> None:
    late = check(changed(said=(said(500, after=9), *GOOD.said)))
    assert ids(late) == set() and "once" in ids(late, Verdict.HELD)


def test_every_reason_of_a_refusal_belongs_to_a_requirement_or_is_nobody_s_fault() -> None:
    ours = ELSEWHERE | {Reason.LEDGER_UNAVAILABLE, Reason.RECORD_FULL}  # the gateway's own trouble
    for reason in Reason:
        if reason.passes or reason.code >= Reason.VENDOR_REFUSED.code or reason in ours:
            continue
        lines = check(tried(reason))
        assert len(ids(lines)) == 1, (reason, ids(lines))


def test_every_requirement_can_fail_or_says_why_it_never_does() -> None:
    failing = {requirement for _, requirement in FAULTS.values()} | {"gives-up", "waits"}
    # a device that has had no occasion to use a declared field breaks nothing
    assert {requirement.id for requirement in REQUIREMENTS} - failing == {"types", "optional"}
