"""A device's connection over HTTP/2, up to the message type that a request names.

The first two bytes choose where the rest is cut, the third whether a well-formed beginning comes before it.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.door.request import message_type
from gateway.http1 import Limits, Request, RequestParser, Violation, render_request
from gateway.http2.account import Account
from gateway.http2.breach import Breach
from gateway.http2.gate import RST_STREAM
from gateway.http2.server import HALF_DONE, STREAMS, ServerSide
from gateway.reasons import Reason
from tests.fuzz.oracles import same_however_cut
from tests.unit.http2.wire import START, block, data, frame, head, headers, message

LIMITS = Limits(head_bytes=512, header_count=8, body_bytes=256)
WORDS = tuple(
    piece.decode("latin-1")
    for piece in (
        START, message(1), message(3), data(1), data(1, b"", end=False), headers(1, head()), headers(1, head(), whole=False),
        block([("te", "trailers")]), block([("content-length", "2")]), block([("x-a", "b")]), block([(":method", "GET")]),
        *(frame(kind, bytes(size), stream=stream) for kind, size in ((2, 5), (3, 4), (6, 8), (7, 8), (8, 4), (9, 0), (66, 1))
          for stream in (0, 1)),
        frame(4), frame(4, flags=1), frame(4, bytes.fromhex("000400000000")), frame(8, b"\0\0\0\1", stream=1),
    )
)  # fmt: skip
Result = tuple[list[tuple[int, Request]], tuple[Reason, int, int] | None]


def check(data: bytes) -> None:
    """The same requests and the same breach however it is cut; nothing is held or reset beyond the limits."""
    begun, stream = bool(data[2:3] and data[2] & 1), data[3:]
    requests, breach = same_however_cut(stream, int.from_bytes(data[:2]), lambda pieces: read(pieces, begun=begun))
    if breach:
        assert 400 <= breach[1] <= 501
    for _, request in requests:
        again = over_http1(request)
        assert (again.method, again.target, again.body) == (request.method, request.target, request.body)
        assert dict(again.headers).items() >= dict(request.headers).items() - {
            ("content-length", request.header("content-length"))
        }
        assert len(request.headers) == len(dict(request.headers)) <= LIMITS.header_count
        try:
            message_type(request, "a.example")
        except Violation as violation:
            assert violation.status in {404, 405, 415, 421}


def read(pieces: list[bytes], *, begun: bool) -> Result:
    """The requests, every other one answered at once, and what ended the connection."""
    account = Account(HALF_DONE)
    side = ServerSide(LIMITS, account)
    found: list[tuple[int, Request]] = []
    ended = None
    written = b""
    try:
        for piece in ([START] if begun else []) + pieces:
            for stream, request in side.feed(piece):
                found.append((stream, request))
                if len(found) % 2:
                    side.answer(stream, 200, (("content-type", "text/plain"),), b"x" * 20)
            assert len(side.waiting) + len(list(side.half_done)) + len(side.unsent) <= STREAMS
            written += side.take()
    except Breach as breach:
        assert breach.detail
        ended = (breach.reason, breach.status, breach.stream)
        side.refuse(breach.stream, breach.status, (), b"no")
        side.end(breach.code, breach.detail)
        written += side.take()
    assert resets(written) <= 32 + 4 * len(found)
    side.dismiss()
    assert account.take("", HALF_DONE), "something is still held"
    return found, ended


def over_http1(request: Request) -> Request:
    """The same request as HTTP/1.1 carries it."""
    fields = [field for field in request.headers if field[0] not in {"host", "content-length"}]
    written = render_request(request.method, request.target, request.header("host") or "", fields, request.body)
    again = RequestParser(replace(LIMITS, head_bytes=2 * LIMITS.head_bytes)).feed(written)
    assert again is not None
    return again


def resets(written: bytes) -> int:
    """How many streams we reset."""
    count = 0
    while written:
        count += written[3] == RST_STREAM
        written = written[9 + int.from_bytes(written[:3]) :]
    return count
