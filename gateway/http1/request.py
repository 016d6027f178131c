"""Requests from a device. It must never hand up a request before every byte of it was judged, nor hold two at once."""

from __future__ import annotations

from dataclasses import dataclass

import httptools

from gateway.http1 import grammar
from gateway.http1.head import HeadReader
from gateway.http1.llhttp import Reading
from gateway.http1.parser import Parser
from gateway.http1.violation import Limits, Violation
from gateway.reasons import Reason


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. ``headers``: names in lower case, in order of arrival; ``close``: the peer wants no other request."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    close: bool

    def header(self, name: str) -> str | None:
        """The value of a field (``name`` in lower case); None where it is absent."""
        return next((value for field, value in self.headers if field == name), None)


class RequestParser(Parser[Request]):
    """One connection's requests, one at a time: after a Request, ``answered()`` lets the next one come.

    The verdict on a stream of bytes does not depend on how it was cut, with one exception that cannot be otherwise: bytes
    after a whole request are a violation, and if they come in the same piece, that request is not handed up.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, HeadReader(grammar.REQUEST_HEAD, grammar.check_request_line, limits.head_bytes, 400, 431))
        self._waiting = False  # a request was handed up and is not answered

    def answered(self) -> None:
        """The request was answered; the next may come. Raises RuntimeError where there was none (our own fault)."""
        if not self._waiting:
            raise RuntimeError("no request was waiting for an answer")
        self._waiting = False

    def _feed(self, data: bytes) -> Request | None:
        if self._waiting:
            raise _early()
        buffer = self._buffer
        buffer += data
        reading = self._reading
        if reading is None:
            self._head_size = self._head.find(buffer)
            if not self._head_size:
                return None
            reading = self._reading = self._begin(bytes(buffer[: self._head_size]))
        missing = self._head_size + self._body_size - len(buffer)
        if missing > 0:
            return None
        if missing < 0:
            raise _early()
        return self._finish(reading)

    def _begin(self, head: bytes) -> Reading:
        """Judge a whole head. Raises Violation."""
        fields = grammar.split_fields(head)
        by_name = grammar.check_fields(fields, self.limits.header_count, answer=False)
        grammar.check_host(by_name.get("host"))
        if "transfer-encoding" in by_name:
            raise Violation(Reason.HTTP_FRAMING, 501, "transfer codings are not taken; send Content-Length instead")
        value = by_name.get("content-length")
        if head.startswith(b"GET "):
            if value not in {None, "0"}:
                raise Violation(Reason.HTTP_FRAMING, 400, "a GET has no content; leave it out")
        elif value is None:
            raise Violation(Reason.HTTP_FRAMING, 411, "a POST has a Content-Length; send it")
        self._body_size = grammar.length("0" if value is None else value, self.limits.body_bytes, answer=False)
        reading = Reading(httptools.HttpRequestParser, 400)
        reading.feed(head)
        reading.agree(reading.headed and reading.fields == fields and reading.complete == (not self._body_size))
        return reading

    def _finish(self, reading: Reading) -> Request:
        if self._body_size:
            reading.feed(bytes(self._buffer[self._head_size :]))
        content = reading.content(self._body_size)
        fields = tuple(reading.fields)
        close = any(name == "connection" and value.lower() == "close" for name, value in fields)
        request = Request(reading.method, reading.url.decode("ascii"), fields, content, close)
        reading.release()
        self._reset()
        self._waiting = True
        return request


def _early() -> Violation:
    words = "more than Content-Length says, or a second request before the answer; send one and wait"
    return Violation(Reason.HTTP_PIPELINING, 400, words)
