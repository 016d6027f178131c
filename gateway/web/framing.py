"""What h11 gets to see of a connection: requests that every parser reads in the same way, bounded, and nothing else.

h11 takes bare line feeds, folded lines, and heads of any size that come at once. It must never let through what it had to repair.
"""

from __future__ import annotations

import re

from gateway.http1.grammar import FIELD, TOKEN, length, split_fields
from gateway.http1.head import HeadReader
from gateway.http1.violation import Violation
from gateway.reasons import Reason

HEAD_BYTES = 16_384
MOST_BODY = 65_536  # bytes; what a form may have is for the pages to say
MOST_AT_ONCE = 16  # requests in one piece; browsers send one
ONCE = ("host", "content-length", "content-type", "origin", "sec-fetch-site", "cookie")

_LINE = TOKEN + rb" [\x21-\x7e]+ HTTP/1\.[01]"
_WHOLE = re.compile(_LINE + rb"\r\n(?:" + FIELD + rb"\r\n)*\r\n")
_FIRST = re.compile(_LINE)


class Gate:
    """One connection's bytes."""

    def __init__(self) -> None:
        self._head = HeadReader(_WHOLE, _first, HEAD_BYTES, 400, 431)
        self._buffer = bytearray()
        self._left = 0  # bytes of a body that are still to come

    def feed(self, data: bytes) -> None:
        """Raises Violation: then nothing of ``data`` may be heard, and the connection is over."""
        for _ in range(MOST_AT_ONCE):
            taken = min(self._left, len(data))
            self._left -= taken
            data = data[taken:]
            if not data:
                return
            self._buffer += data
            size = self._head.find(self._buffer)
            if not size:
                return
            self._left = _body(bytes(self._buffer[:size]))
            data = bytes(self._buffer[size:])
            self._buffer.clear()
            self._head.reset()
        if data:
            raise Violation(Reason.HTTP_PIPELINING, 400, f"at most {MOST_AT_ONCE} requests at once")


def _first(line: bytes) -> None:
    if not _FIRST.fullmatch(line):
        raise Violation(
            Reason.HTTP_SYNTAX, 400, "a request starts with one line: method, target, HTTP/1.1, one space between them"
        )


def _body(head: bytes) -> int:
    """The size of the body that comes after a head. Raises Violation."""
    names: dict[str, str] = {}
    for name, value in split_fields(head):
        if name in names and name in ONCE:
            raise Violation(Reason.HTTP_FRAMING, 400, f"the field {name} may occur once")
        names[name] = value
    if "transfer-encoding" in names:
        raise Violation(Reason.HTTP_FRAMING, 501, "transfer codings are not taken; send Content-Length instead")
    return length(names.get("content-length", "0"), MOST_BODY, answer=False)
