"""One question for a device's inbox: what it says, when it is not asked at all, and what each answer means."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.courier.inbox import request_for
from gateway.courier.keys import PairKey
from gateway.ipc.messages import Poll, Polled
from gateway.reasons import Reason
from gateway.registry import Kind
from gateway.standard.inbox import PATH
from gateway.standard.signing import POLL_COMPONENTS
from tests.home.lab.proof import Unproven, proven_poll
from tests.unit.courier.street import HOST, Authority, Street, answer, on_the_street, street

ROOT = Path(__file__).parents[3]
VECTOR = json.loads((ROOT / "tests" / "vectors" / "inbox-signature.json").read_text())
PAGE = (ROOT / "docs" / "clear-envelope.md").read_text()
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTOR["secret_key"]))
CREATED = 1_795_354_680
SETTING = '{"seq":%d,"type":"setting","payload":{"on":%s}}'


def poll(here: Street, *, device: str = "plug", pair: str = "", host: str = HOST, received: int = 0) -> Poll:
    return Poll("p-1", device, pair or here.pseudonyms[device], host, received, CREATED)


async def ask(here: Street, question: Poll) -> Polled:
    assert here.link is not None
    here.link.send(question)
    found: Any = await here.outcome()
    assert isinstance(found, Polled) and found.id == "p-1"
    return found


def inbox(*entries: str) -> bytes:
    return answer(200, ('{"ce":1,"inbox":[' + ",".join(entries) + "]}").encode())


@pytest.mark.parametrize("row", VECTOR["requests"], ids=lambda row: row["name"])
def test_the_vector_is_what_leaves_and_another_s_library_agrees(row: dict[str, Any]) -> None:
    public = urlsafe_b64encode(KEY.public_key().public_bytes_raw()).decode().rstrip("=")
    question = Poll("p-1", "plug", row["device"], "api.acme.example", row["received"], row["created"])
    assert request_for(question, PairKey(row["device"], public, KEY.sign)).decode() == row["request"]
    signature = b64encode(KEY.sign(row["signature_base"].encode())).decode()
    assert f"Signature: ce=:{signature}:\r\n" in row["request"]
    components = POLL_COMPONENTS if row["received"] else POLL_COMPONENTS[:-1]
    assert [line.split('"')[1] for line in row["signature_base"].split("\n")] == [*components, "@signature-params"]
    line, *fields = row["request"].rstrip("\r\n").split("\r\n")
    method, target, _ = line.split(" ")
    headers = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
    assert proven_poll(method, target, headers) == (VECTOR["keyid"], row["device"])
    for name in ("Clear-Envelope-Device", *(("Clear-Envelope-Received",) if row["received"] else ())):
        with pytest.raises(Unproven):
            proven_poll(method, target, [(n, v + "1" if n == name else v) for n, v in headers])
    with pytest.raises(Unproven):
        proven_poll(method, target, [*headers, ("Clear-Envelope-Received", "99")])


def test_the_page_shows_the_vector() -> None:
    row = VECTOR["requests"][1]
    for shown in (*row["request"].split("\r\n"), *row["signature_base"].split("\n")):
        assert shown in PAGE


def test_a_pair_has_no_other_pair_s_key_and_no_time_but_whole_minutes() -> None:
    with pytest.raises(ValueError, match="another pair"):
        request_for(Poll("p", "plug", "d-1", HOST, 0, CREATED), PairKey("d-2", "k", KEY.sign))
    with pytest.raises(ValueError, match="whole minutes"):
        request_for(Poll("p", "plug", "d-1", HOST, 0, CREATED + 1), PairKey("d-1", "k", KEY.sign))


def test_the_question_names_the_pair_and_nothing_else(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            assert await ask(here, poll(here, received=41)) == Polled("p-1", 204, -1, "", 0, b"", ())
            request = vendor.requests.get_nowait()
            assert request.line == f"GET {PATH} HTTP/1.1"
            fields = {name.lower(): value for name, value in request.headers}
            assert fields["clear-envelope-received"] == "41"
            assert fields.keys() == {
                "host", "accept", "user-agent", "clear-envelope-device", "clear-envelope-received", "signature-input", "signature"
            }  # fmt: skip
            keyid, device = proven_poll("GET", PATH, request.headers)
            assert device == here.pseudonyms["plug"]
            # the key of the pair's messages, on another connection than they have
            here.deliver("m-1")
            await here.outcome()
            message = vendor.requests.get_nowait()
            assert message.connection != request.connection
            assert keyid in dict(message.headers)["Signature-Input"]

    on_the_street(work)


def test_each_entry_has_its_own_verdict(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            body = inbox(
                SETTING % (7, "true"), SETTING % (9, '"c2VjcmV0"'), '{"seq":10,"type":"reading-0","payload":{"on":true}}'
            )
            await here.vendor(answers=[body])
            found = await ask(here, poll(here, received=6))
            assert (found.reason, found.status) == (-1, 200)
            assert b"c2VjcmV0" in found.original, "the owner can see what came"
            good, *bad = found.entries
            assert (good.seq, good.type, good.reason, good.body) == (
                7,
                "setting",
                -1,
                b'{"payload":{"on":true},"type":"setting"}',
            )
            assert good.bits == 1
            assert [(entry.seq, entry.reason, entry.body, entry.bits) for entry in bad] == [
                (9, Reason.NOT_IN_SCHEMA.code, b"", 0),
                (10, Reason.TYPE_UNKNOWN.code, b"", 0),
            ]
            assert bad[0].pointers == ("/inbox/1/payload/on",)

    on_the_street(work)


@pytest.mark.parametrize(
    ("response", "status", "reason", "wait"),
    [
        (answer(404, b"<html>", "text/html"), 404, Reason.VENDOR_REFUSED, 0),
        (answer(403, b'{"title":"No"}', "application/problem+json"), 403, Reason.VENDOR_REFUSED, 0),
        (answer(429, b"", "", "Retry-After: 17"), 429, Reason.VENDOR_BUSY, 17),
        (answer(503, b"", "", "Retry-After: 99999999"), 503, Reason.VENDOR_BUSY, 3600),
        (answer(302, b"", "", "Location: https://tracker.example/"), 302, Reason.VENDOR_ANSWER, 0),
        (answer(200, b"<html>", "text/html"), 200, Reason.VENDOR_ANSWER, 0),
        (answer(200, b""), 200, Reason.VENDOR_ANSWER, 0),
        (inbox(), 200, Reason.VENDOR_ANSWER, 0),
        (inbox(SETTING % (41, "true")), 200, Reason.VENDOR_ANSWER, 0),
        (inbox(SETTING % (43, "true"), SETTING % (43, "true")), 200, Reason.VENDOR_ANSWER, 0),
        (inbox(*(SETTING % (seq, "true") for seq in range(42, 59))), 200, Reason.VENDOR_ANSWER, 0),
        (answer(200, b"x" * 70_000), 0, Reason.VENDOR_ANSWER, 0),
        (b"SSH-2.0\r\n\r\n", 0, Reason.VENDOR_ANSWER, 0),
        (None, 0, Reason.VENDOR_UNREACHABLE, 0),
    ],
)  # fmt: skip
def test_what_an_answer_means(tmp_path: Path, response: bytes | None, status: int, reason: Reason, wait: int) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(otherwise=response)
            found = await ask(here, poll(here, received=41))
            assert (found.status, found.reason, found.retry_after, found.entries) == (status, reason.code, wait, ())
            assert vendor.requests.qsize() == 1, "nothing is tried again, nothing followed"

    on_the_street(work)


def test_who_is_not_asked_at_all(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(HOST, "two.acme.example")
            here.names["two.acme.example"] = here.names[HOST]
            plug = here.pseudonyms["plug"]
            for question in (
                poll(here, device="nobody", pair=plug),
                poll(here, device="lamp", pair=plug),
                poll(here, pair="d-0123456789abcdef"),
                poll(here, host="two.acme.example"),  # nothing is declared to the device there
                poll(here, host="evil.example"),
            ):
                assert (await ask(here, question)).reason == Reason.INBOX_WITHDRAWN.code
            with here.registry.change() as change:
                change.set_kind("plug", Kind.QUARANTINED)
            assert (await ask(here, poll(here))).reason == Reason.INBOX_WITHDRAWN.code
            assert vendor.requests.empty() and not vendor.handshakes

    on_the_street(work)


def test_a_host_that_does_not_prove_its_name(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            await here.vendor(context=Authority("Another").context(tmp_path, HOST))
            assert (await ask(here, poll(here))).reason == Reason.VENDOR_TLS.code

    on_the_street(work)


def test_a_name_that_leads_into_the_home_is_not_asked(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            here.names[HOST] = ["192.168.1.1"]
            assert (await ask(here, poll(here))).reason == Reason.VENDOR_ADDRESS.code

    on_the_street(work)


def test_nothing_is_asked_unsigned(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            key = here.config.paths.pair_keys / f"{here.pseudonyms['plug']}.pem"
            key.parent.mkdir(mode=0o700, exist_ok=True)
            key.write_text("no key")
            key.chmod(0o600)
            assert (await ask(here, poll(here))).reason == Reason.PAIR_KEY.code
            assert not vendor.handshakes

    on_the_street(work)
