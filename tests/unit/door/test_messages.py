"""A conforming message crosses."""

from __future__ import annotations

import json

from gateway.ipc.messages import Outcome
from gateway.reasons import Reason
from gateway.standard.judge import Judge
from tests.unit.door.lab import HOST, MEDIA, MESSAGE, TARGET, Lab


def test_a_message_crosses(lab: Lab) -> None:
    with lab.http() as client:
        client.request("POST", TARGET, MESSAGE, {"Content-Type": MEDIA})
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"ok":true}')
        assert answer.getheader("content-type") == MEDIA
    submit = lab.ledger.submits.get(timeout=10)
    assert submit.original == MESSAGE
    assert (submit.device, submit.vendor, submit.host, submit.type) == ("plug-1", "Acme", HOST, "power-reading")
    outgoing = json.loads(submit.outgoing)
    assert outgoing["payload"] == json.loads(MESSAGE)["payload"]
    assert outgoing["id"] == submit.id
    assert outgoing["device"] == lab.registry.current().by_id["plug-1"].pseudonym != "plug-1"


def test_what_it_could_hide_goes_along(lab: Lab) -> None:
    """The ledger spends; the door knows the manifest, the owner's word and the moment."""
    with lab.registry.change() as change:
        change.bound_leaks("plug-1", bits_per_day=5000, slot_seconds=2.5)
    with lab.http() as client:
        client.request("POST", TARGET, MESSAGE, {"Content-Type": MEDIA})
        assert client.getresponse().status == 200
    submit = lab.ledger.submits.get(timeout=10)
    assert (submit.budget, submit.slot_ms, submit.paced) == (5000, 100, False), "its rate leaves no slots"
    judge = Judge(lab.registry.current().manifest_of(lab.registry.current().by_id["plug-1"]))  # type: ignore[arg-type]
    message = judge.from_device(HOST, "power-reading", MESSAGE)
    assert submit.bits == judge.bits(message, submit.received // 10**9, paced=False) > 20


def test_a_spent_budget_is_told_with_rule_and_remedy(lab: Lab) -> None:
    lab.ledger.decide = lambda submit: Outcome(submit.ref, "refused", 429, b"", "", Reason.LEAK_BUDGET.code)
    with lab.http() as client:
        client.request("POST", TARGET, MESSAGE, {"Content-Type": MEDIA})
        answer = client.getresponse()
        problem = json.loads(answer.read())
    assert (answer.status, answer.getheader("retry-after")) == (429, "3600")
    assert problem["type"] == "urn:mudroom:refusal:leak-budget"
    assert "budget" in problem["detail"]
    assert "send less often" in problem["detail"]
