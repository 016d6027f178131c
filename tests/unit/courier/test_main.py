"""The courier between a ledger and vendor hosts that behave and misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ipc.messages import Deferred, Delivered
from gateway.reasons import Reason
from gateway.registry import Kind
from gateway.rulewriting import add
from tests.unit.courier.street import ADDRESSES, HOST, Authority, Vendor, answer, manifest, on_the_street, street
from tests.unit.courier.street2 import Vendor2

PROBLEM = "application/problem+json"


def test_the_request_is_what_the_standard_asks_and_nothing_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            here.deliver("m-1")
            assert await here.outcome() == Delivered("m-1", 204, -1, "", b"", b"", "", 2)
            request = vendor.requests.get_nowait()
            assert request.line == "POST /.well-known/clear-envelope/v1/messages/reading-0 HTTP/1.1"
            assert request.body == here.envelope("m-1")
            fields = {name.lower(): value for name, value in request.headers}
            assert len(fields) == len(request.headers)
            # what stands in these is held by test_signing.py
            assert all(fields.pop(name) for name in ("content-digest", "signature-input", "signature"))
            assert sorted(fields.items()) == [
                ("accept", "application/clear-envelope+json, application/problem+json"),
                ("content-length", str(len(request.body))),
                ("content-type", "application/clear-envelope+json"),
                ("host", HOST),
                ("idempotency-key", '"m-1"'),
                ("user-agent", "mudroom/1"),
            ]

    on_the_street(work)


def test_connections_are_kept_for_a_device_and_never_shared_with_another(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            for number in range(3):
                for device in ("plug", "lamp"):
                    here.deliver(f"{device}-{number}", device=device)
                    await here.outcome()
            seen = [vendor.requests.get_nowait() for _ in range(6)]
            by_device = {device: {r.connection for r in seen if device.encode() in r.body} for device in ("plug", "lamp")}
            assert vendor.handshakes == 2
            assert len(by_device["plug"]) == len(by_device["lamp"]) == 1
            assert by_device["plug"] != by_device["lamp"]

    on_the_street(work)


def test_no_more_connections_than_the_pair_may_have(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=3) as here:
            gate = asyncio.Event()
            vendor = await here.vendor(gate=gate)
            for number in range(20):
                here.deliver(f"m-{number}")
            for _ in range(3):
                await vendor.requests.get()
            assert vendor.requests.empty()
            gate.set()
            assert {(await here.outcome()).id for _ in range(20)} == {f"m-{number}" for number in range(20)}
            assert vendor.handshakes == 3

    on_the_street(work)


@pytest.mark.parametrize("host", [Vendor, Vendor2], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(
    ("response", "kind", "reason", "status"),
    [
        (answer(202), Delivered, None, 202),
        (answer(200, b'{"ce":1,"type":"setting","payload":{"on":true}}'), Delivered, None, 200),
        (answer(200, b"<html>", "text/html"), Delivered, Reason.VENDOR_ANSWER, 200),
        (answer(200, b'{"ce":1,"type":"setting","payload":{"on":"c2VjcmV0"}}'), Delivered, Reason.VENDOR_ANSWER, 200),
        (answer(301, b"", "", "Location: https://tracker.example/"), Delivered, Reason.VENDOR_ANSWER, 301),
        (answer(307, b"", "", "Location: https://tracker.example/"), Delivered, Reason.VENDOR_ANSWER, 307),
        (answer(422, b'{"type":"about:blank","title":"No","status":422}', PROBLEM), Delivered, Reason.VENDOR_REFUSED, 422),
        (answer(403, b"<html>", "text/html"), Delivered, Reason.VENDOR_REFUSED, 403),
        (answer(408), Deferred, Reason.VENDOR_BUSY, 0),
        (answer(425), Deferred, Reason.VENDOR_BUSY, 0),
        (answer(429, b"", "", "Retry-After: 17"), Deferred, Reason.VENDOR_BUSY, 17),
        (answer(500), Deferred, Reason.VENDOR_BUSY, 0),
        (answer(503, b"", "", "Retry-After: 99999999"), Deferred, Reason.VENDOR_BUSY, 3600),
        (answer(503, b"", "", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"), Deferred, Reason.VENDOR_BUSY, 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Deferred, Reason.VENDOR_ANSWER, 0),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Deferred, Reason.VENDOR_ANSWER, 0),
        (answer(200, b"x" * 70_000), Deferred, Reason.VENDOR_ANSWER, 0),
        (None, Deferred, Reason.VENDOR_UNREACHABLE, 0),
    ],
)  # fmt: skip
def test_what_an_answer_means(
    tmp_path: Path, response: bytes | None, kind: type, reason: Reason | None, status: int, host: type[Vendor]
) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(kind=host, otherwise=response)
            here.deliver("m-1")
            told = await here.outcome()
            assert type(told) is kind
            assert told.reason == (-1 if reason is None else reason.code)
            assert (told.status if isinstance(told, Delivered) else told.retry_after) == status
            if reason is not None and reason is not Reason.VENDOR_REFUSED and isinstance(told, Delivered):
                assert told.answer == b""
            assert vendor.requests.qsize() == 1
            here.deliver("m-2")  # the courier goes on
            assert (await here.outcome()).id == "m-2"

    on_the_street(work)


def _wrong_name(authority: Authority, folder: Path) -> ssl.SSLContext:
    return authority.context(folder, "tracker.example")


def _expired(authority: Authority, folder: Path) -> ssl.SSLContext:
    return authority.context(folder, HOST, first_day=-9, last_day=-1)


def _unknown_authority(authority: Authority, folder: Path) -> ssl.SSLContext:
    return Authority("Public CA").context(folder, HOST)


def _old_tls(authority: Authority, folder: Path) -> ssl.SSLContext:
    context = authority.context(folder, HOST)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize("flaw", [_wrong_name, _expired, _unknown_authority, _old_tls])
def test_a_host_that_does_not_prove_its_name_gets_nothing(tmp_path: Path, flaw: object) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(context=flaw(here.authority, tmp_path))  # type: ignore[operator]
            here.deliver("m-1")
            told = await here.outcome()
            assert (type(told), told.reason) == (Deferred, Reason.VENDOR_TLS.code), told
            assert vendor.requests.empty()

    on_the_street(work)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "192.168.77.5", "10.77.0.9", "::1", "fd4d:7564:726d:1::9", "::ffff:203.0.113.10"]
)
def test_an_address_inside_the_home_gets_nothing(tmp_path: Path, address: str) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(address="127.0.0.1")
            here.names[HOST] = [address]
            here.deliver("m-1")
            told = await here.outcome()
            assert (type(told), told.reason) == (Deferred, Reason.VENDOR_ADDRESS.code)
            assert vendor.handshakes == 0

    on_the_street(work)


def test_the_next_address_is_tried_where_one_is_dead_or_forbidden(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            await here.vendor(address=ADDRESSES[3])
            here.names[HOST] = ["10.0.0.1", ADDRESSES[1], ADDRESSES[3]]
            here.deliver("m-1")
            assert type(await here.outcome()) is Delivered

    on_the_street(work)


def test_a_vendor_that_is_away_is_said_to_be_and_found_when_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            here.deliver("m-1")
            told = await here.outcome()
            assert (type(told), told.reason) == (Deferred, Reason.VENDOR_UNREACHABLE.code)
            here.names.pop(HOST)

            here.names[HOST] = []
            here.deliver("m-2")
            assert (await here.outcome()).reason == Reason.VENDOR_UNREACHABLE.code
            here.names[HOST] = [ADDRESSES[0]]
            await here.vendor()
            here.deliver("m-3")
            assert type(await here.outcome()) is Delivered

    on_the_street(work)


def test_a_silent_vendor_is_given_up_in_time(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, answer_seconds=0.3, connections_per_pair=1) as here:
            await here.vendor(gate=asyncio.Event())
            here.deliver("m-1")
            here.deliver("m-2")
            told = [await here.outcome(), await here.outcome()]  # what waits behind it is not tried in vain
            assert [t.reason for t in told] == [Reason.VENDOR_UNREACHABLE.code] * 2

    on_the_street(work)


def test_a_stale_connection_costs_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            here.deliver("m-1")
            await here.outcome()
            vendor.answers = [None]  # the request meets a connection that the vendor closes without a word
            here.deliver("m-2")
            assert type(await here.outcome()) is Delivered
            seen = [vendor.requests.get_nowait() for _ in range(3)]
            assert [request.connection for request in seen] == [1, 1, 2]
            assert seen[1].headers == seen[2].headers
            vendor.answers = [None, None]  # and twice in a row is the vendor's fault
            here.deliver("m-3")
            assert (await here.outcome()).reason == Reason.VENDOR_UNREACHABLE.code

    on_the_street(work)


def test_a_device_that_was_quarantined_or_forgotten_sends_nothing_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            here.deliver("m-1")
            await here.outcome()
            with here.registry.change() as change:
                change.set_kind("plug", Kind.QUARANTINED)
                change.forget("lamp")
            for id, device in (("m-2", "plug"), ("m-3", "lamp")):
                here.deliver(id, device=device)
                told = await here.outcome()
                assert (type(told), told.status, told.reason) == (Delivered, 0, Reason.WITHDRAWN.code)
            assert vendor.requests.qsize() == 1

    on_the_street(work)


def test_what_waits_for_a_connection_is_asked_again_before_it_leaves(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor, gate = await here.under_way()
            with here.registry.change() as change:
                change.set_kind("plug", Kind.QUARANTINED)
            gate.set()
            assert await here.reasons(2) == {"m-1": -1, "m-2": Reason.WITHDRAWN.code}
            assert vendor.requests.empty()

    on_the_street(work)


@pytest.mark.parametrize(
    ("host", "type"),
    [("tracker.example", "reading-0"), ("two.acme.example", "reading-0"), (HOST, "other"), (HOST, "setting"), (HOST, "../inbox")],
)
def test_a_host_or_type_outside_the_manifest_gets_nothing(tmp_path: Path, host: str, type: str) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            here.names[host] = [ADDRESSES[0]]
            vendor = await here.vendor(HOST, host)
            here.deliver("m-1", host=host, type=type)
            assert (await here.outcome()).reason == Reason.WITHDRAWN.code
            assert vendor.handshakes == 0

    on_the_street(work)


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": {"on": True, "more": 1}},
        {"payload": {"on": "c2VjcmV0"}},
        {"payload": {}},
        {"id": "another"},
        {"device": "d-another"},
        {"type": "reading-1"},
        {"sent": "2026-01-31T12:00:01Z"},
        {"sent": "2026-13-31T12:00:00Z"},
        {"sent": "c2VjcmV0IHdvcmRz:00Z"},
        {"vendor": {"hosts": [HOST, "two.acme.example"], "name": "Acme", "x": 1}},
        {"withheld": ["c2VjcmV0"]},
        {"extra": 1},
    ],
)  # fmt: skip
def test_an_envelope_that_no_door_would_have_made_goes_nowhere(tmp_path: Path, changes: dict[str, object]) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            here.deliver("m-1", body=here.envelope("m-1", **changes))
            assert (await here.outcome()).reason == Reason.WITHDRAWN.code
            here.deliver("m-2", body=here.envelope("m-2").replace(b":true", b": true"))
            assert (await here.outcome()).reason == Reason.WITHDRAWN.code
            assert vendor.handshakes == 0

    on_the_street(work)


def test_what_waits_under_a_manifest_that_declares_less_now_does_not_leave(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            _, gate = await here.under_way()
            narrower = manifest(HOST, "two.acme.example").replace(b'"on"', b'"off"')
            here.approve("plug", narrower)
            gate.set()
            assert await here.reasons(2) == {"m-1": -1, "m-2": Reason.WITHDRAWN.code}
            here.deliver("m-3")
            assert (await here.outcome()).reason == Reason.WITHDRAWN.code
            here.deliver("m-4", body=here.envelope("m-4", payload={"off": True}))
            assert (await here.outcome()).reason == -1

    on_the_street(work)


def _not_json(path: Path) -> None:
    path.write_text("{")


def _manifest_outgrown(path: Path) -> None:
    path.write_text(path.read_text().replace("support-end", "support-and"))


def _not_for_us(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize("broken", [_not_json, _manifest_outgrown, _not_for_us])
def test_a_registry_that_cannot_be_read_lets_nothing_out(tmp_path: Path, broken: Callable[[Path], None]) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            broken(here.config.paths.registry)
            here.deliver("m-1")
            told = await here.outcome()
            assert (type_of := type(told), told.reason) == (Deferred, Reason.JUDGE_ERROR.code), type_of
            assert vendor.handshakes == 0

    on_the_street(work)


def test_what_waits_when_the_registry_breaks_is_handed_back_and_not_lost(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor, gate = await here.under_way()
            _manifest_outgrown(here.config.paths.registry)
            gate.set()
            assert await here.reasons(2) == {"m-1": -1, "m-2": Reason.JUDGE_ERROR.code}
            assert vendor.requests.empty()

    on_the_street(work)


def test_what_waits_under_rules_that_cannot_be_read_is_handed_back_and_leaves_once_they_can(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor()
            folder = here.config.paths.rules
            folder.mkdir()
            (folder / "a.toml").write_text("[[rule]\n")
            here.deliver("m-1")
            told = await here.outcome()
            assert isinstance(told, Deferred)
            assert told.reason == Reason.RULES_UNREADABLE.code
            assert "a.toml: not TOML" in told.detail
            assert vendor.handshakes == 0
            (folder / "a.toml").write_text("# mended\n")
            here.deliver("m-1")
            assert (await here.outcome()).reason == -1

    on_the_street(work)


def test_what_the_owner_keeps_meanwhile_does_not_leave(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            _, gate = await here.under_way()
            add(here.config.paths.rules, {"name": "no-on", "field": "/payload/on", "do": "withhold"})
            gate.set()
            assert await here.reasons(2) == {"m-1": -1, "m-2": Reason.WITHDRAWN.code}
            here.deliver("m-3", body=here.envelope("m-3", payload={}, withheld=["/payload/on"]))
            assert (await here.outcome()).reason == -1

    on_the_street(work)


def test_without_its_ledger_the_courier_falls_silent_and_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor, gate = await here.under_way()
            await here.relink()
            gate.set()
            here.deliver("m-3")
            assert (await here.outcome()).id == "m-3"
            assert (await vendor.requests.get()).body == here.envelope("m-3")  # m-2 never left: the ledger will give it again
            assert here.told.empty()

    on_the_street(work)
