"""What both parsers share: the buffer, the head's reader, and an end that stays the end once a rule was broken."""

from __future__ import annotations

from gateway.http1.head import HeadReader
from gateway.http1.llhttp import Reading
from gateway.http1.violation import Limits, Violation
from gateway.reasons import Reason


class Parser[Message]:
    """Bytes in, at most one whole message out. A subclass reads them in ``_feed``."""

    def __init__(self, limits: Limits, head: HeadReader) -> None:
        self.limits = limits
        self._head = head
        self._buffer = bytearray()
        self._over: tuple[Reason, int, str] | None = None
        self._reset()

    def _reset(self) -> None:
        self._head.reset()
        self._buffer.clear()
        self._reading: Reading | None = None
        self._head_size = 0
        self._body_size = 0

    @property
    def started(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Message | None:
        """The message that ``data`` completes, if it does. Raises Violation; the connection is then over."""
        if self._over:
            raise Violation(*self._over)
        if not data:
            return None
        try:
            return self._feed(data)
        except Violation as violation:
            # not the exception itself: it holds this frame, and so this parser
            self._over = (violation.reason, violation.status, violation.detail)
            if self._reading:
                self._reading.release()
            self._reset()
            raise

    def _feed(self, data: bytes) -> Message | None:
        raise NotImplementedError
