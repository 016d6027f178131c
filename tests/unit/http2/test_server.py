"""What a device may and may not say in HTTP/2, byte by byte and by the library ``h2``."""

from __future__ import annotations

import gc
import itertools

import h2.config
import h2.connection
import h2.events
import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http1.violation import Limits
from gateway.http2.account import Account
from gateway.http2.breach import ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, REFUSED_STREAM, STREAM_CLOSED, Breach
from gateway.http2.server import HALF_DONE, STREAMS, ServerSide
from tests.unit.http2 import wire
from tests.unit.http2.wire import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    START,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    head,
    headers,
    message,
    pieces,
    talk,
)

EMPTY = frame(SETTINGS)
CANCEL = (8).to_bytes(4)
BIG = b"x" * 60_000
BLOCK = block(head())


def chunks(stream: int, content: bytes, *, end: bool = True) -> bytes:
    parts = list(pieces(content, 16_000))
    return b"".join(data(stream, part, end=end and part is parts[-1]) for part in parts)


def bomb() -> bytes:
    """One long field in the dynamic table, then named by one byte each (CVE-2016-6581)."""
    return b"\x40" + wire.text("x-a") + wire.text("v" * 3000) + b"\xbe" * 3000


FLOODS = [
    ("PING (CVE-2019-9512)", frame(PING, bytes(8)) * 200),
    ("PING acknowledged that nobody sent", frame(PING, bytes(8), flags=ACK) * 200),
    ("SETTINGS (CVE-2019-9515)", EMPTY * 50),
    ("SETTINGS acknowledged", frame(SETTINGS, flags=ACK) * 50),
    ("settings without end in one frame", frame(SETTINGS, bytes.fromhex("000300000064") * 40)),
    ("empty DATA (CVE-2019-9518)", headers(1, head()) + data(1, b"", end=False) * 200),
    ("DATA byte by byte", headers(1, head(length="5000")) + data(1, b"x", end=False) * 200),
    ("DATA of padding", headers(1, head()) + frame(DATA, b"\xff" + bytes(255), flags=PADDED, stream=1) * 200),
    ("RST_STREAM after the request began (CVE-2023-44487)",
     b"".join(headers(n, head()) + frame(RST_STREAM, CANCEL, stream=n) for n in range(1, 200, 2))),
    ("PRIORITY (CVE-2019-9513)", b"".join(frame(PRIORITY, (n + 2).to_bytes(4) + b"\x10", stream=n) for n in range(1, 400, 2))),
    ("WINDOW_UPDATE byte by byte (CVE-2019-9517)", frame(WINDOW_UPDATE, (1).to_bytes(4)) * 200),
    ("frames of an unknown type", frame(0x42, b"x") * 100),
    ("CONTINUATION (CVE-2024-27316)",
     headers(1, head(), whole=False) + frame(CONTINUATION, block([("x-a", "b")]), stream=1) * 20),
    ("empty CONTINUATION (CVE-2019-9518)", headers(1, head(), whole=False) + frame(CONTINUATION, stream=1)),
    ("a field block without end",
     headers(1, head(("x-a", "v" * 8000)), whole=False) + frame(CONTINUATION, b"x" * 8000, stream=1)),
    ("a field list that unfolds (HPACK bomb)", frame(HEADERS, block(head()) + bomb(), flags=END_HEADERS, stream=1)),
    ("GOAWAY", frame(GOAWAY, bytes(8)) * 50),
]  # fmt: skip


@pytest.mark.parametrize("stream", [row[1] for row in FLOODS], ids=[row[0] for row in FLOODS])
def test_floods_end_the_connection(stream: bytes) -> None:
    heard = talk([START + stream], answer=False)
    assert heard.breach == ("http2-flood", 429, 0), heard
    assert heard.code == ENHANCE_YOUR_CALM
    assert not heard.requests
    assert talk(pieces(START + stream, 5), answer=False).breach == heard.breach


