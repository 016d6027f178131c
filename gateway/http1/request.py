"""stub"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.http1.violation import Limits


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


class RequestParser:
    """One connection's requests, one at a time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    @property
    def started(self) -> bool:
        """Whether a request has begun and is not complete."""
        raise NotImplementedError

    def feed(self, data: bytes) -> Request | None:
        """The request that ``data`` completes, if it does. Raises Violation; the connection is then over."""
        raise NotImplementedError

    def answered(self) -> None:
        """The request was answered; the next may come."""
        raise NotImplementedError
