"""The owner's claim at the courier: it leaves where the owner made it, and nowhere else, whoever says that it is one."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.ipc.messages import Deferred, Deliver, Delivered
from gateway.reasons import Reason
from gateway.registry import Kind
from gateway.standard.claim import PATH, TYPE, claim
from tests.home.lab.proof import proven
from tests.unit.courier.street import HOST, Street, answer, manifest, on_the_street, street

HOSTS = (HOST, "two.acme.example")
PROBLEM = "application/problem+json"


def made(here: Street, id: str = "c-1", text: str = "ACME-7F3K", **changes: str) -> bytes:
    parts = {"vendor": "Acme", "id": id, "sent": "2026-01-31T12:00:00Z", "device": here.pseudonyms["plug"]}
    return claim(text, hosts=HOSTS, **(parts | changes))


def note(here: Street, body: bytes) -> None:
    """What the owner's command writes down."""
    with here.registry.change() as change:
        change.claim("plug", sha256(body).hexdigest())


def send(here: Street, body: bytes, id: str = "c-1", host: str = HOST, device: str = "plug", type: str = TYPE) -> None:
    assert here.link is not None
    here.link.send(Deliver(id, device, "Acme", host, type, body))


def test_a_claim_goes_to_the_first_host_signed_like_a_message(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            body = made(here)
            note(here, body)
            send(here, body)
            assert await here.outcome() == Delivered("c-1", 204, -1, "", b"", b"", "")
            request = vendor.requests.get_nowait()
            assert request.line == f"POST {PATH} HTTP/1.1"
            assert request.body == body
            keyid = proven("POST", PATH, request.headers, request.body)
            here.deliver("m-1")
            await here.outcome()
            message = vendor.requests.get_nowait()
            assert proven(*message.line.split(" ")[:2], message.headers, message.body) == keyid, "so the vendor knows whose it is"

    on_the_street(work)


def test_it_is_sent_again_with_the_same_id_until_it_is_taken(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(answers=[answer(503)])
            body = made(here)
            note(here, body)
            for kind in (Deferred, Delivered):
                send(here, body)
                assert type(await here.outcome()) is kind
            first, second = vendor.requests.get_nowait(), vendor.requests.get_nowait()
            assert (first.headers, first.body) == (second.headers, second.body)

    on_the_street(work)


def _another_text(here: Street) -> None:
    send(here, made(here, text="c2VjcmV0IHNlY3JldA"))


def _another_id(here: Street) -> None:
    send(here, made(here), id="c-2")


def _another_host(here: Street) -> None:
    send(here, made(here), host=HOSTS[1])


def _another_device(here: Street) -> None:
    send(here, made(here), device="lamp")


def _as_a_message(here: Street) -> None:
    send(here, made(here), type="reading-0")


def _a_message_as_a_claim(here: Street) -> None:
    body = here.envelope("c-1")
    note(here, body)  # even if the registry said so
    send(here, body)


def _one_made_later(here: Street) -> None:
    note(here, made(here, text="ACME-NEW"))
    send(here, made(here))


def _quarantined(here: Street) -> None:
    with here.registry.change() as change:
        change.set_kind("plug", Kind.QUARANTINED)
    send(here, made(here))


def _another_vendor_s_now(here: Street) -> None:
    body = made(here)
    here.approve("plug", manifest(*HOSTS).replace(b'"Acme"', b'"Acre"'))
    send(here, body)


def _odd_time(here: Street) -> None:
    body = made(here, sent="2026-01-31T12:00:01Z")
    note(here, body)
    send(here, body)


def _unreadable(here: Street) -> None:
    body = b'{"claim":"\xff"}'
    note(here, body)
    send(here, body)


@pytest.mark.parametrize(
    "attempt",
    [
        _another_text, _another_id, _another_host, _another_device, _as_a_message, _a_message_as_a_claim, _one_made_later,
        _quarantined, _another_vendor_s_now, _odd_time, _unreadable,
    ],
)  # fmt: skip
def test_nothing_else_leaves_as_a_claim(tmp_path: Path, attempt: Callable[[Street], None]) -> None:
    """A door that was taken over may submit what it likes, and gets nothing out by calling it a claim."""

    async def work() -> None:
        async with street(tmp_path) as here:
            here.names[HOSTS[1]] = here.names[HOST]
            vendor = await here.vendor(*HOSTS)
            note(here, made(here))
            attempt(here)
            told = await here.outcome()
            assert (type(told), told.reason) == (Delivered, Reason.WITHDRAWN.code)
            assert vendor.handshakes == 0

    on_the_street(work)


def test_before_the_owner_made_one_there_is_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            send(here, made(here))
            assert (await here.outcome()).reason == Reason.WITHDRAWN.code
            assert vendor.handshakes == 0

    on_the_street(work)


@pytest.mark.parametrize(
    ("response", "reason", "passes"),
    [
        (answer(200, b'{"ce":1,"type":"setting","payload":{"on":true}}'), Reason.VENDOR_ANSWER, False),
        (answer(301, b"", "", "Location: https://tracker.example/"), Reason.VENDOR_ANSWER, False),
        (answer(403, b"<html>", "text/html"), Reason.VENDOR_REFUSED, False),
        (answer(403, b'{"title":"No such claim"}', PROBLEM), Reason.VENDOR_REFUSED, True),
    ],
)  # fmt: skip
def test_what_an_answer_to_a_claim_means(tmp_path: Path, response: bytes, reason: Reason, passes: bool) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(otherwise=response)
            body = made(here)
            note(here, body)
            send(here, body)
            told = await here.outcome()
            assert (type(told), told.reason) == (Delivered, reason.code)
            assert bool(told.answer) is passes
            assert vendor.requests.qsize() == 1

    on_the_street(work)
