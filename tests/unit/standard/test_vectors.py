"""Our judge, HTTP reader and canonical form on the vectors that other implementations use too (tests/vectors/README.md)."""

from __future__ import annotations

import base64
import copy
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gateway.door.request import message_type
from gateway.http1 import Limits, RequestParser, Violation
from gateway.reasons import Reason
from gateway.standard.canonical import encode
from gateway.standard.ijson import parse
from gateway.standard.judge import Judge
from gateway.standard.manifest import Manifest, ManifestError, parse_manifest
from gateway.standard.refusal import Refusal

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


@pytest.mark.parametrize(("vector", "file"), vectors("manifest"))
def test_manifests(vector: dict[str, Any], file: dict[str, Any]) -> None:
    document = edited(file.get("manifest", BASE), vector)
    try:
        parse_manifest(json.dumps(document).encode())
    except ManifestError as error:
        assert (vector["verdict"], vector.get("pointer")) == ("refused", error.pointer)
    else:
        assert vector["verdict"] == "accepted"


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
