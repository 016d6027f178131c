"""A look as a conversation: what is asked for, in which order, and where it ends. No ledger, no courier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.fetching import FetchError, Found, advance, question, steps, unfit
from gateway.ipc.messages import AskFetch, FetchAnswer
from gateway.reasons import Reason
from gateway.standard import cms
from gateway.standard.declaration import ManifestError
from gateway.standard.mud import MAX_URL
from tests.unit.standard.conftest import SAMPLES
from tests.unit.standard.test_cms import signer

URL = "https://acme.example/mud/plug-7.json"
ACME = (SAMPLES / "acme.mud.json").read_bytes()


def came(body: bytes) -> FetchAnswer:
    return FetchAnswer(1, 200, -1, "", body)


def acme(**head: str) -> bytes:
    document: dict[str, Any] = json.loads(ACME)
    document["ietf-mud:mud"] |= head
    return json.dumps(document).encode()


def test_a_manifest_without_a_signature_is_one_question() -> None:
    way = steps("plug", URL)
    assert advance(way) == AskFetch(1, "plug", URL, "manifest")
    found = advance(way, came(ACME))
    assert isinstance(found, Found) and found.signer is None and found.note == "" and found.document == ACME


@pytest.mark.parametrize("given", ["", "https://acme.example/other.p7s"])
def test_the_signature_comes_from_where_the_owner_or_the_manifest_says(tmp_path: Path, given: str) -> None:
    document = acme(**{"mud-signature": f"{URL}.p7s"})
    way = steps("plug", URL, given)
    advance(way)
    assert advance(way, came(document)) == AskFetch(1, "plug", given or f"{URL}.p7s", "signature")
    found = advance(way, came(cms.sign(document, *signer(tmp_path, "p256"))))
    assert isinstance(found, Found) and found.signer is not None and "MUD signer p256" in found.signer.subject


def test_one_that_calls_itself_otherwise_is_noted() -> None:
    way = steps("plug", "https://elsewhere.example/m")
    advance(way)
    found = advance(way, came(ACME))
    assert isinstance(found, Found) and found.note == f"it calls itself {URL}"


def test_a_mud_file_without_our_extension_is_no_manifest() -> None:
    way = steps("plug", URL)
    advance(way)
    found = advance(way, came(b'{"ietf-mud:mud": {"mud-signature": "https://acme.example/s"}}'))
    assert isinstance(found, Found) and found.manifest is None


def test_what_did_not_come_or_cannot_be_read_ends_it() -> None:
    way = steps("plug", URL)
    advance(way)
    with pytest.raises(FetchError, match=f"{Reason.VENDOR_TLS.words}: of another host"):
        advance(way, FetchAnswer(1, 0, Reason.VENDOR_TLS.code, "of another host", b""))
    way = steps("plug", URL)
    advance(way)
    with pytest.raises(ManifestError):
        advance(way, came(b"<html>"))


@pytest.mark.parametrize(
    "url",
    ["http://acme.example/m", "https://acme.example:443/m", "https://10.0.0.1/m", "https://acme.example/m?x", "https://a/m",
     "https://acme.example/\u202em", "HTTPS://acme.example/m", f"https://acme.example/{'x' * MAX_URL}", ""],
)  # fmt: skip
def test_nothing_else_than_a_plain_url_is_asked_for(url: str) -> None:
    assert url in unfit(url) and "fetched" in unfit(url)
    with pytest.raises(FetchError):
        question("plug", url, "manifest")
    with pytest.raises(FetchError):
        advance(steps("plug", url))
    assert unfit(URL) == ""
