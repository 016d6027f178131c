"""The courier's second look: what the doors make passes, whatever the manifest declares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.courier.permission import conforms
from gateway.ipc.messages import Deliver
from gateway.standard.envelope import Message, outgoing, sent_at
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.parametrize("vendor", ["acme", "borealis"])
def test_what_a_door_makes_passes(vendor: str) -> None:
    judge = Judge(parse_manifest((SAMPLES / f"{vendor}.mud.json").read_bytes()))
    body = (SAMPLES / f"{vendor}.message.json").read_bytes()
    type_ = json.loads(body)["type"]
    host = judge.manifest.messages[type_].host
    message = judge.from_device(host, type_, body)
    for moment in (0, 1_770_000_000_123_456_789, 2**61):
        envelope = outgoing(message, judge.manifest, id="m-1", sent=sent_at(moment), device="d-1")
        assert conforms(judge, Deliver("m-1", "plug", vendor, host, type_, envelope), "d-1")
        assert not conforms(judge, Deliver("m-1", "plug", vendor, host, type_, envelope), "d-2")


def test_what_the_owner_withholds_may_be_absent_and_nothing_else() -> None:
    judge = Judge(parse_manifest((SAMPLES / "acme.mud.json").read_bytes()))
    body = (SAMPLES / "acme.message.json").read_bytes()
    whole = judge.from_device("api.acme.example", "power-reading", body)

    def passes(payload: dict[str, object], *withheld: str) -> bool:
        message = Message(whole.type, whole.host, payload)
        envelope = outgoing(message, judge.manifest, id="m-1", sent=sent_at(0), device="d-1", withheld=withheld)
        return conforms(judge, Deliver("m-1", "plug", "Acme", whole.host, whole.type, envelope), "d-1")

    less = {name: value for name, value in whole.payload.items() if name != "power"}
    assert passes(less, "/payload/power")
    assert passes(less, "/payload/on", "/payload/power"), "withheld sometimes"
    assert not passes(less)
    assert not passes(less, "/payload/on")
    assert not passes(less, "/payload/power", "/payload/on"), "not in order"
    assert not passes(less, "/payload/power", "/payload/power")
    assert not passes(less, "/payload/power", "/payload/secret"), "a pointer to what is not declared could say anything"
    assert not passes(less, "/payload", "/payload/power")
    assert not passes(less | {"power": 61.44}, "/payload/power")
    assert not passes(less | {"power": "x"}, "/payload/power")


@pytest.mark.parametrize(
    "withheld", [b'"/payload/power"', b'{"/payload/power":1}', b"[1]", b'[["/payload/power"]]', b"null", b"[null]"]
)
def test_withheld_is_a_list_of_pointers(withheld: bytes) -> None:
    judge = Judge(parse_manifest((SAMPLES / "acme.mud.json").read_bytes()))
    whole = judge.from_device("api.acme.example", "power-reading", (SAMPLES / "acme.message.json").read_bytes())
    envelope = outgoing(whole, judge.manifest, id="m-1", sent=sent_at(0), device="d-1").replace(
        b'"withheld":[]', b'"withheld":' + withheld
    )
    assert b"/payload/power" in envelope or b"1" in withheld or b"null" in withheld
    assert not conforms(judge, Deliver("m-1", "plug", "Acme", whole.host, whole.type, envelope), "d-1")
