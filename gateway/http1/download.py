"""One response whose content is handed on in pieces: for what is too large to be held. It must never hand on a byte before the
whole head was judged, nor one beyond the length that was asked for.

The head is judged by the rules of every other answer (response.py), narrowed: its length is known beforehand, so there are no
chunks. Content in identity coding needs no parser.
"""

from __future__ import annotations

import httptools

from gateway.http1 import grammar
from gateway.http1.head import HeadReader
from gateway.http1.llhttp import Reading
from gateway.http1.violation import Limits, Violation
from gateway.reasons import Reason

_BAD = 502
_MOST_LENGTH = 10**10  # which only bounds the number that is told


class WrongSize(Violation):
    """A good answer, with other content than was asked for."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.HTTP_FRAMING, _BAD, detail)


class Download:
    """A response to one GET. ``size``: bytes that its content must have; ``missing``: those that have not come yet."""

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        self._head = HeadReader(grammar.RESPONSE_HEAD, grammar.check_status_line, limits.head_bytes, _BAD, _BAD)
        self._buffer: bytearray | None = bytearray()
        self._size = size
        self.missing = size
        self.status = 0

    @property
    def whole(self) -> bool:
        """Whether all of it has come."""
        return self._buffer is None and not self.missing

    def feed(self, data: bytes) -> bytes:
        """The content that ``data`` brings. Raises Violation.

        Where ``status`` is not 200 afterwards there is none, and nothing more is read.
        """
        if self._buffer is not None:
            self._buffer += data
            head = self._head.find(self._buffer)
            if not head:
                return b""
            self._judge(bytes(self._buffer[:head]))
            data = bytes(self._buffer[head:])
            self._buffer = None
        if self.status != 200:
            return b""
        if len(data) > self.missing:
            raise WrongSize(f"more than the {self._size} bytes of the content; send those")
        self.missing -= len(data)
        return data

    def _judge(self, head: bytes) -> None:
        fields = grammar.split_fields(head)
        by_name = grammar.check_fields(fields, self._limits.header_count, answer=True)
        status = int(head[9:12])
        if status == 200:
            if "transfer-encoding" in by_name or "content-length" not in by_name:
                raise Violation(Reason.HTTP_FRAMING, _BAD, "content of a known length comes with Content-Length; send that")
            length = grammar.length(by_name["content-length"], _MOST_LENGTH, answer=True)
            if length != self._size:
                raise WrongSize(f"Content-Length is {length}, not {self._size}; send the whole")
            reading = Reading(httptools.HttpResponseParser, _BAD)
            reading.feed(head)
            reading.agree(reading.headed and reading.fields == fields and reading.status_code == status and not reading.complete)
            reading.release()
        self.status = status
