"""A device's connection, up to the message type that a request names: the first two bytes choose where the rest is cut."""

from __future__ import annotations

from gateway.http1 import Limits, Request, RequestParser, Violation
from gateway.reasons import Reason
from tests.fuzz.oracles import same_however_cut, sound_request

LIMITS = Limits(head_bytes=512, header_count=8, body_bytes=256)
WORDS = (
    "POST ", "GET ", " HTTP/1.1", "\r\n", "\r\n\r\n", "Host: a.example\r\n", "Content-Length: 2\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n", "Connection: keep-alive\r\n", "Upgrade: h2c\r\n", "Expect: 100-continue\r\n", "\r\n ", " :",
    "0\r\n\r\n",
    "HTTP/1.0", "/.well-known/clear-envelope/v1/messages/a", "\n", "\r", "\x00", "PRI * HTTP/2.0",
)  # fmt: skip
Result = tuple[list[Request], tuple[Reason, int] | None]


def check(data: bytes) -> None:
    """The same requests and the same violation however it is cut; each request can be written and read again."""
    requests, violation = same_however_cut(data[2:], int.from_bytes(data[:2]), read)
    if violation:
        assert 400 <= violation[1] <= 505
    for request in requests:
        sound_request(request, LIMITS)


def read(pieces: list[bytes]) -> Result:
    """The requests, each answered at once, and the violation that ended it.

    Bytes that follow a request in its own piece take it along (as documented): with those the request before is left out.
    """
    parser, found = RequestParser(LIMITS), []
    try:
        for piece in pieces:
            request = parser.feed(piece)
            if request:
                found.append(request)
    except Violation as violation:
        assert violation.detail
        if violation.reason is Reason.HTTP_PIPELINING:
            found = found[:-1]
        return found, (violation.reason, violation.status)
    return found, None
