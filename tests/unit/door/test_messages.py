"""A conforming message crosses."""

from __future__ import annotations

import json

from tests.unit.door.lab import HOST, MEDIA, MESSAGE, TARGET, Lab


def test_a_message_crosses(lab: Lab) -> None:
    with lab.http() as client:
        client.request("POST", TARGET, MESSAGE, {"Content-Type": MEDIA})
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"ok":true}')
        assert answer.getheader("content-type") == MEDIA
    submit = lab.ledger.submits.get(timeout=5)
    assert submit.original == MESSAGE
    assert (submit.device, submit.vendor, submit.host, submit.type) == ("plug-1", "Acme", HOST, "power-reading")
    outgoing = json.loads(submit.outgoing)
    assert outgoing["payload"] == json.loads(MESSAGE)["payload"]
    assert outgoing["id"] == submit.id
    assert outgoing["device"] == lab.registry.current().by_id["plug-1"].pseudonym != "plug-1"