SYNTAX = [
    ("HTTP/1.1", b"POST / HTTP/1.1\r\n\r\n"),
    ("a preface of another version", PREFACE.replace(b"2.0", b"2.1")),
    ("no SETTINGS first", PREFACE + message()),
    ("an acknowledgement first", PREFACE + frame(SETTINGS, flags=ACK)),
    ("SETTINGS of five bytes", PREFACE + frame(SETTINGS, bytes(5))),
    ("SETTINGS on a stream", PREFACE + frame(SETTINGS, stream=1)),
    ("SETTINGS_INITIAL_WINDOW_SIZE out of range", START + frame(SETTINGS, bytes.fromhex("000480000000"))),
    ("SETTINGS_MAX_FRAME_SIZE out of range", START + frame(SETTINGS, bytes.fromhex("000500000001"))),
    ("SETTINGS_ENABLE_PUSH out of range", START + frame(SETTINGS, bytes.fromhex("000200000002"))),
    ("a frame over 16,384 bytes", START + headers(1, head(length="20000")) + data(1, b"x" * 16_385)),
    ("only the head of such a frame", START + frame(DATA, stream=1, size=16_385)),
    ("DATA on stream 0", START + frame(DATA, b"{}")),
    ("DATA on a stream that is idle", START + data(1)),
    ("DATA after the end", START + message() + data(1)),
    ("HEADERS on a stream that was used", START + message() + headers(1, head())),
    ("HEADERS on a lower stream", START + message(5) + message(3)),
    ("HEADERS on an even stream", START + message(2)),
    ("HEADERS on stream 0", START + frame(HEADERS, block(head()), flags=END_HEADERS)),
    ("CONTINUATION without HEADERS", START + frame(CONTINUATION, b"", flags=END_HEADERS, stream=1)),
    ("a field block that is interrupted", START + headers(1, head(), whole=False) + frame(PING, bytes(8))),
    ("a field block continued on another stream",
     START + headers(1, head(), whole=False) + frame(CONTINUATION, b"", flags=END_HEADERS, stream=3)),
    ("an unknown frame within a field block", START + headers(1, head(), whole=False) + frame(0x42, b"x")),
    ("HPACK that is none", START + frame(HEADERS, b"\xff\xff\xff\xff\xff\xff", flags=END_HEADERS, stream=1)),
    ("HPACK's table made too large", START + frame(HEADERS, b"\x3f\xe1\xff\x03" + block(head()), flags=END_HEADERS, stream=1)),
    ("padding longer than the frame", START + headers(1, head()) + frame(DATA, b"\x09{}", flags=PADDED | END_STREAM, stream=1)),
    ("PUSH_PROMISE", START + frame(PUSH_PROMISE, (2).to_bytes(4) + block(head()), flags=END_HEADERS, stream=1)),
    ("WINDOW_UPDATE of nothing", START + frame(WINDOW_UPDATE, bytes(4))),
    ("WINDOW_UPDATE of nothing on a stream (CVE-2025-8671)",
     START + headers(1, head()) + frame(WINDOW_UPDATE, bytes(4), stream=1)),
    ("a stream's window over its most (CVE-2025-8671)",
     START + headers(1, head()) + frame(WINDOW_UPDATE, (2**31 - 1).to_bytes(4), stream=1)),
    ("the connection's window over its most", START + frame(WINDOW_UPDATE, (2**31 - 1).to_bytes(4))),
    ("RST_STREAM of three bytes (CVE-2025-8671)", START + headers(1, head()) + frame(RST_STREAM, bytes(3), stream=1)),
    ("RST_STREAM on a stream that is idle", START + frame(RST_STREAM, CANCEL, stream=0)),
    ("PRIORITY of four bytes (CVE-2025-8671)", START + headers(1, head()) + frame(PRIORITY, bytes(4), stream=1)),
    ("a stream that depends on itself (CVE-2025-8671)", START + frame(PRIORITY, (1).to_bytes(4) + b"\x10", stream=1)),
    ("PING of seven bytes", START + frame(PING, bytes(7))),
    ("GOAWAY of seven bytes", START + frame(GOAWAY, bytes(7))),
]  # fmt: skip


@pytest.mark.parametrize("stream", [row[1] for row in SYNTAX], ids=[row[0] for row in SYNTAX])
def test_what_is_not_http2_ends_the_connection(stream: bytes) -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    heard = talk([stream], side=side)
    assert heard.breach is not None
    assert heard.breach[0] == "http2-syntax", heard
    assert heard.breach[2] == 0
    written = side.take()
    assert frames_of(written, RST_STREAM) == [], "a reset that the device provoked"
    assert talk(pieces(stream, 3)).breach == heard.breach


def frames_of(written: bytes, kind: int) -> list[bytes]:
    """The payloads of the frames of one type."""
    found = []
    while written:
        size = int.from_bytes(written[:3])
        if written[3] == kind:
            found.append(written[9 : 9 + size])
        written = written[9 + size :]
    return found


