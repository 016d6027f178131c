"""One look at a vendor's manifest: the same rules as a message's way out, and nothing of the home in it but the URL."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.ipc.messages import Fetch, Fetched
from gateway.reasons import Reason
from tests.unit.courier.street import HOST, Authority, Street, on_the_street, street

URL = f"https://{HOST}/mud/plug.json"
FILE = b'{"ietf-mud:mud": {}}'


def response(body: bytes = FILE, status: str = "200 OK", *fields: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return f"{head}\r\n\r\n".encode() + body


async def look(here: Street, url: str = URL, *, device: str = "plug", kind: str = "manifest") -> Fetched:
    assert here.link is not None
    here.link.send(Fetch("f-1", device, url, kind))
    found: Any = await here.outcome()
    assert isinstance(found, Fetched) and found.id == "f-1"
    return found


def test_the_request_names_the_file_and_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(answers=[response()])
            assert await look(here) == Fetched("f-1", 200, -1, "", FILE)
            request = vendor.requests.get_nowait()
            assert request.line == "GET /mud/plug.json HTTP/1.1"
            assert sorted((name.lower(), value) for name, value in request.headers) == [
                ("accept", "application/mud+json, application/json"),
                ("host", HOST),
                ("user-agent", "mudroom/1"),
            ]

    on_the_street(work)


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (
            response(b"", "301 Moved Permanently", "Location: https://evil.example/"),
            Reason.VENDOR_ANSWER,
            "redirects are not followed",
        ),
        (response(b"", "404 Not Found"), Reason.VENDOR_ANSWER, "answered 404"),
        (response(b"x" * 300_000), Reason.VENDOR_ANSWER, ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Reason.VENDOR_ANSWER, ""),
        (b"SSH-2.0\r\n\r\n", Reason.VENDOR_ANSWER, ""),
        (None, Reason.VENDOR_UNREACHABLE, "before its answer was whole"),
    ],
)
def test_an_answer_that_is_no_file(tmp_path: Path, answer: bytes | None, reason: Reason, words: str) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(answers=[answer], otherwise=None)
            found = await look(here)
            assert (found.reason, found.body) == (reason.code, b"")
            assert words in found.detail
            assert vendor.requests.qsize() == 1, "nothing is tried again, nothing followed"

    on_the_street(work)


@pytest.mark.parametrize(
    ("url", "device", "kind"),
    [
        (f"http://{HOST}/x", "plug", "manifest"), (f"{URL}?device=1", "plug", "manifest"),
        (f"https://{HOST}:8443/x", "plug", "manifest"), ("https://203.0.113.10/x", "plug", "manifest"),
        (f"https://{HOST}/" + "x" * 300, "plug", "manifest"), (f"https://{HOST}/%zz\x01", "plug", "manifest"),
        (URL, "nobody", "manifest"), (URL, "plug", "anything"),
    ],
)  # fmt: skip
def test_what_is_not_fetched_at_all(tmp_path: Path, url: str, device: str, kind: str) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(otherwise=response())
            found = await look(here, url, device=device, kind=kind)
            assert found.reason == Reason.MANIFEST_URL.code
            assert vendor.requests.empty() and not vendor.handshakes

    on_the_street(work)


def test_names_that_lead_into_the_home_or_nowhere(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            here.names |= {"home.acme.example": ["192.168.1.1", "fd00::1"], "gone.acme.example": []}
            assert (await look(here, "https://home.acme.example/m")).reason == Reason.VENDOR_ADDRESS.code
            assert (await look(here, "https://gone.acme.example/m")).reason == Reason.VENDOR_UNREACHABLE.code

    on_the_street(work)


def test_a_host_that_does_not_prove_its_name(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            await here.vendor(context=Authority("Another").context(tmp_path, HOST), otherwise=response())
            assert (await look(here)).reason == Reason.VENDOR_TLS.code

    on_the_street(work)


def test_a_host_that_keeps_silent_costs_its_time_and_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connect_seconds=1.0, answer_seconds=1.0) as here:
            await here.vendor(otherwise=response(), gate=asyncio.Event())
            found = await look(here)
            assert found.reason == Reason.VENDOR_UNREACHABLE.code
            assert "within 2 s" in found.detail

    on_the_street(work)
