"""The vendor kit: the reference host holds every requirement, and whoever breaks one fails exactly that."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from gateway.conformance.report import Verdict, passed
from gateway.conformance.vendor import REQUIREMENTS
from tests.home.reference import vendor as reference
from tests.unit.conformance import variants
from tests.unit.conformance.street import MANIFEST, Papers, checked, ids, issued


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return issued(tmp_path_factory.mktemp("papers"))


def test_the_reference_host_holds_every_requirement(found: Papers) -> None:
    lines = checked(found)
    assert [line for line in lines if line.verdict is not Verdict.HELD] == []
    assert {line.id for line in lines} == {requirement.id for requirement in REQUIREMENTS} | {"tls"}
    assert passed(lines)


# what is wrong with it, and every requirement that it then fails: no other
HOSTS: dict[type[reference.VendorHost], set[str]] = {
    variants.IgnoresSignature: {"signature", "signed-parts", "claim-signature"},
    variants.TakesUnsigned: {"signature-missing"},
    variants.TakesAnyCover: {"signature-cover"},
    variants.SignsWhatItExpects: {"signed-parts"},
    variants.IgnoresDigest: {"digest"},
    variants.IgnoresCreated: {"created"},
    variants.IgnoresIdempotencyKey: {"idempotency-key"},
    variants.RefusesByAge: {"no-age"},
    variants.PinsNothing: {"key-pinned"},
    variants.LetsTheForgerIn: {"key-pinned"},
    variants.RefusesOtherKeysOddly: {"key-pinned"},
    variants.KnowsOneDevice: {"new-device"},
    variants.RefusesRepetition: {"once", "claim-taken"},
    variants.AnswersAnew: {"once"},
    variants.RefusesWarmth: {"good-messages"},
    variants.AsksForWhatIsWithheld: {"withheld"},
    variants.NamesNothing: {"withheld"},
    variants.AnyHost: {"host"},
    variants.AnyQuery: {"query"},
    variants.MergesFields: {"field-twice"},
    variants.TakesAnything: {"bad-envelope"},
    variants.FallsOver: {"answered"},
    variants.AnyType: {"type-unknown"},
    variants.AnyClaim: {"claim-unknown"},
    variants.NoClaims: {"claim-unknown", "claim-taken"},
    variants.ClaimBeforeSignature: {"claim-signature"},
    variants.AnswersClaims: {"claim-taken"},
    variants.TalksAtLength: {"problem-limits"},
    variants.SaysAnotherStatus: {"problem-limits"},
    variants.OwnTypes: {"problem-type"},
    variants.PlainJson: {"media-type"},
    variants.PlainAnswers: {"media-type"},
    variants.Undeclared: {"answer-schema"},
    variants.Busy: {"retry-after"},
}
SERVERS: dict[type[reference.Handler], set[str]] = {
    variants.Chunked: set(),
    variants.SaysClose: set(),
    variants.Redirects: {"no-redirect"},
    variants.Continues: {"no-interim"},
    variants.ChunkExtension: {"chunks"},
    variants.Trailer: {"chunks"},
    variants.LengthTwice: {"http"},
    variants.UntilTheEnd: {"http"},
    variants.HangsUp: {"keep-alive"},
    variants.CutsOff: {"answered"},
    variants.CannotReadJson: {"answered"},
}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_a_host_that_breaks_a_rule_fails_that_one(found: Papers, host: type[reference.VendorHost]) -> None:
    lines = checked(found, host)
    assert ids(lines) == HOSTS[host], [line for line in lines if line.verdict is Verdict.BROKEN]
    assert not passed(lines)
    assert all(line.remedy and line.seen for line in lines if line.verdict is Verdict.BROKEN)


@pytest.mark.parametrize("handler", SERVERS, ids=lambda handler: handler.__name__)
def test_a_server_that_breaks_a_rule_fails_that_one(found: Papers, handler: type[reference.Handler]) -> None:
    lines = checked(found, handler=handler)
    assert ids(lines) == SERVERS[handler], [line for line in lines if line.verdict is Verdict.BROKEN]
    assert passed(lines) == (not SERVERS[handler])


def test_every_requirement_has_a_host_that_fails_it() -> None:
    assert set().union(*HOSTS.values(), *SERVERS.values()) == {requirement.id for requirement in REQUIREMENTS}


def test_a_host_that_answers_with_pages_for_people_fails_more_than_one(found: Papers) -> None:
    assert {"media-type", "signature", "bad-envelope"} <= ids(checked(found, variants.Html))


def test_nothing_is_held_against_a_host_that_nobody_could_hear(found: Papers, tmp_path: Path) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(found.certificate, found.key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    other = issued(tmp_path, "in.other.example")
    mine = Papers(other.ca, other.certificate, other.key)
    for lines in (checked(found, tls=old), checked(found, tls=other.tls), checked(mine, tls=other.tls)):
        assert [(line.id, line.verdict) for line in lines] == [("tls", Verdict.BROKEN)]


def test_a_host_that_wants_a_claim_first_is_no_worse_for_it(found: Papers) -> None:
    lines = checked(found, variants.ClaimsFirst)
    assert ids(lines) == set()
    assert ids(lines, Verdict.OPEN) == {"new-device"}
    lines = checked(found, variants.ClaimsFirst, claim=False)
    assert ids(lines) == set()
    assert {"good-messages", "no-age", "withheld", "key-pinned"} <= ids(lines, Verdict.OPEN)
    assert {"signature", "digest", "bad-envelope"} <= ids(lines, Verdict.HELD)


def test_a_host_that_has_enough_of_it_is_not_judged_by_that(found: Papers) -> None:
    lines = checked(found, variants.Limits, variants.SaysWhen)
    assert ids(lines) == set()
    assert {"signature-cover", "key-pinned", "digest"} <= ids(lines, Verdict.OPEN)
    assert ids(checked(found, variants.Limits)) == {"retry-after"}, "but it must say when to come again"


def test_claims_are_for_the_first_host_only(found: Papers, tmp_path: Path) -> None:
    document = json.loads(MANIFEST.read_text())
    document["ietf-mud:mud"]["clear-envelope"]["hosts"].insert(0, "first.celsia.example")
    lines = checked(found, document=document)
    assert ids(lines) == set()
    assert ids(lines, Verdict.OPEN) == {"claim-taken", "claim-unknown", "claim-signature"}


def test_without_a_claim_that_requirement_stays_open(found: Papers) -> None:
    lines = checked(found, claim=False)
    assert ids(lines, Verdict.OPEN) == {"claim-taken"}
    assert passed(lines)