def test_a_frame_that_is_too_large_is_told_so() -> None:
    assert talk([START + frame(DATA, stream=1, size=16_385)]).code == FRAME_SIZE_ERROR


STREAM = [
    ("no content-length", headers(1, head(length=None)), "http-framing", 411),
    ("content-length twice", headers(1, head(("content-length", "2"))), "http-framing", 400),
    ("a content-length with a sign", headers(1, head(length="+2")), "http-framing", 400),
    ("less than content-length says", headers(1, head(length="3")) + data(1), "http-framing", 400),
    ("more than content-length says", headers(1, head(length="1")) + data(1), "http-framing", 400),
    ("no content where some is said", headers(1, head(), end=True), "http-framing", 400),
    ("content in a GET", headers(1, head(method="GET")), "http-framing", 400),
    ("content over the limit", headers(1, head(length="65537")), "http-too-large", 413),
    ("trailers", headers(1, head()) + data(1, end=False) + headers(1, [("x-a", "b")], end=True), "http-framing", 400),
    ("fields again", headers(1, head()) + headers(1, head()), "http-framing", 400),
    ("transfer-encoding", headers(1, head(("transfer-encoding", "chunked"))), "http-framing", 501),
    ("connection", headers(1, head(("connection", "close"))), "http-header", 400),
    ("keep-alive", headers(1, head(("keep-alive", "timeout=5"))), "http-header", 400),
    ("te", headers(1, head(("te", "trailers"))), "http-header", 400),
    ("expect", headers(1, head(("expect", "100-continue"))), "http-header", 400),
    ("content-encoding", headers(1, head(("content-encoding", "gzip"))), "http-header", 400),
    ("a field twice", headers(1, head(("x-a", "b"), ("x-a", "c"))), "http-header", 400),
    ("a name in upper case", headers(1, head(("X-A", "b"))), "http-header", 400),
    ("an empty name", headers(1, head(("", "b"))), "http-header", 400),
    ("a name with a space", headers(1, head(("x a", "b"))), "http-header", 400),
    ("a value with a line's end", headers(1, head(("x-a", "b\r\nx-b: c"))), "http-header", 400),
    ("a value with a NUL", headers(1, head(("x-a", "b\0"))), "http-header", 400),
    ("a value outside ASCII", headers(1, head(("x-a", "\xe9"))), "http-header", 400),
    ("a value with space around it", headers(1, head(("x-a", " b"))), "http-header", 400),
    ("33 fields", headers(1, head(*((f"x-{n}", "y") for n in range(31)))), "http-header", 431),
    ("fields of 8192 bytes", headers(1, head(("x-a", "v" * 8000))), "http2-flood", 429),
    ("no :authority", headers(1, head(authority=None)), "http-host", 400),
    ("an :authority with a user", headers(1, head(authority="x@a.example")), "http-host", 400),
    ("an empty :authority", headers(1, head(authority="")), "http-host", 400),
    ("host beside :authority", headers(1, head(("host", "a.example"))), "http-host", 400),
    ("no :path", headers(1, head(path=None)), "http-header", 400),
    ("an empty :path", headers(1, head(path="")), "http-target", 400),
    ("a URL as :path", headers(1, head(path="https://a.example/")), "http-target", 400),
    ("a :path outside ASCII", headers(1, head(path="/\xe9")), "http-target", 400),
    ("no :scheme", headers(1, head(scheme=None)), "http-header", 400),
    ("another :scheme", headers(1, head(scheme="http")), "http-header", 400),
    ("no :method", headers(1, head(method=None)), "http-header", 400),
    ("CONNECT", headers(1, [(":method", "CONNECT"), (":authority", "tracker.example:443")]), "http-header", 400),
    ("extended CONNECT (RFC 8441)", headers(1, head((":protocol", "websocket"), method="CONNECT")), "http-header", 400),
    (":protocol", headers(1, [(":protocol", "websocket"), *head()]), "http-header", 400),
    ("PUT", headers(1, head(method="PUT")), "http-method", 405),
    ("a method in lower case", headers(1, head(method="post")), "http-method", 405),
    (":status", headers(1, [(":status", "200"), *head()]), "http-header", 400),
    (":method twice", headers(1, [(":method", "POST"), *head()]), "http-header", 400),
    ("a pseudo-header field behind another", headers(1, [*head(method=None), (":method", "POST")]), "http-header", 400),
    ("no fields at all", headers(1, []), "http-host", 400),
]  # fmt: skip


