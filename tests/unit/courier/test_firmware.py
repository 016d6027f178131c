"""A device's software from a vendor host over the real street: whole and right, or nothing of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.ipc.messages import Fetch, Fetched
from gateway.reasons import Reason
from tests.unit.courier.street import HOST, Authority, Street, manifest, on_the_street, street

IMAGE = hashlib.shake_128(b"an image").digest(3_000_000)
URI = f"https://{HOST}/fw/2.1.0.bin"
TOLD = {"version": "2.1.0", "size": len(IMAGE), "digest": f"sha-256:{hashlib.sha256(IMAGE).hexdigest()}", "title": "Safer"}


def response(body: bytes = IMAGE, status: str = "200 OK", *fields: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", "")).encode() + body


def declare(here: Street, device: str = "plug", **changed: Any) -> None:
    document = json.loads(manifest(HOST, "two.acme.example"))
    document["ietf-mud:mud"]["clear-envelope"]["firmware"] = {**TOLD, "uri": URI, **changed}
    here.approve(device, json.dumps(document).encode())


async def look(here: Street, url: str = URI, *, device: str = "plug") -> Fetched:
    assert here.link is not None
    here.link.send(Fetch("f-1", device, url, "firmware"))
    found: Any = await here.outcome()
    assert isinstance(found, Fetched) and found.id == "f-1"
    return found


def kept(here: Street) -> list[Path]:
    folder = here.config.paths.firmware
    return sorted(folder.iterdir()) if folder.exists() else []


def test_the_image_is_fetched_once_and_kept_and_the_vendor_learns_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            declare(here)
            declare(here, "lamp")
            vendor = await here.vendor(otherwise=response())
            found = await look(here)
            assert (found.status, found.reason, found.detail, json.loads(found.body)) == (200, -1, "", TOLD)
            (file,) = kept(here)
            assert file.name == hashlib.sha256(IMAGE).hexdigest() and file.read_bytes() == IMAGE
            request = vendor.requests.get_nowait()
            assert request.line == "GET /fw/2.1.0.bin HTTP/1.1"
            assert sorted((name.lower(), value) for name, value in request.headers) == [
                ("accept", "application/octet-stream"),
                ("host", HOST),
                ("user-agent", "mudroom/1"),
            ]
            again = await look(here, device="lamp")
            assert (again.status, again.reason, json.loads(again.body)) == (0, -1, TOLD)
            assert "kept already" in again.detail
            assert vendor.requests.empty(), "the same bytes are not asked for twice"
            file.write_bytes(IMAGE[:-1] + b"!")
            assert (await look(here)).detail == ""
            assert kept(here)[0].read_bytes() == IMAGE, "what changed on disk is fetched anew"

    on_the_street(work)


WRONG = IMAGE[:-1] + b"!"


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (response(WRONG), Reason.FIRMWARE_MISMATCH, f"SHA-256 {hashlib.sha256(WRONG).hexdigest()} came"),
        (response(IMAGE[:-1]), Reason.FIRMWARE_MISMATCH, "Content-Length is 2999999, not 3000000"),
        (response(IMAGE + b"!"), Reason.FIRMWARE_MISMATCH, "Content-Length is 3000001"),
        (response() + b"!", Reason.FIRMWARE_MISMATCH, "more than the 3000000 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", Reason.VENDOR_ANSWER, "Content-Length"),
        (response(b"", "302 Found", "Location: https://evil.example/"), Reason.VENDOR_ANSWER, "redirects are not followed"),
        (response(IMAGE, "404 Not Found"), Reason.VENDOR_ANSWER, "answered 404"),
        (b"SSH-2.0\r\n\r\n", Reason.VENDOR_ANSWER, ""),
        (None, Reason.VENDOR_UNREACHABLE, "3000000 bytes are missing"),
    ],
)
def test_what_is_not_the_image_leaves_nothing(tmp_path: Path, answer: bytes | None, reason: Reason, words: str) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            declare(here)
            vendor = await here.vendor(answers=[answer], otherwise=None)
            found = await look(here)
            assert (found.reason, found.body) == (reason.code, b"")
            assert words in found.detail
            assert kept(here) == []
            assert vendor.requests.qsize() == 1, "nothing is tried again, nothing followed"

    on_the_street(work)


def test_a_connection_that_breaks_half_way_leaves_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            declare(here)
            vendor = await here.vendor(answers=[response()[:1_000_000]], otherwise=None)
            assert here.link is not None
            here.link.send(Fetch("f-1", "plug", URI, "firmware"))
            await vendor.requests.get()
            while not any(path.stat().st_size for path in kept(here)):  # noqa: ASYNC110  # a file sends no event
                await asyncio.sleep(0.01)
            vendor.drop_connections()
            found = await here.outcome()
            assert found.reason == Reason.VENDOR_UNREACHABLE.code
            assert kept(here) == []

    on_the_street(work)


def test_only_what_an_approved_manifest_declares_is_fetched(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(otherwise=response())
            assert (await look(here)).reason == Reason.FIRMWARE_NONE.code, "none is declared"
            declare(here)
            for url, device in ((f"{URI}2", "plug"), (URI, "lamp"), (URI, "nobody"), ("http://10.0.0.1/", "plug")):
                assert (await look(here, url, device=device)).reason == Reason.FIRMWARE_NONE.code
            assert vendor.requests.empty() and not vendor.handshakes
            assert kept(here) == []

    on_the_street(work)


def test_a_host_that_does_not_prove_its_name_or_lies_in_the_home(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            declare(here)
            here.names[HOST] = ["192.168.1.1"]
            assert (await look(here)).reason == Reason.VENDOR_ADDRESS.code
            assert kept(here) == []
        async with street(tmp_path, registry=here.registry) as here:
            await here.vendor(context=Authority("Another").context(tmp_path, HOST), otherwise=response())
            assert (await look(here)).reason == Reason.VENDOR_TLS.code
            assert kept(here) == []

    on_the_street(work)


def test_a_host_that_dawdles_has_its_time_and_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, firmware_seconds=1.0) as here:
            declare(here)
            await here.vendor(answers=[response()[:1_000_000]], gate=None)
            found = await look(here)
            assert found.reason == Reason.VENDOR_UNREACHABLE.code
            assert "within 1 s" in found.detail
            assert kept(here) == []

    on_the_street(work)


def test_one_at_a_time(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            declare(here)
            gate = asyncio.Event()
            vendor = await here.vendor(answers=[response()], gate=gate)
            assert here.link is not None
            here.link.send(Fetch("f-0", "plug", URI, "firmware"))
            await vendor.requests.get()
            assert (await look(here)).reason == Reason.FIRMWARE_RATE.code
            gate.set()
            assert (await here.outcome()).reason == -1
            assert len(kept(here)) == 1

    on_the_street(work)


def test_without_room_nothing_leaves(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, firmware_bytes=2_000_000) as here:
            declare(here)
            vendor = await here.vendor(otherwise=response())
            found = await look(here)
            assert found.reason == Reason.FIRMWARE_ROOM.code
            assert "courier.firmware_bytes" in found.detail
            assert vendor.requests.empty() and kept(here) == []

    on_the_street(work)


@pytest.mark.parametrize("ledger_leaves", [True, False])
def test_what_is_broken_off_on_our_side_leaves_nothing(tmp_path: Path, ledger_leaves: bool) -> None:
    """The ledger goes, or the courier is stopped."""

    async def work() -> None:
        async with street(tmp_path) as here:
            declare(here)
            await here.vendor(answers=[response()[:1_000_000]])
            assert here.link is not None
            here.link.send(Fetch("f-1", "plug", URI, "firmware"))
            while not kept(here):  # noqa: ASYNC110  # a file sends no event
                await asyncio.sleep(0.01)
            if ledger_leaves:
                here.link.close()
                while kept(here):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert kept(here) == []

    on_the_street(work)
