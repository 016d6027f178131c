"""What a vendor host may and may not answer in HTTP/1.1."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http1 import Limits, Response, ResponseParser, Violation
from gateway.reasons import Reason
from tests.unit.http1.test_request import cut_streams, one_by_one

SMALL = Limits(head_bytes=512, header_count=8, body_bytes=64)


def answer(*fields: str, body: bytes = b"{}", line: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1") + body


def chunked(body: bytes, *fields: str) -> bytes:
    return answer("Transfer-Encoding: chunked", *fields, body=body)


TWO = "Content-Length: 2"

ACCEPTED = [
    ("content with a length", answer(TWO), 200, b"{}"),
    ("no content", answer("Content-Length: 0", body=b""), 200, b""),
    ("an empty reason phrase", answer(TWO, line="HTTP/1.1 200 "), 200, b"{}"),
    ("an empty value", answer("X-A:", TWO), 200, b"{}"),
    ("an unknown status", answer(TWO, line="HTTP/1.1 299 Odd"), 299, b"{}"),
    ("204", answer(body=b"", line="HTTP/1.1 204 No Content"), 204, b""),
    ("204 with length 0", answer("Content-Length: 0", body=b"", line="HTTP/1.1 204 No Content"), 204, b""),
    ("304", answer(body=b"", line="HTTP/1.1 304 Not Modified"), 304, b""),
    ("chunks", chunked(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), 200, b"{}"),
    ("a chunk size with zeros", chunked(b"0002\r\n{}\r\n000\r\n\r\n"), 200, b"{}"),
    ("a chunk size in capitals", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), 200, b"0123456789"),
    ("Chunked in capitals", answer("Transfer-Encoding: Chunked", body=b"2\r\n{}\r\n0\r\n\r\n"), 200, b"{}"),
    ("no chunks", chunked(b"0\r\n\r\n"), 200, b""),
    ("repeated fields of no consequence", answer(TWO, "Vary: a", "Vary: b", "Keep-Alive: timeout=5"), 200, b"{}"),
    ("a failure", answer(TWO, line="HTTP/1.1 503 Service Unavailable"), 503, b"{}"),
]

REFUSED = [
    ("100", answer(body=b"", line="HTTP/1.1 100 Continue") + answer(TWO), Reason.HTTP_FRAMING),
    ("101", answer("Upgrade: websocket", body=b"", line="HTTP/1.1 101 Switching Protocols"), Reason.HTTP_FRAMING),
    ("103", answer("Link: </a>", body=b"", line="HTTP/1.1 103 Early Hints") + answer(TWO), Reason.HTTP_FRAMING),
    ("content until the end", answer(), Reason.HTTP_FRAMING),
    ("length and chunked", answer(TWO, "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("gzip, chunked", answer("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("identity", answer("Transfer-Encoding: identity"), Reason.HTTP_FRAMING),
    ("two equal lengths", answer(TWO, TWO), Reason.HTTP_FRAMING),
    ("two lengths in one", answer("Content-Length: 2, 2"), Reason.HTTP_FRAMING),
    ("a length with a plus", answer("Content-Length: +2"), Reason.HTTP_FRAMING),
    ("an empty length", answer("Content-Length:"), Reason.HTTP_FRAMING),
    ("204 with content", answer(TWO, line="HTTP/1.1 204 No Content"), Reason.HTTP_FRAMING),
    ("204 with chunks", answer("Transfer-Encoding: chunked", body=b"0\r\n\r\n", line="HTTP/1.1 204 No"), Reason.HTTP_FRAMING),
    ("more than the length", answer("Content-Length: 1"), Reason.HTTP_PIPELINING),
    ("two responses", answer(TWO) * 2, Reason.HTTP_PIPELINING),
    ("more than the chunks", chunked(b"0\r\n\r\nX"), Reason.HTTP_PIPELINING),
    ("content over the limit", answer("Content-Length: 65", body=b"x" * 65), Reason.HTTP_TOO_LARGE),
    ("a chunk over the limit", chunked(b"41\r\n" + b"x" * 65 + b"\r\n0\r\n\r\n"), Reason.HTTP_TOO_LARGE),
    ("chunks over the limit together", chunked((b"21\r\n" + b"x" * 33 + b"\r\n") * 2 + b"0\r\n\r\n"), Reason.HTTP_TOO_LARGE),
    ("a chunk extension", chunked(b"2;a=b\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("an empty chunk extension", chunked(b"2;\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a space after a chunk size", chunked(b"2 \r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a space before a chunk size", chunked(b" 2\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a chunk size with 0x", chunked(b"0x2\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a chunk size with a minus", chunked(b"-2\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a chunk size of nine digits", chunked(b"000000002\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("no chunk size", chunked(b"\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("bare LF after a chunk size", chunked(b"2\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("bare LF after a chunk", chunked(b"2\r\n{}\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a chunk longer than its size", chunked(b"1\r\n{}\r\n0\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a trailer", chunked(b"2\r\n{}\r\n0\r\nX-A: a\r\n\r\n"), Reason.HTTP_FRAMING),
    ("a Trailer field", chunked(b"2\r\n{}\r\n0\r\n\r\n", "Trailer: X-A"), Reason.HTTP_HEADER),
    ("gzip", answer(TWO, "Content-Encoding: gzip"), Reason.HTTP_HEADER),
    ("Upgrade", answer(TWO, "Upgrade: h2c"), Reason.HTTP_HEADER),
    ("two Content-Types", answer(TWO, "Content-Type: a/b", "Content-Type: a/c"), Reason.HTTP_HEADER),
    ("obs-fold", answer(TWO, "X-A: a", " b"), Reason.HTTP_HEADER),
    ("a space before the colon", answer("Content-Length : 2"), Reason.HTTP_HEADER),
    ("a NUL", answer(TWO, "X-A: \0"), Reason.HTTP_HEADER),
    ("too many fields", answer(TWO, *(f"X-{n}: a" for n in range(8))), Reason.HTTP_HEADER),
    ("HTTP/1.0", answer(TWO, line="HTTP/1.0 200 OK"), Reason.HTTP_SYNTAX),
    ("HTTP/2", answer(TWO, line="HTTP/2 200"), Reason.HTTP_SYNTAX),
    ("two digits", answer(TWO, line="HTTP/1.1 20 OK"), Reason.HTTP_SYNTAX),
    ("600", answer(TWO, line="HTTP/1.1 600 No"), Reason.HTTP_SYNTAX),
    ("a space too many", answer(TWO, line="HTTP/1.1  200 OK"), Reason.HTTP_SYNTAX),
    ("no head", b"{}\r\n", Reason.HTTP_SYNTAX),
    ("bare LFs", answer(TWO).replace(b"\r\n", b"\n"), Reason.HTTP_SYNTAX),
    ("a CRLF before the response", b"\r\n" + answer(TWO), Reason.HTTP_SYNTAX),
    ("a head over the limit", answer(TWO, "X-A: " + "a" * 600), Reason.HTTP_TOO_LARGE),
]  # fmt: skip


def talk(pieces: list[bytes], limits: Limits = SMALL) -> Response | tuple[Reason, str] | None:
    parser, got = ResponseParser(limits), None
    parser.expect("POST")
    try:
        for piece in pieces:
            got = parser.feed(piece) or got
    except Violation as violation:
        return violation.reason, violation.detail
    return got


@pytest.mark.parametrize(("data", "status", "body"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_accepted(data: bytes, status: int, body: bytes) -> None:
    whole = talk([data])
    assert isinstance(whole, Response), whole
    assert (whole.status, whole.body, whole.close) == (status, body, False)
    assert talk(one_by_one(data)) == whole


@pytest.mark.parametrize(("data", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(data: bytes, reason: Reason) -> None:
    whole = talk([data])
    assert isinstance(whole, tuple), f"went through as {whole}"
    assert whole[0] is reason
    assert talk(one_by_one(data)) == whole


def test_responses_follow_each_other_as_expected() -> None:
    parser = ResponseParser(SMALL)
    for number in range(5):
        parser.expect("POST")
        assert parser.feed(answer(TWO)[:10]) is None
        assert parser.started
        response = parser.feed(answer(TWO)[10:-2] + b"%02d" % number)
        assert response is not None
        assert response.body == b"%02d" % number
        parser.eof()


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    parser = ResponseParser(SMALL)
    with pytest.raises(Violation):
        parser.feed(b"H")
    parser.expect("GET")
    with pytest.raises(Violation):
        parser.feed(answer(TWO))


@pytest.mark.parametrize("sent", [0, 5, 20, len(answer(TWO)) - 1])
def test_an_end_before_the_response_is_a_violation(sent: int) -> None:
    parser = ResponseParser(SMALL)
    parser.expect("POST")
    parser.feed(answer(TWO)[:sent])
    with pytest.raises(Violation):
        parser.eof()


def test_close_and_fields_are_told() -> None:
    response = talk([answer(TWO, "Connection: close", "Retry-After: 7")])
    assert isinstance(response, Response)
    assert response.close
    assert response.header("retry-after") == "7"


def test_one_response_is_expected_at_a_time() -> None:
    parser = ResponseParser(SMALL)
    parser.expect("POST")
    with pytest.raises(RuntimeError):
        parser.expect("POST")


PARTS = st.sampled_from(
    [
        answer(TWO),
        b"HTTP/1.1 200 OK\r\n",
        b"Content-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"2\r\n{}\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        *(b"{}", b"\n", b"\r", b"0", b" ", b"\0", b"2", b";a"),
    ]
)
STREAMS = st.lists(PARTS | st.binary(max_size=12), max_size=8).map(b"".join)
CHUNKED = st.lists(PARTS, max_size=8).map(lambda parts: chunked(b"".join(parts)))


@settings(max_examples=2000, deadline=None)
@given(cut_streams(STREAMS | CHUNKED))
def test_the_verdict_depends_on_the_bytes_alone(stream: tuple[bytes, list[bytes]]) -> None:
    data, pieces = stream
    whole = talk([data])
    assert talk(pieces) == whole
    assert talk(one_by_one(data)) == whole


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=3))
def test_chunks_come_together_again(parts: list[bytes]) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    response = talk([chunked(body)])
    assert isinstance(response, Response)
    assert response.body == b"".join(parts)
