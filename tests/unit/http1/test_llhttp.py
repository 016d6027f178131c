"""The second reading: where llhttp and the gate differ, nothing passes."""

from __future__ import annotations

import httptools
import pytest

from gateway.http1.llhttp import Reading
from gateway.http1.violation import Violation
from gateway.reasons import Reason

HEAD = b"POST /a HTTP/1.1\r\nHost: a.example\r\nX-Empty:\r\nContent-Length: 2\r\n\r\n"


def read(*pieces: bytes) -> Reading:
    reading = Reading(httptools.HttpRequestParser, 400)
    for piece in pieces:
        reading.feed(piece)
    return reading


def test_what_it_read() -> None:
    reading = read(HEAD, b"{}")
    assert (reading.method, reading.url, reading.content(2)) == ("POST", b"/a", b"{}")
    assert reading.fields == [("host", "a.example"), ("x-empty", ""), ("content-length", "2")]


@pytest.mark.parametrize(("pieces", "size"), [((HEAD, b"{}"), 1), ((HEAD, b"{"), 1), ((HEAD,), 0), ((HEAD, b"{", b"}"), 3)])
def test_a_different_count_is_a_violation(pieces: tuple[bytes, ...], size: int) -> None:
    with pytest.raises(Violation) as caught:
        read(*pieces).content(size)
    assert caught.value.reason is Reason.HTTP_FRAMING


@pytest.mark.parametrize(
    "data", [b"POST /a HTTP/1.1\r\nA\0: b\r\n", b"\x16\x03\x01", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"]
)
def test_what_llhttp_does_not_take_is_a_violation(data: bytes) -> None:
    with pytest.raises(Violation) as caught:
        read(data)
    assert caught.value.reason is Reason.HTTP_SYNTAX
