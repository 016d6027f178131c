"""A device's connection, up to the message type that a request names: the first two bytes choose where the rest is cut."""

from __future__ import annotations

from gateway.door.request import message_type
from gateway.http1 import Limits, Request, RequestParser, Violation, render_request
from gateway.reasons import Reason
from tests.fuzz.oracles import same_however_cut
from tests.fuzz.peer import h11_request, spelled

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
    """The same requests and the same violation however it is cut; h11 reads the same, and each can be written and read again."""
    requests, violation = same_however_cut(data[2:], int.from_bytes(data[:2]), read)
    if violation:
        assert 400 <= violation[1] <= 505
    elif len(requests) == 1 and read([data[2:]]) == (requests, None):
        (request,) = requests
        said = h11_request(data[2:])
        assert said == (request.method, request.target, spelled(request.headers), request.body), f"h11 reads {said!r}"
    for request in requests:
        assert request.method in {"POST", "GET"}
        names = [name for name, _ in request.headers]
        assert len(set(names)) == len(names) <= LIMITS.header_count
        assert len(request.body) == int(request.header("content-length") or 0) <= LIMITS.body_bytes
        fields = [field for field in request.headers if field[0] not in {"host", "content-length", "connection"}]
        written = render_request(request.method, request.target, request.header("host") or "", fields, request.body)
        (again,), nothing = read([written])
        assert nothing is None
        assert (again.method, again.target, again.body) == (request.method, request.target, request.body)
        try:
            name = message_type(request, "a.example")
        except Violation as violation:
            assert violation.status in {404, 405, 415, 421}
        else:
            assert request.target.endswith("/messages/" + name)


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
