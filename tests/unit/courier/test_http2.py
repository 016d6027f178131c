"""The courier where vendor hosts choose HTTP/2: the same messages, several at once, and hosts that misbehave in its ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from gateway.ipc.messages import Deferred, Delivered, Fetch, Fetched
from gateway.reasons import Reason
from tests.unit.courier.street import HOST, answer, on_the_street, street
from tests.unit.courier.street2 import Misbehaviour, Speaker, Vendor2, speak
from tests.unit.http2.wire import ACK, CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PUSH_PROMISE, SETTINGS, block, frame

OK = [(":status", "204")]


def test_the_request_is_that_of_http1_to_the_last_field(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            seen = []
            for kind in ({}, {"kind": Vendor2}):
                vendor = await here.vendor(**kind)
                here.deliver("m-1")  # the same message, as after a restart
                assert type(await here.outcome()) is Delivered
                seen.append(vendor.requests.get_nowait())
                await vendor.close()
            one, two = seen
            assert two.line == one.line
            assert two.body == one.body
            assert sorted(two.headers) == sorted((name.lower(), value) for name, value in one.headers)

    on_the_street(work)


def test_messages_of_a_pair_share_a_connection_and_another_pair_s_never_do(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            gate = asyncio.Event()
            vendor = await here.vendor(kind=Vendor2, gate=gate)
            for number in range(6):
                for device in ("plug", "lamp"):
                    here.deliver(f"{device}-{number}", device=device)
            seen = [await vendor.requests.get() for _ in range(12)]
            by_device = {device: {r.connection for r in seen if device.encode() in r.body} for device in ("plug", "lamp")}
            assert vendor.handshakes == 2
            assert len(by_device["plug"]) == len(by_device["lamp"]) == 1
            assert by_device["plug"] != by_device["lamp"]
            assert vendor.at_once == 6
            gate.set()
            assert set((await here.reasons(12)).values()) == {-1}

    on_the_street(work)


def test_many_messages_leave_in_their_order_and_within_the_limits(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor = await here.vendor(kind=Vendor2)
            for number in range(300):
                here.deliver(f"m-{number:03}")
            assert set((await here.reasons(300)).values()) == {-1}
            bodies = [vendor.requests.get_nowait().body for _ in range(300)]
            assert bodies == [here.envelope(f"m-{number:03}") for number in range(300)]
            assert vendor.handshakes == 1
            assert vendor.at_once <= 8

    on_the_street(work)


def _limit(number: int) -> Callable[[Speaker], None]:
    return lambda here: here.http.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: number})


def test_a_vendor_s_limit_of_streams_is_kept(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor = await here.vendor(kind=Vendor2, first=_limit(2))
            here.deliver("m-0")
            await here.outcome()
            for number in range(1, 40):
                here.deliver(f"m-{number}")
            assert set((await here.reasons(39)).values()) == {-1}
            assert vendor.at_once <= 2
            assert vendor.handshakes == 1

    on_the_street(work)


def test_a_vendor_that_lets_nothing_in_does_not_hold_messages_for_ever(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor = await here.vendor(kind=Vendor2)
            here.deliver("m-0")
            await here.outcome()
            vendor.otherwise = lambda speaker, stream: (_limit(0)(speaker), speak(speaker, stream, answer(202)))
            here.deliver("m-1")
            await here.outcome()
            here.deliver("m-2")
            told = await here.outcome()
            assert (type(told), told.reason) == (Deferred, Reason.VENDOR_UNREACHABLE.code)

    on_the_street(work)


def test_a_vendor_that_takes_no_content_is_given_up_in_time(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, answer_seconds=0.5, connections_per_pair=1) as here:

            def shut(speaker: Speaker) -> None:
                speaker.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})

            await here.vendor(kind=Vendor2, first=shut, gate=asyncio.Event())
            here.deliver("m-1")
            here.deliver("m-2")
            assert await here.reasons(2) == dict.fromkeys(("m-1", "m-2"), Reason.VENDOR_UNREACHABLE.code)

    on_the_street(work)


def _refuse(here: Speaker, stream: int) -> None:
    here.http.reset_stream(stream, ErrorCodes.REFUSED_STREAM)


def _cancel(here: Speaker, stream: int) -> None:
    here.http.reset_stream(stream, ErrorCodes.CANCEL)


def _goaway_before(here: Speaker, stream: int) -> None:
    here.http.close_connection(last_stream_id=stream - 1)
    here.flush()
    here.writer.close()


def test_what_was_surely_not_processed_is_sent_again_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(kind=Vendor2, answers=[_refuse])
            here.deliver("m-1")
            assert type(await here.outcome()) is Delivered
            first, second = (vendor.requests.get_nowait() for _ in range(2))
            assert (first.connection, second.connection) == (1, 1)
            assert sorted(first.headers) == sorted(second.headers)
            vendor.answers = [_goaway_before]
            here.deliver("m-2")
            assert type(await here.outcome()) is Delivered
            assert [vendor.requests.get_nowait().connection for _ in range(2)] == [1, 2]

    on_the_street(work)


@pytest.mark.parametrize(
    ("answers", "tries"),
    [([_refuse, _refuse], 2), ([_goaway_before, _goaway_before], 2), ([_cancel], 1)],
    ids=["refused twice", "goaway twice", "broken off"],
)  # fmt: skip
def test_else_it_waits_for_the_ledger(tmp_path: Path, answers: list[Misbehaviour], tries: int) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor = await here.vendor(kind=Vendor2, answers=answers)
            here.deliver("m-1")
            told = await here.outcome()
            assert (type(told), told.reason) == (Deferred, Reason.VENDOR_UNREACHABLE.code), told
            assert vendor.requests.qsize() == tries
            here.deliver("m-2")
            assert type(await here.outcome()) is Delivered

    on_the_street(work)


def test_a_vendor_that_leaves_politely_answers_what_it_has(tmp_path: Path) -> None:
    def leave(here: Speaker, stream: int) -> None:
        here.raw(frame(7, stream.to_bytes(4) + bytes(4)))
        speak(here, stream, answer(202))

    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor = await here.vendor(kind=Vendor2, answers=[leave])
            here.deliver("m-1")
            assert (await here.outcome()).status == 202
            here.deliver("m-2")
            assert type(await here.outcome()) is Delivered
            assert [vendor.requests.get_nowait().connection for _ in range(2)] == [1, 2]

    on_the_street(work)


def test_a_stale_connection_costs_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            vendor = await here.vendor(kind=Vendor2)
            here.deliver("m-1")
            await here.outcome()
            vendor.drop_connections()
            here.deliver("m-2")
            assert type(await here.outcome()) is Delivered

    on_the_street(work)


def _headers(stream: int, *fields: tuple[str, str], end: bool = True) -> bytes:
    return frame(HEADERS, block(fields), flags=END_HEADERS | int(end), stream=stream)


MISBEHAVIOUR: list[tuple[str, Callable[[int], bytes]]] = [
    ("an interim answer", lambda n: _headers(n, (":status", "103"), end=False)),
    ("trailers", lambda n: _headers(n, (":status", "200"), end=False) + frame(DATA, b"x", stream=n) + _headers(n, ("x-a", "b"))),
    ("no status", lambda n: _headers(n, ("server", "x"))),
    ("a status that is none", lambda n: _headers(n, (":status", "2000"))),
    ("a request for an answer", lambda n: _headers(n, (":status", "200"), (":path", "/"))),
    ("a name in upper case", lambda n: _headers(n, (":status", "204"), ("X-A", "b"))),
    ("connection", lambda n: _headers(n, (":status", "204"), ("connection", "close"))),
    ("transfer-encoding", lambda n: _headers(n, (":status", "200"), ("transfer-encoding", "chunked"))),
    ("content-encoding", lambda n: _headers(n, (":status", "200"), ("content-encoding", "gzip"))),
    ("a value with a line's end", lambda n: _headers(n, (":status", "204"), ("x-a", "b\r\nc: d"))),
    ("less than content-length says", lambda n: _headers(n, (":status", "200"), ("content-length", "2"))),
    ("more than content-length says",
     lambda n: _headers(n, (":status", "200"), ("content-length", "2"), end=False) + frame(DATA, b"abc", flags=1, stream=n)),
    ("content in a 204", lambda n: _headers(n, (":status", "204"), end=False) + frame(DATA, b"abc", flags=1, stream=n)),
    ("content before the head", lambda n: frame(DATA, b"abc", flags=1, stream=n)),
    ("content that does not end",
     lambda n: _headers(n, (":status", "200"), end=False) + frame(DATA, b"x" * 16_384, stream=n) * 5),
    ("an answer that nobody asked for", lambda n: _headers(n + 2, (":status", "204"))),
    ("a push", lambda n: frame(PUSH_PROMISE, (2).to_bytes(4) + block([(":method", "GET")]), flags=END_HEADERS, stream=n)),
    ("fields without end", lambda n: _headers(n, (":status", "200"), ("x-a", "v" * 15_000), ("x-b", "v" * 1300))),
    ("a table of fields that unfolds",
     lambda n: frame(HEADERS, b"\x88\x40\x03x-a\x7f\xb9\x16" + b"v" * 3000 + b"\xbe" * 3000, flags=END_HEADERS, stream=n)),
    ("CONTINUATION", lambda n: frame(HEADERS, b"\x88", stream=n) + frame(CONTINUATION, block([("x-a", "b")]), stream=n) * 20),
    ("a frame that is too large", lambda n: frame(DATA, stream=n, size=16_385)),
    ("PING", lambda n: frame(PING, bytes(8)) * 200),
    ("SETTINGS", lambda n: frame(SETTINGS) * 50),
    ("acknowledgements", lambda n: frame(SETTINGS, flags=ACK) * 50),
    ("empty DATA", lambda n: _headers(n, (":status", "200"), end=False) + frame(DATA, stream=n) * 200),
    ("DATA byte by byte", lambda n: _headers(n, (":status", "200"), end=False) + frame(DATA, b"x", stream=n) * 200),
    ("HTTP/1.1", lambda n: b"HTTP/1.1 204 No Content\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("sent", [row[1] for row in MISBEHAVIOUR], ids=[row[0] for row in MISBEHAVIOUR])
def test_a_vendor_that_breaks_the_rules_is_heard_no_further(tmp_path: Path, sent: Callable[[int], bytes]) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            vendor = await here.vendor(kind=Vendor2, answers=[lambda speaker, stream: speaker.raw(sent(stream))])
            here.deliver("m-1")
            told = await here.outcome()
            assert (type(told), told.reason) == (Deferred, Reason.VENDOR_ANSWER.code), told
            assert told.detail
            assert await vendor.next_error() != 0, "told why"
            here.deliver("m-2")
            assert type(await here.outcome()) is Delivered
            assert vendor.handshakes == 2

    on_the_street(work)


def test_what_was_under_way_beside_it_waits_for_the_ledger(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path, connections_per_pair=1) as here:
            gate = asyncio.Event()
            bad = [lambda speaker, stream: speaker.raw(frame(PING, bytes(8)) * 200)]
            vendor = await here.vendor(kind=Vendor2, gate=gate, answers=bad)
            for number in range(4):
                here.deliver(f"m-{number}")
            for _ in range(4):
                await vendor.requests.get()
            gate.set()
            assert await here.reasons(4) == {f"m-{number}": Reason.VENDOR_ANSWER.code for number in range(4)}

    on_the_street(work)


def test_without_its_ledger_what_is_under_way_has_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            gate = asyncio.Event()
            vendor = await here.vendor(kind=Vendor2, gate=gate)
            here.deliver("m-1")
            await vendor.requests.get()
            await here.relink()
            gate.set()
            here.deliver("m-2")
            assert (await here.outcome()).id == "m-2"
            assert here.told.empty()

    on_the_street(work)


def test_manifests_are_fetched_by_http1_from_a_host_that_would_rather_speak_http2(tmp_path: Path) -> None:
    async def work() -> None:
        async with street(tmp_path) as here:
            context = here.authority.context(tmp_path, HOST)
            context.set_alpn_protocols(["h2", "http/1.1"])
            vendor = await here.vendor(context=context, answers=[answer(200, b"{}")])
            assert here.link is not None
            here.link.send(Fetch("f-1", "plug", f"https://{HOST}/mud/plug.json", "manifest"))
            assert await here.outcome() == Fetched("f-1", 200, -1, "", b"{}")
            assert vendor.requests.get_nowait().line.endswith("HTTP/1.1")

    on_the_street(work)
