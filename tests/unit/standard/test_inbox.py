"""The inbox, judged where it comes in and where it goes on: faults are refusals, what it could carry is charged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.reasons import Reason
from gateway.standard import inbox
from gateway.standard.manifest import Manifest, parse_manifest
from gateway.standard.refusal import Refusal
from tests.unit.standard.conftest import SAMPLES
from tests.unit.standard.test_manifest import CE, put

HOST = "api.acme.example"
ON = b'{"payload":{"on":true},"type":"switch"}'


def entries(*values: dict[str, Any]) -> bytes:
    return json.dumps({"ce": 1, "inbox": [{"seq": n, **value} for n, value in enumerate(values, 1)]}).encode()


def read(manifest: Manifest, body: bytes, after: int = 0) -> tuple[inbox.Entry, ...]:
    return inbox.read(manifest, HOST, body, after, max_body=65_536)


@pytest.fixture
def talkative(document: dict[str, Any]) -> Manifest:
    """Acme's manifest with four types to the device, one of them from another host."""
    message = document["ietf-mud:mud"]["clear-envelope"]["messages"]["switch"]
    put(f"{CE}/hosts", [HOST, "two.acme.example"])(document)
    for name in ("blink", "beep"):
        put(f"{CE}/messages/{name}", message)(document)
    put(f"{CE}/messages/elsewhere", message | {"host": "two.acme.example"})(document)
    return parse_manifest(json.dumps(document).encode())


def test_what_an_entry_could_carry_is_its_type_and_its_payload(acme: Manifest, talkative: Manifest) -> None:
    body = entries({"type": "switch", "payload": {"on": True}})
    (one,) = read(acme, body)
    (among,) = read(talkative, body)
    assert (one.bits, among.bits) == (1, 3), "one of a kind; one of three kinds"


def test_a_host_sends_its_own_types_only(talkative: Manifest) -> None:
    assert inbox.to_device(talkative, HOST) == ("switch", "blink", "beep")
    assert inbox.to_device(talkative, "two.acme.example") == ("elsewhere",)
    (entry,) = read(talkative, entries({"type": "elsewhere", "payload": {"on": True}}))
    assert entry.refusal is not None and entry.refusal.reason is Reason.TYPE_UNKNOWN
    with pytest.raises(Refusal):
        inbox.pass_on(talkative, "two.acme.example", 1, ON)


@pytest.mark.parametrize("sample", ["acme", "borealis"])
def test_nobody_sends_what_is_from_the_device(sample: str) -> None:
    manifest = parse_manifest((SAMPLES / f"{sample}.mud.json").read_bytes())
    message = json.loads((SAMPLES / f"{sample}.message.json").read_bytes())
    host = manifest.messages[message["type"]].host
    body = entries({"type": message["type"], "payload": message["payload"]})
    (entry,) = inbox.read(manifest, host, body, 0, max_body=65_536)
    assert entry.refusal is not None and entry.refusal.reason is Reason.TYPE_UNKNOWN and entry.body == b""


def test_a_fault_of_the_judge_refuses_one_entry_and_says_nothing_of_it(acme: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    real = inbox._conforming

    def broken(manifest: Manifest, host: str, type_: object, payload: Any, at: str) -> Any:
        if payload == {"on": False}:
            raise ZeroDivisionError("secret")
        return real(manifest, host, type_, payload, at)

    monkeypatch.setattr(inbox, "_conforming", broken)
    first, second = read(acme, entries(*({"type": "switch", "payload": {"on": on}} for on in (False, True))))
    assert first.refusal is not None and first.refusal.reason is Reason.JUDGE_ERROR and "secret" not in str(first.refusal)
    assert second.body == ON
    with pytest.raises(Refusal, match="ZeroDivisionError"):
        inbox.pass_on(acme, HOST, 1, ON.replace(b"true", b"false"))


def test_what_goes_on_is_judged_again_and_is_the_same(acme: Manifest) -> None:
    (entry,) = read(acme, entries({"type": "switch", "payload": {"on": True}}))
    assert entry.body == ON
    assert inbox.compose([inbox.pass_on(acme, HOST, 9, entry.body)]) == (
        b'{"ce":1,"inbox":[{"payload":{"on":true},"seq":9,"type":"switch"}]}'
    )


@pytest.mark.parametrize("value", ["", "0", "01", "+1", "-1", " 1", "1 ", "1e3", "²", "1" * 17, str(2**53)])
def test_what_is_no_number(value: str) -> None:
    with pytest.raises(ValueError, match="leave it out"):
        inbox.received(value)


def test_what_is_one() -> None:
    assert [inbox.received(value) for value in (None, "1", str(2**53 - 1))] == [0, 1, 2**53 - 1]