@pytest.mark.parametrize(("stream", "label", "status"), [row[1:] for row in STREAM], ids=[row[0] for row in STREAM])
def test_a_request_that_breaks_a_rule_of_http(stream: bytes, label: str, status: int) -> None:
    heard = talk([START + stream])
    assert heard.breach is not None
    assert heard.breach[:2] == (label, status), heard
    assert not heard.requests
    assert heard.detail
    assert talk(pieces(START + stream, 3)).breach == heard.breach


@pytest.mark.parametrize(
    "parts",
    [
        [message()],
        [headers(1, head()), data(1, b"{", end=False), data(1, b"}", end=False), data(1, b"")],
        [headers(1, head()), frame(DATA, b"\x05{}" + bytes(5), flags=PADDED | END_STREAM, stream=1)],
        [frame(HEADERS, bytes(4) + b"\x10" + block(head()), flags=END_HEADERS | PRIORITY_FLAG, stream=1), data(1)],
        [frame(HEADERS, BLOCK[:40], stream=1), frame(CONTINUATION, BLOCK[40:], flags=END_HEADERS, stream=1), data(1)],
        [frame(0x42, b"grease"), frame(PRIORITY, bytes(4) + b"\x10", stream=3), frame(PING, bytes(8)), message()],
        [frame(SETTINGS, bytes.fromhex("00010000100000030000006400040000ffff1a2a00000001")), message()],
    ],
    ids=["plain", "in pieces", "padded", "with a priority", "CONTINUATION", "beside other frames", "with settings"],
)  # fmt: skip
def test_a_message_is_what_it_would_be_over_http1(parts: list[bytes]) -> None:
    heard = talk([START, *parts])
    assert heard.breach is None
    ((stream, request),) = heard.requests
    assert stream == 1
    assert (request.method, request.target, request.body, request.close) == ("POST", wire.TARGET, b"{}", False)
    assert request.headers == (("host", wire.HOST), ("content-type", wire.MEDIA), ("content-length", "2"))
    assert talk(pieces(START + b"".join(parts), 1)).requests == heard.requests


def test_what_came_before_a_breach_is_handed_up() -> None:
    heard = talk([START + message(1) + message(3) + data(3)])
    assert [stream for stream, _ in heard.requests] == [1, 3]
    assert heard.breach is not None


def test_a_connection_lives_as_long_as_it_carries_messages() -> None:
    stream = b"".join(message(n) + frame(PING, bytes(8)) * 10 for n in range(1, 1000, 2))
    heard = talk([START, *pieces(stream, 700)])
    assert heard.breach is None
    assert len(heard.requests) == 500


def test_streams_beyond_the_limit_are_turned_away_and_may_come_again() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    heard = talk([START + b"".join(message(n) for n in range(1, 2 * STREAMS + 5, 2))], side=side, answer=False)
    assert heard.breach is None
    assert [stream for stream, _ in heard.requests] == list(range(1, 2 * STREAMS, 2))
    assert set(frames_of(side.take(), RST_STREAM)) == {REFUSED_STREAM.to_bytes(4), STREAM_CLOSED.to_bytes(4)}
    side.answer(1, 204, (), b"")
    again = talk([message(99)], side=side, answer=False)
    assert [stream for stream, _ in again.requests] == [99]


def test_whoever_goes_on_beyond_the_limit_is_cut_off() -> None:
    heard = talk([START + b"".join(message(n) for n in range(1, 200, 2))], answer=False)
    assert heard.breach is not None
    assert heard.breach[0] == "http2-flood"


def test_a_reset_does_not_make_room_before_the_request_is_done_with() -> None:
    """CVE-2023-44487: what was reset is still being judged and recorded."""
    side = ServerSide(Limits(), Account(1 << 20))
    stream = b"".join(message(n) + frame(RST_STREAM, CANCEL, stream=n) for n in range(1, 2 * STREAMS, 2))
    heard = talk([START + stream + message(99)], side=side, answer=False)
    assert len(heard.requests) == STREAMS
    side.take()
    for stream_id, _ in heard.requests:
        side.answer(stream_id, 200, (), b"x")
    assert side.take() == b"", "an answer that nobody wants"
    assert side.served == 0
    assert [n for n, _ in talk([message(101)], side=side, answer=False).requests] == [101]


