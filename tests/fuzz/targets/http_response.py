"""A vendor host's side of a connection: the first two bytes choose where the rest is cut."""

from __future__ import annotations

from gateway.http1 import Limits, Response, ResponseParser, Violation
from gateway.reasons import Reason
from tests.fuzz.oracles import same_however_cut
from tests.fuzz.peer import h11_response, spelled

LIMITS = Limits(head_bytes=512, header_count=8, body_bytes=256)
WORDS = (
    "HTTP/1.1 200 OK\r\n", "HTTP/1.1 204 \r\n", "HTTP/1.1 100 Continue\r\n", "\r\n\r\n", "Content-Length: 2\r\n",
    "Transfer-Encoding: chunked\r\n", "Content-Type: application/clear-envelope+json\r\n", "Connection: close\r\n",
    "0\r\n\r\n", "2\r\n{}\r\n",
    "ffffffff\r\n", ";x=y\r\n", "HTTP/1.0", "\n", "\r", "\x00", " :", "\r\n ",
)  # fmt: skip
Result = tuple[Response | None, tuple[Reason, int] | None]


def check(data: bytes) -> None:
    """The same response and the same violation however it is cut, within the limits; h11 reads the same."""
    response, violation = same_however_cut(data[2:], int.from_bytes(data[:2]), read)
    if violation:
        assert violation[1] == 502, "the fault is the vendor's"
    if response:
        said = h11_response(data[2:])
        assert said == (response.status, spelled(response.headers), response.body), f"h11 reads {said!r}"
        assert 200 <= response.status <= 599
        assert len(response.body) <= LIMITS.body_bytes
        length = response.header("content-length")
        assert length is None or int(length) == len(response.body)


def read(pieces: list[bytes]) -> Result:
    """The response and the violation; bytes that nobody asked for take the response along, as in one piece."""
    parser, response = ResponseParser(LIMITS), None
    parser.expect("POST")
    try:
        for piece in pieces:
            response = parser.feed(piece) or response
    except Violation as violation:
        assert violation.detail
        return None, (violation.reason, violation.status)
    return response, None
