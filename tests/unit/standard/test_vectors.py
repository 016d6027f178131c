"""Our judge, HTTP reader and canonical form on the vectors that other implementations use too (tests/vectors/README.md)."""

from __future__ import annotations

import base64
import copy
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gateway.courier.verdict import weigh
from gateway.door.desk import RETRY_AFTER
from gateway.door.inbox import is_inbox, received_of
from gateway.door.rates import Rates
from gateway.door.request import message_type
from gateway.http1 import Limits, RequestParser, ResponseParser, Violation
from gateway.ipc.messages import Deferred, Submit
from gateway.ledger.leaks import Account, charge, total
from gateway.reasons import Reason
from gateway.standard import inbox
from gateway.standard.canonical import encode
from gateway.standard.claim import claim, claim_text
from gateway.standard.ijson import parse
from gateway.standard.judge import Judge
from gateway.standard.manifest import Manifest, ManifestError, parse_manifest
from gateway.standard.problem import status_for
from gateway.standard.refusal import Refusal
from gateway.standard.schema import Schema
from gateway.standard.validator import Mismatch

FOLDER = Path(__file__).parents[2] / "vectors"
FILES = [json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]
FILES = [file for file in FILES if "vectors" in file]
BASE = next(file["manifest"] for file in FILES if "manifest" in file)
SERVER_NAME = "a.example"
# Reasons of the HTTP layer (100 to 119) and of the judge (120 to 139) that no bytes can show, each with why.
EXEMPT = {
    "judge-error": "a fault of the judge itself: bytes that led to it would be a bug",
}


def vectors(kind: str) -> list[Any]:
    return [pytest.param(v, file, id=v["name"]) for file in FILES if file["kind"] == kind for v in file["vectors"]]


def manifest(file: dict[str, Any]) -> Manifest:
    return parse_manifest(json.dumps(file.get("manifest", BASE)).encode())


def content(vector: dict[str, Any]) -> bytes:
    body = base64.b64decode(vector["body_base64"]) if "body_base64" in vector else vector["body"].encode()
    return body.ljust(vector.get("pad_to", 0))


@pytest.mark.parametrize(("vector", "file"), vectors("message"))
def test_messages(vector: dict[str, Any], file: dict[str, Any]) -> None:
    try:
        message = Judge(manifest(file)).from_device(vector["host"], vector["type"], content(vector))
    except Refusal as refusal:
        assert (refusal.reason.label, list(refusal.pointers)) == (vector["verdict"], vector.get("pointers"))
    else:
        assert vector["verdict"] == "accepted"
        assert encode(message.payload).decode() == vector["payload"]


@pytest.mark.parametrize(("vector", "file"), vectors("answer"))
def test_answers(vector: dict[str, Any], file: dict[str, Any]) -> None:
    try:
        answer = Judge(manifest(file)).from_vendor(vector["status"], vector["content_type"], content(vector))
    except Refusal as refusal:
        assert refusal.reason.label == vector["verdict"]
    else:
        assert vector["verdict"] == "accepted"
        assert (answer.status, answer.body.decode()) == (vector["to_device"], vector["answer"])


@pytest.mark.parametrize(("vector", "file"), vectors("inbox"))
def test_inboxes(vector: dict[str, Any], file: dict[str, Any]) -> None:
    declared, host = manifest(file), vector["host"]
    try:
        entries = inbox.read(declared, host, content(vector), vector["received"], max_body=65_536)
    except Refusal:
        assert vector["verdict"] == "vendor-answer"
        return
    assert vector["verdict"] == "accepted"
    found = [(entry.seq, entry.refusal.reason.label if entry.refusal else "accepted", entry.body.decode()) for entry in entries]
    assert found == [(wanted["seq"], wanted["verdict"], wanted.get("entry", "")) for wanted in vector["entries"]]
    if "to_device" in vector:
        good = [entry.body for entry in entries if entry.refusal is None]
        given = inbox.compose(inbox.pass_on(declared, host, number, body) for number, body in enumerate(good, 1))
        assert given.decode() == vector["to_device"]


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize(("vector", "file"), vectors("request"))
def test_requests(vector: dict[str, Any], file: dict[str, Any], piece: int) -> None:
    del file
    stream = vector["stream"].encode("latin-1")
    stream = stream.ljust(vector.get("pad_to", 0), vector.get("pad_with", " ").encode())
    parser, taken = RequestParser(Limits()), None
    try:
        for at in range(0, len(stream), piece):
            request = parser.feed(stream[at : at + piece])
            taken = message_type(request, SERVER_NAME) if request else taken
    except Violation as violation:
        assert (violation.reason.label, violation.status) == (vector["verdict"], vector.get("status"))
    else:
        assert (vector["verdict"], vector.get("type")) == ("accepted", taken)


@pytest.mark.parametrize(("vector", "file"), vectors("inbox-request"))
def test_questions_for_an_inbox(vector: dict[str, Any], file: dict[str, Any]) -> None:
    del file
    try:
        request = RequestParser(Limits()).feed(vector["stream"].encode())
        assert request is not None
        assert is_inbox(request) or message_type(request, SERVER_NAME)
        received = received_of(request, SERVER_NAME)
    except Violation as violation:
        assert (violation.reason.label, violation.status) == (vector["verdict"], vector["status"])
    else:
        assert (vector["verdict"], vector["received"]) == ("accepted", received)


