"""The kept parser: llhttp through httptools, fed only what the gate let through. It must never see a byte that was not judged.

The gate's reading and llhttp's must be the same; a message on which they differ is refused.
"""

from __future__ import annotations

from typing import Any

import httptools

from gateway.http1.violation import Violation
from gateway.reasons import Reason


class Reading:
    """What llhttp says of one message. ``status``: of violations."""

    __slots__ = ("_parser", "_status", "body", "complete", "fields", "headed", "url")

    def __init__(self, parser: type[httptools.HttpRequestParser] | type[httptools.HttpResponseParser], status: int) -> None:
        self.url = b""
        self.fields: list[tuple[str, str]] = []
        self.body: list[bytes] = []
        self.headed = False
        self.complete = False
        self._status = status
        self._parser: Any = parser(self)

    def feed(self, data: bytes) -> None:
        """Let llhttp read ``data``. Raises Violation."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Violation(Reason.HTTP_SYNTAX, self._status, f"not HTTP/1.1: {str(error)[:100]}") from None

    def content(self, size: int) -> bytes:
        """The content of the complete message, which the gate counted as ``size`` bytes. Raises Violation."""
        content = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        self.agree(self.complete and len(content) == size)
        return content

    def agree(self, same: bool) -> None:
        """Raise Violation unless both readings are the same."""
        if not same:
            raise Violation(Reason.HTTP_FRAMING, self._status, "the message can be read in more than one way; send it plainly")

    def release(self) -> None:
        """Let go of the parser, which holds on to us: no garbage collection is needed for a message."""
        self._parser = None

    @property
    def method(self) -> str:
        """A request's method."""
        return str(self._parser.get_method().decode("ascii"))

    @property
    def status_code(self) -> int:
        """A response's status."""
        return int(self._parser.get_status_code())

    def on_message_begin(self) -> None:
        """Called by httptools, as are those below."""

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        self.fields.append((name.decode("ascii").lower(), value.decode("ascii").strip(" \t")))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.headed = True

    def on_body(self, body: bytes) -> None:
        """A part of the content, without chunk framing."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """The message is whole."""
        self.complete = True
