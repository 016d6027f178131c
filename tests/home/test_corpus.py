"""Real payloads of real devices, sent as envelopes: what the standard can declare arrives canonical, the rest is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from gateway.ledger.reader import Reader
from tests.home.client import Here, mudroom, status_of
from tests.home.https import DeviceClient
from tests.home.lab import layout
from tests.samples.declare import declare

CORPUS = layout.CHECKOUT.parent / "shared" / "corpus" / "public" / "readable.jsonl"
BATCH_TYPES, BATCH_BYTES = 60, 200_000

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real payloads is not beside this checkout")


@pytest.fixture
def first_manifest(here: Here) -> Iterator[Path]:
    """Device 1's manifest is its own again afterwards."""
    original = Path(here.facts["vendors"]["acme"]["manifest"])
    yield original
    mudroom("devices", "approve", "device-1", str(original), "--unsigned")


def payloads() -> list[tuple[str, str]]:
    """(id, JSON text) of each line; ``raw`` is judged where present."""
    lines = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").split("\n") if line]
    return [(line["id"], line.get("raw") or json.dumps(line["payload"])) for line in lines]


def document(original: Path, types: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Acme's manifest with other message types."""
    found: dict[str, Any] = json.loads(original.read_text())
    found["ietf-mud:mud"]["clear-envelope"]["messages"] = {
        name: {
            "title": name,
            "purpose": "A real device's payload",
            "direction": "from-device",
            "host": "api.acme.example",
            "rate": 3_600_000,
            "payload": schema,
        }
        for name, schema in types.items()
    }
    return found


def batches(cases: list[tuple[str, str, dict[str, Any]]]) -> Iterator[list[tuple[str, str, dict[str, Any]]]]:
    """Cases grouped so that each group's manifest is within the standard's limits."""
    group: list[tuple[str, str, dict[str, Any]]] = []
    size = 0
    for case in cases:
        weight = len(json.dumps(case[2])) + 400
        if group and (len(group) == BATCH_TYPES or size + weight > BATCH_BYTES):
            yield group
            group, size = [], 0
        group.append(case)
        size += weight
    yield group


def envelope(type_: str, payload: str) -> bytes:
    """An envelope around the payload's own text."""
    return f'{{"ce":1,"type":"{type_}","vendor":{{"name":"Acme","hosts":["api.acme.example"]}},"payload":{payload}}}'.encode()


@pytest.mark.timeout(900)
def test_real_payloads(here: Here, first_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared: list[tuple[str, str, dict[str, Any]]] = []
    others: list[tuple[str, str]] = []
    for number, (_, text) in enumerate(payloads()):
        try:
            value = json.loads(text)
        except ValueError:
            others.append((f"p-{number}", text))
            continue
        schema = declare(value)
        if schema is None or len(json.dumps(schema)) > BATCH_BYTES:
            others.append((f"p-{number}", text))
        else:
            declared.append((f"p-{number}", text, schema))
    crossed = 0
    by_curl = 0
    for group in batches(declared):
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps(document(first_manifest, {name: schema for name, _, schema in group})))
        mudroom("devices", "approve", "device-1", str(path), "--unsigned")
        before = len(here.received("acme"))
        expected = []
        with DeviceClient(here, 1) as device:
            for place, (name, text, _) in enumerate(group):
                body = envelope(name, text)
                if place == 0:  # one of each group by curl, the rest by our own client
                    message = tmp_path / "message.json"
                    message.write_bytes(body)
                    url = f"https://api.acme.example/.well-known/clear-envelope/v1/messages/{name}"
                    done = here.curl(1, url=url, data=f"@{message}")
                    assert 200 <= status_of(done) < 300, done
                    by_curl += 1
                else:
                    reply = device.post(body, type=name)
                    assert 200 <= reply.status < 300, (name, reply)
                expected.append((name, rfc8785.dumps(json.loads(text))))
        arrived = here.received("acme")[before:]
        assert [(r["path"].rsplit("/", 1)[-1], rfc8785.dumps(json.loads(r["body"])["payload"])) for r in arrived] == expected
        with Reader(layout.STATE / "state" / "ledger" / "ledger.db") as reader:
            for request in arrived:
                whole = json.loads(request["body"])
                assert request["body"].encode() == rfc8785.dumps(whole), "not in canonical form"
                record = reader.message(whole["id"])
                assert record is not None
                assert record.message.outgoing == request["body"].encode()
                assert record.message.at / 1e9 <= request["time"]
        crossed += len(arrived)
    refused = refuse_others(here, first_manifest, others)
    with capsys.disabled():
        print(
            f"  real payloads: {crossed} declared and crossed ({by_curl} by curl), {refused} refused with a reason",
            file=sys.stderr,
        )
    assert crossed + refused == len(payloads())
    assert crossed > 500
    assert refused > 100


def refuse_others(here: Here, first_manifest: Path, others: list[tuple[str, str]]) -> int:
    """Those that no schema of the standard can declare, sent as the types that they would be: each is refused."""
    mudroom("devices", "approve", "device-1", str(first_manifest), "--unsigned")
    refused = 0
    before = len(here.received("acme"))
    with DeviceClient(here, 1) as device:
        for name, text in others:
            body = envelope("power-reading", text)
            reply = device.post(body)
            assert 400 <= reply.status < 500, (name, reply)
            assert reply.problem["type"].startswith("urn:mudroom:refusal:"), reply
            refused += 1
    assert len(here.received("acme")) == before
    return refused
