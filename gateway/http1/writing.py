"""stub"""

from __future__ import annotations

from collections.abc import Iterable


def render_request(method: str, target: str, host: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """A request with Host and Content-Length. Raises ValueError where a value could break the framing."""
    raise NotImplementedError


def render_response(status: int, headers: Iterable[tuple[str, str]], body: bytes, *, close: bool = False) -> bytes:
    """A response with Content-Length. Raises ValueError where a value could break the framing."""
    raise NotImplementedError