def test_half_done_requests_are_bounded_for_a_connection_and_for_all() -> None:
    account = Account(HALF_DONE)
    first, second = ServerSide(Limits(), account), ServerSide(Limits(), account)
    opened = [headers(n, head(length="60000")) for n in (1, 3, 5)]
    assert talk([START, *opened], side=first).breach is None
    assert frames_of(first.take(), RST_STREAM) == [REFUSED_STREAM.to_bytes(4)], "the third is beyond what one connection may hold"
    assert talk([START, opened[0]], side=second).breach is None
    assert len(frames_of(second.take(), RST_STREAM)) == 1, "nor is there room for another's"
    heard = talk([chunks(1, BIG)], side=first)
    assert [request.body for _, request in heard.requests] == [BIG]
    assert talk([opened[1]], side=second).breach is None
    assert frames_of(second.take(), RST_STREAM) == []
    first.dismiss()
    second.dismiss()
    assert account.take("", HALF_DONE)


def test_one_device_takes_no_more_than_its_share() -> None:
    account = Account(HALF_DONE, 60_000)
    sides = [ServerSide(Limits(), account, who) for who in ("plug", "plug", "lamp")]
    for side in sides:
        assert talk([START, headers(1, head(length="60000"))], side=side).breach is None
    assert [len(frames_of(side.take(), RST_STREAM)) for side in sides] == [0, 1, 0]
    sides[0].dismiss()
    assert account.take("plug", 60_000)


def test_settings_that_http2_does_not_define_are_not_kept() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    strange = [frame(SETTINGS, b"".join((100 + 20 * n + k).to_bytes(2) + bytes(4) for k in range(20))) for n in range(20)]
    assert talk([PREFACE + frame(SETTINGS, bytes.fromhex("00040000000a")), *strange], side=side).breach is None
    assert len(side._parser.remote_settings) < 10  # nothing on the wire shows it
    assert side._parser.remote_settings.initial_window_size == 10


def test_a_connection_that_is_gone_leaves_no_garbage_behind() -> None:
    gc.collect()
    gc.disable()
    try:
        for stream in (message(), headers(1, head()), frame(PING, bytes(8)) * 200, message() + data(1)):
            side = ServerSide(Limits(), Account(1 << 20))
            talk([START + stream], side=side)
            side.end()
            side.take()
            side.dismiss()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_largest_message_passes_alone_whatever_the_limit() -> None:
    limits = Limits(body_bytes=1 << 20)
    side = ServerSide(limits, Account(1 << 21))
    content = b"x" * (1 << 20)
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    peer.initiate_connection()
    peer.send_headers(1, head(length=str(len(content))))
    rest, requests = content, []
    while rest:
        size = min(peer.local_flow_control_window(1), 16_384, len(rest))
        if size:
            peer.send_data(1, rest[:size], end_stream=size == len(rest))
            rest = rest[size:]
        requests += side.feed(peer.data_to_send())
        peer.receive_data(side.take())
    assert [request.body for _, request in requests] == [content]


def test_content_without_end_for_a_refused_stream_is_a_flood() -> None:
    heard = talk(
        [START + headers(1, head(length="60000")) + data(1, b"x" * 2000, end=False) * 60], side=ServerSide(Limits(), Account(0))
    )
    assert heard.breach == ("http2-flood", 429, 0)


def test_content_of_a_refused_stream_is_left_aside_and_its_window_given_back() -> None:
    side = ServerSide(Limits(), Account(100))
    heard = talk([START + headers(1, head(length="60000")) + chunks(1, BIG)], side=side)
    assert heard.breach is None
    assert not heard.requests
    assert frames_of(side.take(), WINDOW_UPDATE)


def test_answers_wait_for_the_device_s_window() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    shut = frame(SETTINGS, bytes.fromhex("000400000000"))
    heard = talk([PREFACE + shut + message()], side=side, answer=False)
    side.answer(heard.requests[0][0], 200, (("content-type", "text/plain"),), b"hello")
    assert frames_of(side.take(), DATA) == []
    assert side.unsent
    assert talk([frame(WINDOW_UPDATE, (2).to_bytes(4), stream=1)], side=side).breach is None
    assert frames_of(side.take(), DATA) == [b"he"]
    assert talk([frame(WINDOW_UPDATE, (9).to_bytes(4), stream=1)], side=side).breach is None
    assert frames_of(side.take(), DATA) == [b"llo"]
    assert not side.unsent


