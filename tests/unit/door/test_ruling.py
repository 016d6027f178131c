"""The owner's rules between judge and ledger: what a device, its record and its vendor get to know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.reasons import Reason
from gateway.registry import Kind
from gateway.rulewriting import add, switch
from gateway.standard import firmware, inbox
from tests.unit.door.lab import MEDIA, MESSAGE, TARGET, Lab

SENT = json.loads(MESSAGE)["payload"]


@pytest.fixture
def rules(lab: Lab) -> Iterator[Path]:
    """The folder, empty again afterwards."""
    folder = lab.config.paths.rules
    assert lab.folder in folder.parents
    yield folder
    for path in folder.glob("*"):
        path.unlink()


def post(lab: Lab, body: bytes = MESSAGE) -> tuple[int, dict[str, Any], str | None]:
    """Status, content and Retry-After."""
    with lab.http() as client:
        client.request("POST", TARGET, body, {"Content-Type": MEDIA})
        answer = client.getresponse()
        return answer.status, json.loads(answer.read()), answer.getheader("retry-after")


def test_a_withheld_field_does_not_leave_and_the_envelope_says_so(lab: Lab, rules: Path) -> None:
    assert post(lab)[0] == 200
    before = lab.ledger.submits.get(timeout=10)
    add(rules, {"name": "no-label", "device": "plug-1", "field": "/payload/label", "do": "withhold"})
    assert post(lab)[0] == 200
    after = lab.ledger.submits.get(timeout=10)
    envelope = json.loads(after.outgoing)
    assert envelope["payload"] == {name: value for name, value in SENT.items() if name != "label"}
    assert envelope["withheld"] == ["/payload/label"] == list(after.withheld)
    assert json.loads(after.rules) == [{"rule": "no-label", "do": "withhold", "at": ["/payload/label"]}]
    assert after.original == MESSAGE, "the owner keeps what came"
    assert 0 < after.bits < before.bits - 50, "a text that does not leave costs nothing"
    switch(rules, "remove", "no-label")
    assert post(lab)[0] == 200
    assert json.loads(lab.ledger.submits.get(timeout=10).outgoing)["withheld"] == []


def test_a_denied_message_is_refused_and_only_the_record_names_the_rule(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "night-of-my-secret", "type": "power-reading", "do": "deny"})
    status, problem, after = post(lab)
    assert (status, problem["type"], after) == (403, "urn:mudroom:refusal:rule-denied", None)
    assert "secret" not in json.dumps(problem)
    refused = lab.refusal(Reason.RULE_DENIED)
    assert "night-of-my-secret (50-owner.toml, line 3)" in refused.detail
    assert refused.original == MESSAGE
    assert lab.ledger.submits.empty()


def test_a_limit_refuses_what_is_more_and_says_when_to_come_again(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "twice", "device": "plug-1", "do": "limit", "per_hour": 2})
    assert [post(lab)[0] for _ in range(2)] == [200, 200]
    status, problem, after = post(lab)
    assert (status, problem["type"], after) == (429, "urn:mudroom:refusal:rule-limit", "1800")
    lab.refusal(Reason.RULE_LIMIT)


def test_a_delayed_message_is_on_record_at_once_and_says_for_how_long(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "later", "do": "delay", "seconds": 90})
    post(lab)
    submit = lab.ledger.submits.get(timeout=10)
    assert (submit.delay_ms, submit.wait_ms) == (90_000, 0), "nobody waits for an answer that comes later"
    assert json.loads(submit.rules) == [{"rule": "later", "do": "delay", "at": []}]


def test_quarantine_by_a_value_shuts_out_all_that_follows_until_the_rules_change(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "odd", "value_of": "/payload/power", "above": 3000, "do": "quarantine"})
    assert post(lab)[0] == 200
    high = MESSAGE.replace(b"61.4", b"3001")
    status, problem, _ = post(lab, high)
    assert (status, problem["type"]) == (403, "urn:mudroom:refusal:rule-quarantined")
    assert "odd" in lab.refusal(Reason.RULE_QUARANTINED).detail
    assert post(lab)[0] == 403, "an ordinary one, too"
    assert "mudroom devices quarantine plug-1" in lab.refusal(Reason.RULE_QUARANTINED).detail
    assert lab.registry.current().by_id["plug-1"].kind is Kind.STANDARD, "only the owner's command writes the registry"
    switch(rules, "remove", "odd")
    assert post(lab)[0] == 200


def test_a_rule_that_does_not_fit_refuses_its_messages(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "quarter", "field": "/payload/power", "do": "coarsen", "step": 0.25})
    status, problem, after = post(lab)
    assert (status, problem["type"], after) == (503, "urn:mudroom:refusal:rule-unfit", "3600")
    assert "quarter" not in json.dumps(problem)
    assert 'rule "quarter" (50-owner.toml, line 3): /payload/power: step' in lab.refusal(Reason.RULE_UNFIT).detail


def test_a_broken_file_keeps_the_rules_that_were_good(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "no-label", "field": "/payload/label", "do": "withhold"})
    post(lab)
    (rules / "60-broken.toml").write_text("[[rule]\n")
    assert post(lab)[0] == 200
    for _ in range(2):
        assert json.loads(lab.ledger.submits.get(timeout=10).outgoing)["withheld"] == ["/payload/label"]


def test_rules_that_were_never_readable_let_nothing_leave(own: Lab) -> None:
    folder = own.config.paths.rules
    folder.mkdir()
    (folder / "a.toml").write_text("[[rule]\n")
    status, problem, after = post(own)
    assert (status, problem["type"], after) == (503, "urn:mudroom:refusal:rules-unreadable", "60")
    assert "a.toml: not TOML" in own.refusal(Reason.RULES_UNREADABLE).detail
    assert own.ledger.submits.empty()
    (folder / "a.toml").write_text("# mended\n")
    assert post(own)[0] == 200


def test_an_exception_in_the_rules_is_a_refusal(lab: Lab, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.policy.plan import Plan

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    add(rules, {"name": "no-label", "field": "/payload/label", "do": "withhold"})
    monkeypatch.setattr(Plan, "_apply", broken)
    status, problem, _ = post(lab)
    assert (status, problem["type"]) == (500, "urn:mudroom:refusal:rule-error")
    lab.refusal(Reason.RULE_ERROR)
    assert lab.ledger.submits.empty()


def test_a_message_that_does_not_conform_is_refused_before_any_rule(lab: Lab, rules: Path) -> None:
    """A rule makes nothing right: what the owner withholds must be a right value all the same."""
    add(rules, {"name": "no-label", "field": "/payload/label", "do": "withhold"})
    status, problem, _ = post(lab, MESSAGE.replace(b"Reading lamp, living room", b"aGVsbG8gd29ybGQhIQ9xK4zQ"))
    assert (status, problem["type"]) == (422, "urn:mudroom:refusal:not-readable")
    lab.refusal(Reason.NOT_READABLE)


# --- a quarantine that a rule orders stops all else, too ------------------------------------------------------------------

SHUT = "urn:mudroom:refusal:rule-quarantined"


def get(lab: Lab, path: str) -> tuple[int, bytes]:
    with lab.http() as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read()


def test_a_device_that_a_rule_shuts_out_gets_neither_inbox_nor_software(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "out", "device": "plug-1", "do": "quarantine"})
    for path in (inbox.PATH, firmware.PATH, firmware.IMAGE_PATH):
        status, body = get(lab, path)
        assert (status, json.loads(body)["type"]) == (403, SHUT), path
        assert b"rule out" not in body
        assert "rule out" in lab.refusal(Reason.RULE_QUARANTINED).detail
    assert lab.ledger.asks.empty(), "the ledger is not even asked"
    switch(rules, "remove", "out")
    assert get(lab, inbox.PATH)[0] == 204
    assert get(lab, firmware.PATH)[0] == 204


def test_what_a_message_did_shuts_out_from_the_inbox_too(lab: Lab, rules: Path) -> None:
    add(rules, {"name": "odd", "value_of": "/payload/power", "above": 3000, "do": "quarantine"})
    assert get(lab, inbox.PATH)[0] == 204, "it did nothing yet"
    assert post(lab, MESSAGE.replace(b"61.4", b"3001"))[0] == 403
    lab.refusal(Reason.RULE_QUARANTINED)
    assert get(lab, inbox.PATH)[0] == get(lab, firmware.PATH)[0] == 403
    lab.refusal(Reason.RULE_QUARANTINED)
    lab.refusal(Reason.RULE_QUARANTINED)
    add(rules, {"name": "other", "type": "alarm", "do": "deny"})
    assert get(lab, inbox.PATH)[0] == 204, "until the rules change"


def test_rules_that_cannot_be_read_hand_out_nothing(own: Lab) -> None:
    folder = own.config.paths.rules
    folder.mkdir()
    (folder / "a.toml").write_text("[[rule]\n")
    for path in (inbox.PATH, firmware.PATH):
        status, body = get(own, path)
        assert json.loads(body)["type"] == "urn:mudroom:refusal:rules-unreadable" and status >= 400
