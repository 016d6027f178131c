"""What h11 never gets to see: requests that two parsers could read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.framing import HEAD_BYTES, MOST_AT_ONCE, MOST_BODY, Gate, Violation

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: x\r\n"
GOOD = (
    GET, GET + GET, b"HEAD /a?b=c%20d HTTP/1.1\r\nHost: x\r\nAccept: a\r\nAccept: b\r\n\r\n",
    POST + b"Content-Length: 3\r\n\r\na=b" + GET, POST + b"Content-Length: 0\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n",
    b'GET / HTTP/1.1\r\nHost: x\r\nSec-CH-UA: "Chromium";v="150"\r\nConnection: keep-alive\r\n\r\n',
)  # fmt: skip
WRONG = (
    POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n",
    POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", POST + b"Content-Length: 1, 1\r\n\r\n",
    POST + b"Content-Length: -1\r\n\r\n", POST + b"Content-Length: 0x1\r\n\r\n", POST + b"Content-Length: \r\n\r\n",
    POST + b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1), POST + b"Content-Length : 1\r\n\r\n",
    GET.replace(b"\r\n", b"\n"), b"\r\n" + GET, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
    b"GET / HTTP/2.0\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n",
    b"GET /\r\n\r\n", b"GET / HTTP/1.1 \r\n\r\n", b"G\xc3\x89T / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: " + b"b" * HEAD_BYTES + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * HEAD_BYTES + b"\r\n",
    b"GET / HTTP/1.1\r\nCookie: \xc3\xa9\r\n\r\n", b"GET / HTTP/1.1\r\nCookie: a\r\nCookie: b\r\n\r\n",
    GET * (MOST_AT_ONCE + 1), b"\x16\x03\x01\x02\x00\n",
)  # fmt: skip


@pytest.mark.parametrize("said", GOOD, ids=repr)
def test_what_browsers_send_passes_however_it_is_cut(said: bytes) -> None:
    Gate().feed(said)
    gate = Gate()
    for byte in said:
        gate.feed(bytes([byte]))


@pytest.mark.parametrize("said", WRONG, ids=lambda said: repr(said[:60]))
def test_what_could_be_read_in_two_ways_does_not(said: bytes) -> None:
    with pytest.raises(Violation):
        Gate().feed(said)


@given(st.lists(st.binary(min_size=1, max_size=40)), st.sampled_from(GOOD))
def test_no_bytes_make_it_fail_otherwise(pieces: list[bytes], start: bytes) -> None:
    gate = Gate()
    gate.feed(start)
    try:
        for piece in pieces:
            gate.feed(piece)
    except Violation as violation:
        assert 400 <= violation.status < 600