def test_answers_that_nobody_takes_hold_their_streams() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    shut = frame(SETTINGS, bytes.fromhex("000400000000"))
    heard = talk([PREFACE + shut + b"".join(message(n) for n in range(1, 2 * STREAMS, 2))], side=side, answer=False)
    for stream, _ in heard.requests:
        side.answer(stream, 200, (), b"hello")
    assert talk([message(99)], side=side).requests == []
    assert len(side.unsent) == STREAMS


def test_a_large_table_of_the_device_s_is_not_filled() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    talk([PREFACE + frame(SETTINGS, bytes.fromhex("00017fffffff")) + message()], side=side)
    assert side._parser.encoder.header_table_size == 4096  # nothing on the wire shows what an encoder keeps


def test_after_the_end_nothing_is_read() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    side.end()
    assert talk([START + message()], side=side).requests == []


def test_a_device_that_says_goodbye_is_answered_what_is_under_way() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    heard = talk([START + message() + frame(GOAWAY, bytes(8))], side=side, answer=False)
    assert heard.breach is None
    assert side.leaving
    side.take()
    side.answer(1, 200, (), b"x")
    assert frames_of(side.take(), DATA) == [b"x"]


def test_winding_up_answers_what_is_under_way_and_takes_nothing_new() -> None:
    side = ServerSide(Limits(), Account())
    assert not ServerSide(Limits(), Account()).wind_up(), "nothing is under way"
    first = talk([START + message(1) + headers(3, head())], side=side, answer=False)
    assert side.wind_up()
    later = talk([message(5) + data(3)], side=side, answer=False)
    assert [stream for stream, _ in first.requests + later.requests] == [1, 3]
    assert REFUSED_STREAM.to_bytes(4) in frames_of(side.take(), RST_STREAM)
    side.answer(1, 204, (), b"")
    assert not side.done
    side.answer(3, 204, (), b"")
    assert side.done


def test_by_the_library_as_its_users_use_it() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    peer.initiate_connection()
    answers: dict[int, bytes] = {}
    for turn in range(100):
        streams = [peer.get_next_available_stream_id() + 2 * n for n in range(STREAMS)]
        for stream in streams:
            content = b"%d" % stream
            peer.send_headers(stream, head(length=str(len(content))))
            peer.send_data(stream, content, end_stream=True)
        requests = list(side.feed(peer.data_to_send()))
        for stream, request in reversed(requests):
            side.answer(stream, 200, (("Content-Type", "text/plain"),), request.body * (1 + turn % 3))
        for event in peer.receive_data(side.take()):
            if isinstance(event, h2.events.DataReceived):
                answers[event.stream_id] = answers.get(event.stream_id, b"") + event.data
                peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    assert len(answers) == 100 * STREAMS
    assert all(answer.startswith(b"%d" % stream) for stream, answer in answers.items())


PIECES = st.sampled_from(
    [START, EMPTY, message(1), message(3), data(1), data(1, b"", end=False), headers(1, head()), frame(PING, bytes(8))]
    + [frame(SETTINGS, flags=ACK), frame(RST_STREAM, CANCEL, stream=1), frame(WINDOW_UPDATE, (9).to_bytes(4), stream=1)]
    + [frame(GOAWAY, bytes(8)), Encoder().encode(head()), PREFACE, b"\0" * 9]
    + [row[1][:600] for row in FLOODS + SYNTAX]
    + [row[1] for row in STREAM if len(row[1]) < 2000]
)
STREAMS_OF_BYTES = st.lists(PIECES | st.binary(max_size=20), max_size=8).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(STREAMS_OF_BYTES, st.lists(st.integers(0, 3000), max_size=8), st.booleans())
def test_the_verdict_depends_on_the_bytes_alone(stream: bytes, cuts: list[int], started: bool) -> None:
    stream = START + stream if started else stream
    whole = talk([stream])
    ends = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[a:b] for a, b in itertools.pairwise(ends)]
    assert talk(parts) == whole
    assert talk(pieces(stream, 1)) == whole


def test_a_breach_says_who_and_how() -> None:
    side = ServerSide(Limits(), Account(1 << 20))
    with pytest.raises(Breach) as caught:
        list(side.feed(START + frame(PING, bytes(8)) * 200))
    side.end(caught.value.code, f"{caught.value.reason.label}: {caught.value.detail}")
    (goodbye,) = frames_of(side.take(), GOAWAY)
    assert int.from_bytes(goodbye[4:8]) == ENHANCE_YOUR_CALM
    assert b"http2-flood" in goodbye[8:]
