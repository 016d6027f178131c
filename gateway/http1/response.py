"""stub"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.http1.violation import Limits


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


class ResponseParser:
    """One connection's responses, one for each request."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def expect(self, method: str) -> None:
        """A request with ``method`` was sent; its response may come now."""
        raise NotImplementedError

    def feed(self, data: bytes) -> Response | None:
        """The response that ``data`` completes, if it does. Raises Violation; the connection is then over."""
        raise NotImplementedError

    def eof(self) -> None:
        """The peer closed. Raises Violation if a response was due."""
        raise NotImplementedError