@pytest.mark.parametrize(("vector", "file"), vectors("manifest"))
def test_manifests(vector: dict[str, Any], file: dict[str, Any]) -> None:
    document = edited(file.get("manifest", BASE), vector)
    try:
        parse_manifest(json.dumps(document).encode())
    except ManifestError as error:
        assert (vector["verdict"], vector.get("pointer")) == ("refused", error.pointer)
    else:
        assert vector["verdict"] == "accepted"


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize(("vector", "file"), vectors("response"))
def test_responses(vector: dict[str, Any], file: dict[str, Any], piece: int) -> None:
    stream = vector["stream"].encode("latin-1")
    stream = stream.ljust(vector.get("pad_to", 0), vector.get("pad_with", " ").encode())
    parser, response = ResponseParser(Limits()), None
    parser.expect("POST")
    try:
        for at in range(0, len(stream), piece):
            response = parser.feed(stream[at : at + piece]) or response
        parser.eof()
    except Violation as violation:
        assert (violation.reason.label, violation.status) == (vector["verdict"], 502)
        return
    assert vector["verdict"] == "accepted"
    assert response is not None
    assert response.status == vector["status"]
    told = weigh("m", Judge(manifest(file)), response)
    if isinstance(told, Deferred):
        assert (vector["message"], vector["retry_after"]) == ("later", told.retry_after)
        return
    fate = "refused" if told.reason == Reason.VENDOR_REFUSED.code else "taken"
    if told.reason == Reason.VENDOR_ANSWER.code or (not told.media_type and told.original):
        assert vector["message"] == f"{fate}, its answer not passed on"
        assert not told.answer
    else:
        passed = told.status if told.answer else 204
        assert (vector["message"], vector["to_device"], vector["answer"]) == (fate, passed, told.answer.decode())


@pytest.mark.parametrize(("vector", "file"), vectors("claim"))
def test_claims(vector: dict[str, Any], file: dict[str, Any]) -> None:
    del file
    try:
        taken = claim_text(vector["text"])
    except ValueError:
        assert vector["verdict"] == "refused"
        return
    assert (vector["verdict"], vector["claim"]) == ("accepted", taken)
    if "whole" in vector:
        rest = {name: vector[name] for name in ("vendor", "hosts", "id", "sent", "device")}
        assert claim(taken, **rest).decode() == vector["whole"]


@pytest.mark.parametrize(("vector", "file"), vectors("text"))
def test_texts(vector: dict[str, Any], file: dict[str, Any]) -> None:
    del file
    field = Schema(type="string", title="Text", max_length=vector["max_length"])
    try:
        leaves = field.rebuild(vector["text"])
    except Mismatch as mismatch:
        assert mismatch.reason.label == vector["verdict"]
    else:
        assert (vector["verdict"], vector.get("leaves")) == ("accepted", leaves)


@pytest.mark.parametrize(("vector", "file"), vectors("rate"))
def test_rates(vector: dict[str, Any], file: dict[str, Any]) -> None:
    del file
    times = iter(vector["at"])
    rates = Rates(lambda: next(times))
    taken = [rates.take("device-1", "a", vector["rate"]) for _ in vector["at"]]
    refused(vector, None if taken[-1] else Reason.RATE_MESSAGES)


@pytest.mark.parametrize(("vector", "file"), vectors("budget"))
def test_budgets(vector: dict[str, Any], file: dict[str, Any]) -> None:
    del file
    account: Account = {}
    for message in vector["messages"]:
        submit = Submit(
            1, "m", "device-1", "", "a.example", message["type"], message["at_ms"] * 1_000_000, b"", b"", 0,
            message["bits"], vector["budget"], vector["slot_ms"], True,
        )  # fmt: skip
        taken = charge(account, submit)
    refused(vector, None if taken else Reason.LEAK_BUDGET)
    assert total(account) == vector["spent"]


def refused(vector: dict[str, Any], reason: Reason | None) -> None:
    """The vector's verdict is this one, and its status and Retry-After those that the device gets."""
    if reason is None:
        assert vector["verdict"] == "accepted"
        return
    assert (vector["verdict"], vector["status"]) == (reason.label, status_for(reason))
    assert str(vector["retry_after"]) == RETRY_AFTER[reason]


def edited(document: Any, vector: dict[str, Any]) -> Any:
    """A copy with the member at the vector's pointer set or removed."""
    document = copy.deepcopy(document)
    *way, last = (step.replace("~1", "/").replace("~0", "~") for step in vector["at"].split("/")[1:])
    place = document
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    key = int(last) if isinstance(place, list) else last
    if "value" in vector:
        place[key] = vector["value"]
    else:
        del place[key]
    return document


@pytest.mark.parametrize(("vector", "file"), vectors("canonical"))
def test_canonical_form(vector: dict[str, Any], file: dict[str, Any]) -> None:
    del file
    value = (
        struct.unpack(">d", bytes.fromhex(vector["double"]))[0]
        if "double" in vector
        else parse(vector["input"].encode(), max_depth=16)
    )
    if vector["canonical"] is None:
        with pytest.raises(ValueError, match=r"."):
            encode(value)
    else:
        assert encode(value).decode() == vector["canonical"]


def test_every_reason_of_the_judge_and_of_http_has_a_vector() -> None:
    shown = {vector["verdict"] for file in FILES for vector in file["vectors"] if "verdict" in vector}
    wanted = {reason.label for reason in Reason if 100 <= reason.code < 140}
    assert EXEMPT.keys() <= wanted
    assert sorted(wanted - shown - EXEMPT.keys()) == []
    assert shown <= {reason.label for reason in Reason} | {"accepted", "refused"}


def test_every_file_says_what_it_is_and_where_it_comes_from() -> None:
    readme = (FOLDER / "README.md").read_text()
    for path in sorted(FOLDER.glob("*.json")):
        file = json.loads(path.read_bytes())
        assert file["about"]
        assert file["provenance"]
        assert f"`{path.name}`" in readme
        names = [vector["name"] for vector in file.get("vectors", [])]
        assert len(set(names)) == len(names), f"{path.name}: a name twice"
