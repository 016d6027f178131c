"""A vendor host's side of a connection over HTTP/2 with two requests under way: the first two bytes choose where it is cut."""

from __future__ import annotations

from gateway.http1 import Limits
from gateway.http2.breach import Breach
from gateway.http2.client import Answered, ClientSide, Unanswered
from gateway.reasons import Reason
from tests.fuzz.oracles import same_however_cut
from tests.unit.http2.wire import block, data, frame, headers

LIMITS = Limits(head_bytes=512, header_count=8, body_bytes=256)
STATUS = [(":status", "200"), ("content-type", "text/plain")]
WORDS = tuple(
    piece.decode("latin-1")
    for piece in (
        frame(4), frame(4, flags=1), frame(4, bytes.fromhex("000300000000")), frame(4, bytes.fromhex("000400000000")),
        headers(1, STATUS), headers(3, STATUS), headers(1, [(":status", "204")], end=True), headers(3, [(":status", "103")]),
        headers(1, [*STATUS, ("content-length", "2")]), data(1), data(3), data(1, end=False), data(1, b"", end=False),
        frame(3, (7).to_bytes(4), stream=1), frame(3, (8).to_bytes(4), stream=3), frame(7, (1).to_bytes(4) + bytes(4)),
        frame(6, bytes(8)), frame(8, (9).to_bytes(4)), frame(8, (9).to_bytes(4), stream=1), frame(9, stream=1),
        frame(5, (2).to_bytes(4), flags=4, stream=1), block([("x-a", "b")]), b"HTTP/1.1 200 OK\r\n\r\n",
    )
)  # fmt: skip
Result = tuple[list[Answered | Unanswered], tuple[Reason, int, int] | None]


def check(data: bytes) -> None:
    """Each request has one end at most, and the same one however the bytes are cut."""
    ends, _ = same_however_cut(data[2:], int.from_bytes(data[:2]), read)
    assert len({end.stream for end in ends}) == len(ends) <= 2
    for end in ends:
        assert end.stream in {1, 3}
        if isinstance(end, Answered):
            response = end.response
            assert 200 <= response.status <= 599
            assert len(response.body) <= LIMITS.body_bytes
            told = response.header("content-length")
            assert told is None or int(told) == len(response.body)
            assert response.status not in {204, 304} or not response.body


def read(pieces: list[bytes]) -> Result:
    """What became of the two requests, and what ended the connection."""
    side = ClientSide(LIMITS)
    for _ in range(2):
        side.ask([(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")], b"{}")
    side.take()
    found: list[Answered | Unanswered] = []
    try:
        for piece in pieces:
            found.extend(side.feed(piece))
            side.take()
    except Breach as breach:
        assert breach.detail
        side.end(breach.code, breach.detail)
        side.take()
        return sorted(found, key=lambda end: end.stream), (breach.reason, breach.status, breach.stream)
    return sorted(found, key=lambda end: end.stream), None
