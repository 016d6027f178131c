"""What a device may and may not say in HTTP/1.1."""

from __future__ import annotations

import gc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.http1 import Limits, Request, RequestParser, Violation
from gateway.reasons import Reason

TARGET = "/.well-known/clear-envelope/v1/messages/power-reading"
SMALL = Limits(head_bytes=512, header_count=8, body_bytes=64)


def post(*fields: str, body: bytes = b"{}", length: str | None = None, line: str = f"POST {TARGET} HTTP/1.1") -> bytes:
    """A request with Host and Content-Length, and what a row adds."""
    lines = [line, "Host: api.acme.example", *fields, f"Content-Length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def bare(*lines: str, body: bytes = b"") -> bytes:
    """A request with nothing added."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


POST = f"POST {TARGET} HTTP/1.1"
HOST = "Host: api.acme.example"
CHUNKED = "Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
H2C = "Connection: Upgrade, HTTP2-Settings"

ACCEPTED = [
    ("a message", post(), b"{}"),
    ("what curl sends", post("User-Agent: curl/8.14.1", "Accept: */*", "Content-Type: application/clear-envelope+json"), b"{}"),
    ("an empty value", post("X-Empty:", "X-Next: a"), b"{}"),
    ("a value of spaces", post("X-Empty: \t ", "X-Next: a"), b"{}"),
    ("a tab inside a value", post("X-Tab: a\tb"), b"{}"),
    ("no space after the colon", bare(POST, "Host:api.acme.example", "Content-Length:2", body=b"{}"), b"{}"),
    ("an empty body", post(body=b""), b""),
    ("zeros before the length", post(length="0002"), b"{}"),
    ("a body that looks like a request", post(body=b"GET / HTTP/1.1\r\n\r\n"), b"GET / HTTP/1.1\r\n\r\n"),
    ("a body of NULs", post(body=b"\0\0"), b"\0\0"),
    ("a GET", bare(f"GET {TARGET} HTTP/1.1", HOST), b""),
    ("a GET with length 0", bare(f"GET {TARGET} HTTP/1.1", HOST, "Content-Length: 0"), b""),
    ("a Host with a port", bare(POST, "Host: api.acme.example:443", "Content-Length: 2", body=b"{}"), b"{}"),
    ("Connection: close", post("Connection: close"), b"{}"),
    ("Connection: Keep-Alive", post("Connection: Keep-Alive"), b"{}"),
]

REFUSED = [
    # framing
    ("Content-Length and chunked (CL.TE)", post("Transfer-Encoding: chunked", body=b"0\r\n\r\n"), Reason.HTTP_FRAMING, 501),
    ("chunked and Content-Length (TE.CL)", bare(POST, HOST, CHUNKED, "Content-Length: 4", body=LAST), Reason.HTTP_FRAMING, 501),
    ("chunked alone", bare(POST, HOST, "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), Reason.HTTP_FRAMING, 501),
    ("Transfer-Encoding: identity", post("Transfer-Encoding: identity"), Reason.HTTP_FRAMING, 501),
    ("Transfer-Encoding: xchunked", post("Transfer-Encoding: xchunked"), Reason.HTTP_FRAMING, 501),
    ("an empty Transfer-Encoding", post("Transfer-Encoding:"), Reason.HTTP_FRAMING, 501),
    ("two Transfer-Encodings", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), Reason.HTTP_FRAMING, 400),
    ("two equal lengths", post("Content-Length: 2"), Reason.HTTP_FRAMING, 400),
    ("two lengths", post("Content-Length: 3"), Reason.HTTP_FRAMING, 400),
    ("two lengths in one", post(length="2, 2"), Reason.HTTP_FRAMING, 400),
    ("a length with a plus", post(length="+2"), Reason.HTTP_FRAMING, 400),
    ("a length with a minus", post(length="-2"), Reason.HTTP_FRAMING, 400),
    ("a length in hexadecimal", post(length="0x2"), Reason.HTTP_FRAMING, 400),
    ("a length with an underscore", post(length="0_2"), Reason.HTTP_FRAMING, 400),
    ("a length with a fraction", post(length="2.0"), Reason.HTTP_FRAMING, 400),
    ("a length with a space inside", post(length="2 0"), Reason.HTTP_FRAMING, 400),
    ("an empty length", post(length=""), Reason.HTTP_FRAMING, 400),
    ("a length of twenty digits", post(length="18446744073709551618"), Reason.HTTP_FRAMING, 400),
    ("no length", bare(POST, HOST, body=b"{}"), Reason.HTTP_FRAMING, 411),
    ("a GET with content", bare(f"GET {TARGET} HTTP/1.1", HOST, "Content-Length: 2", body=b"{}"), Reason.HTTP_FRAMING, 400),
    ("more than the length", post(body=b"{}{", length="2"), Reason.HTTP_PIPELINING, 400),
    ("a CRLF after the body", post() + b"\r\n", Reason.HTTP_PIPELINING, 400),
    ("a second request", post() + post(), Reason.HTTP_PIPELINING, 400),
    ("a body over the limit", post(body=b"x" * 65), Reason.HTTP_TOO_LARGE, 413),
    ("a length over the limit", post(length="99999999"), Reason.HTTP_TOO_LARGE, 413),
    # the start line
    ("HTTP/1.0", post(line=f"POST {TARGET} HTTP/1.0"), Reason.HTTP_SYNTAX, 505),
    ("HTTP/2.0", post(line=f"POST {TARGET} HTTP/2.0"), Reason.HTTP_SYNTAX, 505),
    ("HTTP/1.2", post(line=f"POST {TARGET} HTTP/1.2"), Reason.HTTP_SYNTAX, 505),
    ("HTTP/1.1 in lower case", post(line=f"POST {TARGET} http/1.1"), Reason.HTTP_SYNTAX, 400),
    ("HTTP/01.1", post(line=f"POST {TARGET} HTTP/01.1"), Reason.HTTP_SYNTAX, 400),
    ("HTTP/1.1 and a space", post(line=f"POST {TARGET} HTTP/1.1 "), Reason.HTTP_SYNTAX, 400),
    ("HTTP/0.9", b"GET /\r\n", Reason.HTTP_SYNTAX, 400),
    ("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason.HTTP_METHOD, 405),
    ("RTSP", post(line=f"POST {TARGET} RTSP/1.0"), Reason.HTTP_SYNTAX, 400),
    ("two spaces", post(line=f"POST  {TARGET} HTTP/1.1"), Reason.HTTP_SYNTAX, 400),
    ("tabs for spaces", post(line=f"POST\t{TARGET}\tHTTP/1.1"), Reason.HTTP_SYNTAX, 400),
    ("a space before the method", post(line=f" POST {TARGET} HTTP/1.1"), Reason.HTTP_SYNTAX, 400),
    ("a CRLF before the request", b"\r\n" + post(), Reason.HTTP_SYNTAX, 400),
    ("an LF before the request", b"\n" + post(), Reason.HTTP_SYNTAX, 400),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", Reason.HTTP_SYNTAX, 400),
    ("a method in lower case", post(line=f"post {TARGET} HTTP/1.1"), Reason.HTTP_METHOD, 405),
    *((f"the method {method}", post(line=f"{method} {TARGET} HTTP/1.1"), Reason.HTTP_METHOD, 405) for method in
      ("PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "M-SEARCH", "POSTS", "SOURCE")),
    ("CONNECT", bare("CONNECT tracker.example:443 HTTP/1.1", "Host: tracker.example:443"), Reason.HTTP_METHOD, 405),
    ("absolute-form", post(line="POST https://tracker.example/ HTTP/1.1"), Reason.HTTP_TARGET, 400),
    ("authority-form", post(line="POST tracker.example:443 HTTP/1.1"), Reason.HTTP_TARGET, 400),
    ("asterisk-form", post(line="POST * HTTP/1.1"), Reason.HTTP_TARGET, 400),
    ("a fragment", post(line="POST /a#b HTTP/1.1"), Reason.HTTP_TARGET, 400),
    ("a backslash", post(line="POST /a\\b HTTP/1.1"), Reason.HTTP_TARGET, 400),
    ("a target outside ASCII", post(line="POST /\xe9 HTTP/1.1"), Reason.HTTP_TARGET, 400),
    ("a NUL in the target", post(line="POST /\0 HTTP/1.1"), Reason.HTTP_TARGET, 400),
    # lines
    ("bare LF after the start line", post().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"), Reason.HTTP_SYNTAX, 400),
    ("bare LF after a field", post().replace(b"example\r\n", b"example\n"), Reason.HTTP_SYNTAX, 400),
    ("bare LFs at the end", post().replace(b"\r\n\r\n", b"\n\n"), Reason.HTTP_SYNTAX, 400),
    ("an LF for the empty line", post().replace(b"\r\n\r\n", b"\r\n\n"), Reason.HTTP_SYNTAX, 400),
    ("bare CR in a value", post("X-A: a\rContent-Length: 9"), Reason.HTTP_HEADER, 400),
    ("two CRs before an LF", post("X-A: a\r"), Reason.HTTP_HEADER, 400),
    ("a NUL in a value", post("X-A: a\0b"), Reason.HTTP_HEADER, 400),
    ("a NUL in a name", post("X-\0A: b"), Reason.HTTP_HEADER, 400),
    ("a DEL in a value", post("X-A: \x7f"), Reason.HTTP_HEADER, 400),
    ("a vertical tab in a value", post("X-A: a\x0bb"), Reason.HTTP_HEADER, 400),
    ("a value outside ASCII", post("X-A: \xe9"), Reason.HTTP_HEADER, 400),
    ("obs-fold with a space", post("X-A: a", " b"), Reason.HTTP_HEADER, 400),
    ("obs-fold with a tab", post("X-A: a", "\tb"), Reason.HTTP_HEADER, 400),
    ("obs-fold of the length", bare(POST, HOST, "Content-Length:", " 2", body=b"{}"), Reason.HTTP_HEADER, 400),
    ("a folded first field", bare(POST, " Host: api.acme.example", "Content-Length: 2", body=b"{}"), Reason.HTTP_HEADER, 400),
    ("a space before the colon", post("X-A : a"), Reason.HTTP_HEADER, 400),
    ("a tab before the colon", post("Transfer-Encoding\t: chunked"), Reason.HTTP_HEADER, 400),
    ("a space in a name", post("X A: a"), Reason.HTTP_HEADER, 400),
    ("an empty name", post(": a"), Reason.HTTP_HEADER, 400),
    ("a line without a colon", post("X-A"), Reason.HTTP_HEADER, 400),
    ("a name outside ASCII", post("X-\xe9: a"), Reason.HTTP_HEADER, 400),
    ("a name in brackets", post("(X): a"), Reason.HTTP_HEADER, 400),
    # fields
    ("no Host", bare(POST, "Content-Length: 2", body=b"{}"), Reason.HTTP_HOST, 400),
    ("two Hosts", post("Host: api.acme.example"), Reason.HTTP_HOST, 400),
    ("an empty Host", bare(POST, "Host:", "Content-Length: 2", body=b"{}"), Reason.HTTP_HOST, 400),
    ("a Host with a user", bare(POST, "Host: a@api.acme.example", "Content-Length: 2", body=b"{}"), Reason.HTTP_HOST, 400),
    ("a Host with a path", bare(POST, "Host: api.acme.example/x", "Content-Length: 2", body=b"{}"), Reason.HTTP_HOST, 400),
    ("two Hosts in one", bare(POST, "Host: a.example, b.example", "Content-Length: 2", body=b"{}"), Reason.HTTP_HOST, 400),
    ("an IPv6 Host", bare(POST, "Host: [::1]", "Content-Length: 2", body=b"{}"), Reason.HTTP_HOST, 400),
    ("Upgrade", post("Connection: Upgrade", "Upgrade: websocket"), Reason.HTTP_HEADER, 400),
    ("Upgrade to HTTP/2", post(H2C, "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), Reason.HTTP_HEADER, 400),
    ("Connection that names a field", post("Connection: close, X-A", "X-A: a"), Reason.HTTP_HEADER, 400),
    ("Connection that names Host", post("Connection: Host"), Reason.HTTP_HEADER, 400),
    ("an empty Connection", post("Connection:"), Reason.HTTP_HEADER, 400),
    ("Expect", post("Expect: 100-continue"), Reason.HTTP_HEADER, 400),
    ("TE", post("TE: trailers"), Reason.HTTP_HEADER, 400),
    ("Trailer", post("Trailer: X-A"), Reason.HTTP_HEADER, 400),
    ("gzip", post("Content-Encoding: gzip"), Reason.HTTP_HEADER, 400),
    ("identity", post("content-encoding: identity"), Reason.HTTP_HEADER, 400),
    ("two Content-Types", post("Content-Type: text/plain", "content-type: application/json"), Reason.HTTP_HEADER, 400),
    ("a field twice", post("X-A: a", "x-a: b"), Reason.HTTP_HEADER, 400),
    ("too many fields", post(*(f"X-{n}: a" for n in range(7))), Reason.HTTP_HEADER, 431),
    ("a head over the limit", post("X-A: " + "a" * 600), Reason.HTTP_TOO_LARGE, 431),
    ("a start line over the limit", post(line=f"POST /{'a' * 600} HTTP/1.1"), Reason.HTTP_TOO_LARGE, 431),
    ("a line that never ends", b"POST /" + b"a" * 600, Reason.HTTP_TOO_LARGE, 431),
]  # fmt: skip


def talk(pieces: list[bytes], limits: Limits = SMALL) -> Request | tuple[Reason, int, str] | None:
    """What a connection's bytes come to, in pieces; nobody answers."""
    parser, got = RequestParser(limits), None
    try:
        for piece in pieces:
            got = parser.feed(piece) or got
    except Violation as violation:
        return violation.reason, violation.status, violation.detail
    return got


def one_by_one(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


@pytest.mark.parametrize(("data", "body"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_accepted(data: bytes, body: bytes) -> None:
    whole = talk([data])
    assert isinstance(whole, Request)
    assert whole.body == body
    assert whole.target == TARGET
    assert talk(one_by_one(data)) == whole


@pytest.mark.parametrize(("data", "reason", "status"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(data: bytes, reason: Reason, status: int) -> None:
    whole = talk([data])
    assert isinstance(whole, tuple), f"went through as {whole}"
    assert whole[:2] == (reason, status)
    assert talk(one_by_one(data)) == whole


def test_values_are_as_sent_without_the_space_around_them() -> None:
    request = talk([post("X-A: \t a b\t ", "X-Empty:", "Connection: Close")])
    assert isinstance(request, Request)
    assert request.header("x-a") == "a b"
    assert request.header("x-empty") == ""
    assert request.header("x-none") is None
    assert request.close
    assert [name for name, _ in request.headers] == ["host", "x-a", "x-empty", "connection", "content-length"]


def test_requests_follow_each_other_once_answered() -> None:
    parser = RequestParser(SMALL)
    for number in range(5):
        assert not parser.started
        assert parser.feed(post()[:20]) is None
        assert parser.started
        request = parser.feed(post()[20:-2] + b"%02d" % number)
        assert request is not None
        assert request.body == b"%02d" % number
        parser.answered()


def test_a_byte_before_the_answer_ends_the_connection() -> None:
    parser = RequestParser(SMALL)
    assert parser.feed(post())
    with pytest.raises(Violation) as caught:
        parser.feed(b"P")
    assert caught.value.reason is Reason.HTTP_PIPELINING
    with pytest.raises(Violation):
        parser.feed(post())


def test_nothing_is_read_after_a_violation() -> None:
    parser = RequestParser(SMALL)
    for _ in range(2):
        with pytest.raises(Violation) as caught:
            parser.feed(b"NOPE / HTTP/1.1\r\n")
        assert caught.value.reason is Reason.HTTP_METHOD


def test_no_verdict_leaves_garbage_behind() -> None:
    gc.collect()
    gc.disable()
    try:
        for data in (post(), post() + b"x", post("X-A: \0"), post(length="+2")):
            for _ in range(10):
                talk([data, b"x"])
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_answering_nothing_is_our_own_mistake() -> None:
    with pytest.raises(RuntimeError):
        RequestParser(SMALL).answered()


def test_a_head_of_exactly_the_limit_passes_and_one_more_does_not() -> None:
    for extra, passes in ((0, True), (1, False)):
        pad = SMALL.head_bytes - len(post("X-A: ")) + 2 + extra
        outcome = talk([post("X-A: " + "a" * pad)])
        assert isinstance(outcome, Request) is passes


PIECES = st.sampled_from(
    [post(), POST.encode(), HOST.encode(), b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b":", b"Content-Length: 2", b"\0", b"\t"]
    + [b"Transfer-Encoding: chunked", b"X-A: a", b"{}", b"GET / HTTP/1.1", b"0", b"5\r\nhello\r\n"]
    + [row[1] for row in REFUSED]
)
STREAMS = st.lists(PIECES | st.binary(max_size=20), max_size=8).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn, streams: st.SearchStrategy[bytes] = STREAMS) -> tuple[bytes, list[bytes]]:
    data = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return data, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@settings(max_examples=1500, deadline=None)
@given(cut_streams())
@example((post() + b"X", [post(), b"X"]))
def test_the_verdict_depends_on_the_bytes_alone(stream: tuple[bytes, list[bytes]]) -> None:
    data, pieces = stream
    whole = talk([data])
    assert talk(pieces) == whole
    assert talk(one_by_one(data)) == whole


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from([row[1] for row in ACCEPTED]), st.data())
def test_a_mangled_request_is_a_request_or_a_violation(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    mangled = data[:at] + draw.draw(st.binary(max_size=3)) + data[at + draw.draw(st.integers(0, 2)) :]
    outcome = talk([mangled])
    assert talk(one_by_one(mangled)) == outcome
    if isinstance(outcome, Request):
        # nothing of the head survives but what the grammar knows
        assert outcome.method in {"POST", "GET"}
        assert all(value.isascii() and value.replace("\t", " ").isprintable() for _, value in outcome.headers)
        assert outcome.header("transfer-encoding") is None
