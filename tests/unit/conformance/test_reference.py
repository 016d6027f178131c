"""The reference vendor host, beyond what the kit asks: claims, restarts, new keys, and vectors that are not ours."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from gateway.conformance.pair import Envelope, Pair, claimed, message
from gateway.standard.manifest import parse_manifest
from tests.home.reference.vendor import Answer, Message, VendorHost
from tests.unit.conformance.street import HOST, MANIFEST

DOCUMENT: dict[str, Any] = json.loads(MANIFEST.read_text())
DECLARED = parse_manifest(MANIFEST.read_bytes())
READING = {"measured": "2026-11-22T13:37:00Z", "temperature": 21.5}


class Service:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.got: list[Message] = []

    def __call__(self, message: Message) -> None:
        self.got.append(message)


def reading(pair: Pair) -> Envelope:
    return message(pair, DECLARED, "temperature-reading", READING, at=time.time_ns(), host=HOST)


def ask(host: VendorHost, envelope: Envelope) -> Answer:
    request = envelope.request()
    fields = [("Host", request.host), ("Content-Length", str(len(request.body))), *request.fields]
    return host.answer("POST", request.path, fields, request.body)


def label(answer: Answer) -> str:
    found: str = json.loads(answer.content)["type"].rpartition(":")[2]
    return found


def test_a_claim_serves_once_and_gives_messages_an_account(tmp_path: Path) -> None:
    service = Service()
    host = VendorHost(HOST, DOCUMENT, service, str(tmp_path / "store.db"))
    pair, other = Pair(), Pair()
    text = host.new_claim("anna")
    assert ask(host, reading(pair)).status == 204
    assert ask(host, claimed(pair, DECLARED, text, at=time.time_ns())).status == 204
    assert ask(host, reading(pair)).status == 204
    assert [one.account for one in service.got] == ["", "anna"]
    assert label(ask(host, claimed(other, DECLARED, text, at=time.time_ns()))) == "claim-unknown"
    host.store.close()


def test_ids_and_keys_survive_a_restart(tmp_path: Path) -> None:
    service, pair = Service(), Pair()
    envelope = reading(pair)
    for _ in range(2):
        host = VendorHost(HOST, DOCUMENT, service, str(tmp_path / "store.db"))
        assert ask(host, envelope).status == 204
        host.store.close()
    assert len(service.got) == 1, "taken once"
    host = VendorHost(HOST, DOCUMENT, service, str(tmp_path / "store.db"))
    assert label(ask(host, reading(pair.other_key()))) == "key-unknown"
    host.store.close()


def test_a_claim_vouches_for_a_new_key_and_ends_the_old_one(tmp_path: Path) -> None:
    host, pair = VendorHost(HOST, DOCUMENT, Service(), str(tmp_path / "store.db")), Pair()
    assert ask(host, reading(pair)).status == 204
    renewed = pair.other_key()
    assert ask(host, claimed(renewed, DECLARED, host.new_claim("anna"), at=time.time_ns())).status == 204
    assert ask(host, reading(renewed)).status == 204
    assert label(ask(host, reading(pair))) == "key-unknown"
    host.store.close()


def test_one_device_hears_nothing_of_another_s_answer(tmp_path: Path) -> None:
    """Not even by guessing its message's id."""
    host, pair = VendorHost(HOST, DOCUMENT, lambda _: ("interval", {"minutes": 7}), str(tmp_path / "store.db")), Pair()
    envelope = reading(pair)
    assert ask(host, envelope).status == 200
    stolen = reading(Pair()).altered(id=envelope.members["id"], payload={})
    assert label(ask(host, stolen)) == "required-missing"
    host.store.close()


def test_it_takes_the_standard_s_own_example_of_a_signature() -> None:
    """tests/vectors/signature.json; its host, type and vendor are Acme's."""
    vector = json.loads((Path(__file__).parents[2] / "vectors" / "signature.json").read_text())
    acme = json.loads((Path(__file__).parents[2] / "samples" / "acme.mud.json").read_text())
    host = VendorHost("api.acme.example", acme, Service())
    head, _, body = vector["request"].partition("\r\n\r\n")
    line, *lines = head.split("\r\n")
    fields = [(name, value) for name, _, value in (each.partition(": ") for each in lines)]
    named = host.head("POST", line.split(" ")[1], fields)
    assert host.verified("POST", line.split(" ")[1], named, body.encode()) == (vector["keyid"], 1795354680)
    # the payload of the example is cut short, and only that is wrong with it
    assert label(host.answer("POST", line.split(" ")[1], fields, body.encode())) == "required-missing"
    host.store.close()
