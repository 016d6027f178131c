"""Collects a head from however many pieces, and judges each line as it ends. It must never depend on where pieces were cut.

A line is judged when its LF arrived, in order, against the same rules whether the head came at once or byte by byte: so
the verdict depends on the bytes alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.http1.grammar import check_field_line
from gateway.http1.violation import Violation
from gateway.reasons import Reason


class HeadReader:
    """``whole``: matches a correct head; ``first_line``: judges the start line; ``most``: bytes; ``status``: of violations."""

    def __init__(self, whole: re.Pattern[bytes], first_line: Callable[[bytes], None], most: int, status: int, large: int) -> None:
        self._whole = whole
        self._first_line = first_line
        self._most = most
        self._status = status
        self._large = large
        self.reset()

    def reset(self) -> None:
        """Start anew, with the next message."""
        self._line = 0  # where the line being read starts
        self._searched = 0  # how far an LF was looked for
        self._first = True

    def find(self, buffer: bytes | bytearray) -> int:
        """The length of the head that ``buffer`` starts with, 0 if it is not whole yet. Raises Violation."""
        if not self._line and not self._searched:
            found = self._whole.match(buffer)
            if found and found.end() <= self._most:
                return found.end()
        while True:
            end = buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(buffer)
                if len(buffer) > self._most:
                    raise self._too_large()
                return 0
            if end >= self._most:
                raise self._too_large()
            line = bytes(buffer[self._line : end])
            self._searched = self._line = end + 1
            if not line.endswith(b"\r"):
                raise Violation(Reason.HTTP_SYNTAX, self._status, "lines end with CR LF (RFC 9112 section 2.2); send both")
            line = line[:-1]
            if self._first:
                self._first = False
                self._first_line(line)
            elif line:
                check_field_line(line, self._status)
            else:
                return end + 1

    def _too_large(self) -> Violation:
        return Violation(Reason.HTTP_TOO_LARGE, self._large, f"start line and fields have at most {self._most} bytes; send fewer")
