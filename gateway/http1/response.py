"""Answers from a vendor host. It must never take a response that was not asked for, nor guess where one ends."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from gateway.http1 import grammar
from gateway.http1.head import HeadReader
from gateway.http1.llhttp import Reading
from gateway.http1.parser import Parser
from gateway.http1.violation import Limits, Violation
from gateway.reasons import Reason

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_MAX_CHUNK_LINE = 10  # eight digits, CR and LF
_MAX_CHUNKS = 4096  # more would be framing for framing's sake
_BAD = 502


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response. ``headers``: names in lower case, in order of arrival; ``close``: no other request may follow."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    close: bool

    def header(self, name: str) -> str | None:
        """The value of a field (``name`` in lower case); None where it is absent."""
        return next((value for field, value in self.headers if field == name), None)


class _Chunks:
    """Where a chunked body ends (RFC 9112 section 7.1), without extensions and trailers. Offsets count from the body's start."""

    def __init__(self, most: int) -> None:
        self.size = 0  # of the content
        self._most = most
        self._at = 0
        self._count = 0

    def end(self, buffer: bytearray, start: int) -> int:
        """The length of the whole framed body, 0 if it is not complete. Raises Violation."""
        while True:
            line = start + self._at
            end = buffer.find(b"\n", line, line + _MAX_CHUNK_LINE)
            if end < 0:
                if len(buffer) - line >= _MAX_CHUNK_LINE:
                    raise _bad_chunk()
                return 0
            digits = bytes(buffer[line : end - 1])
            if buffer[end - 1 : end] != b"\r" or not _CHUNK_SIZE.fullmatch(digits):
                raise _bad_chunk()
            size = int(digits, 16)
            if self.size + size > self._most:
                raise grammar.too_large(self._most, answer=True)
            after = end + 1 + size
            tail = bytes(buffer[after : after + 2])
            if not b"\r\n".startswith(tail):
                raise _bad_chunk()
            if len(tail) < 2:
                return 0
            self._count += 1
            if self._count > _MAX_CHUNKS:
                raise Violation(Reason.HTTP_FRAMING, _BAD, f"at most {_MAX_CHUNKS} chunks; send larger ones")
            self.size += size
            self._at = after + 2 - start
            if not size:
                return self._at


class ResponseParser(Parser[Response]):
    """One connection's responses, one for each ``expect()``. The verdict on a stream does not depend on how it was cut."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, HeadReader(grammar.RESPONSE_HEAD, grammar.check_status_line, limits.head_bytes, _BAD, _BAD))
        self._expected = False

    def _reset(self) -> None:
        super()._reset()
        self._chunks: _Chunks | None = None

    def expect(self, method: str) -> None:
        """A request with ``method`` ("POST" or "GET") was sent; its response may come now. Raises RuntimeError."""
        if self._expected or method not in {"POST", "GET"}:
            raise RuntimeError("one response is expected at a time, to POST or GET")
        self._expected = True

    def eof(self) -> None:
        """The peer closed. Raises Violation if a response was due."""
        if self._over:
            raise Violation(*self._over)
        if self._expected:
            self._over = (Reason.HTTP_FRAMING, _BAD, "the connection ended before the response did")
            raise Violation(*self._over)

    def _feed(self, data: bytes) -> Response | None:
        if not self._expected:
            raise _unasked()
        buffer = self._buffer
        buffer += data
        reading = self._reading
        if reading is None:
            self._head_size = self._head.find(buffer)
            if not self._head_size:
                return None
            reading = self._reading = self._begin(bytes(buffer[: self._head_size]))
        if self._chunks:
            framed = self._chunks.end(buffer, self._head_size)
            if not framed:
                return None
            size = self._chunks.size
        else:
            framed = size = self._body_size
        missing = self._head_size + framed - len(buffer)
        if missing > 0:
            return None
        if missing < 0:
            raise _unasked()
        return self._finish(reading, framed, size)

    def _begin(self, head: bytes) -> Reading:
        """Judge a whole head. Raises Violation."""
        fields = grammar.split_fields(head)
        by_name = grammar.check_fields(fields, self.limits.header_count, answer=True)
        value = by_name.get("content-length")
        coding = by_name.get("transfer-encoding")
        if value is not None and coding is not None:
            raise Violation(Reason.HTTP_FRAMING, _BAD, "Content-Length beside Transfer-Encoding; send one of them")
        if coding is not None and coding.lower() != "chunked":
            raise Violation(Reason.HTTP_FRAMING, _BAD, "the only transfer coding taken is chunked")
        if head[9:12] in {b"204", b"304"}:
            if coding is not None or value not in {None, "0"}:
                raise Violation(Reason.HTTP_FRAMING, _BAD, "204 and 304 have no content (RFC 9110 section 6.4.1); leave it out")
        elif value is None and coding is None:
            raise Violation(Reason.HTTP_FRAMING, _BAD, "content that ends with the connection is not taken; send Content-Length")
        self._chunks = _Chunks(self.limits.body_bytes) if coding is not None else None
        self._body_size = grammar.length("0" if value is None else value, self.limits.body_bytes, answer=True)
        reading = Reading(httptools.HttpResponseParser, _BAD)
        reading.feed(head)
        bodiless = not self._body_size and self._chunks is None
        reading.agree(reading.headed and reading.fields == fields and reading.complete == bodiless)
        return reading

    def _finish(self, reading: Reading, framed: int, size: int) -> Response:
        if framed:
            reading.feed(bytes(self._buffer[self._head_size :]))
        content = reading.content(size)
        fields = tuple(reading.fields)
        close = any(name == "connection" and value.lower() == "close" for name, value in fields)
        response = Response(reading.status_code, fields, content, close)
        reading.release()
        self._reset()
        self._expected = False
        return response


def _bad_chunk() -> Violation:
    return Violation(
        Reason.HTTP_FRAMING, _BAD, "a chunk is its size in up to 8 hexadecimal digits, CR LF, the content, CR LF; send that"
    )


def _unasked() -> Violation:
    return Violation(Reason.HTTP_PIPELINING, _BAD, "bytes that no request asked for; send one response to each request")
