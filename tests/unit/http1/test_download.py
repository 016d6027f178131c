"""One response read in pieces: the head judged whole, the content counted, nothing beyond it."""

from __future__ import annotations

import pytest

from gateway.http1 import Limits, Violation
from gateway.http1.download import Download, WrongSize

LIMITS = Limits(head_bytes=256, header_count=4)
CONTENT = bytes(range(200))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 7, 39, 40, 1000])
def test_the_content_comes_however_it_is_cut(piece: int) -> None:
    download, stream, got = Download(LIMITS, 200), HEAD + CONTENT, b""
    for at in range(0, len(stream), piece):
        assert not download.whole
        got += download.feed(stream[at : at + piece])
    assert (got, download.whole, download.status, download.missing) == (CONTENT, True, 200, 0)


@pytest.mark.parametrize(
    "stream",
    [
        HEAD + CONTENT + b"x",
        b"HTTP/1.1 200 OK\r\nContent-Length: 201\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 199\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_another_size_is_told_as_such(stream: bytes) -> None:
    with pytest.raises(WrongSize):
        Download(LIMITS, 200).feed(stream)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\nContent-Length: 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 200\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 200\n\n",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5 + b"Content-Length: 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 300,
    ],
)
def test_a_head_that_breaks_a_rule(head: bytes) -> None:
    for piece in (1, len(head)):
        download = Download(LIMITS, 200)
        with pytest.raises(Violation) as caught:
            for at in range(0, len(head), piece):
                assert download.feed(head[at : at + piece]) == b""
        assert not isinstance(caught.value, WrongSize)
        assert caught.value.status == 502


@pytest.mark.parametrize("status", [204, 301, 404, 500])
def test_of_another_status_nothing_is_read(status: int) -> None:
    download = Download(LIMITS, 200)
    assert download.feed(f"HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nhi".encode()) == b""
    assert download.feed(b"more") == b""
    assert (download.status, download.whole) == (status, False)
