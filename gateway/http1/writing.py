"""Messages that we send. It must never write a value that could end a line or a head early."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from gateway.http1.grammar import TARGET, TOKEN

_NAME = re.compile(TOKEN.decode())
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_TARGET = re.compile(TARGET.decode())
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def render_request(method: str, target: str, host: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """A request with Host and, for POST, Content-Length.

    ``headers`` must not hold what frames a message (Host, Content-Length, Transfer-Encoding, Connection). Raises ValueError
    where a part is outside its grammar; CR, LF and NUL are outside of every one.
    """
    if method not in {"POST", "GET"}:
        raise ValueError(f"method {method!r}: POST or GET")
    if not _TARGET.fullmatch(target):
        raise ValueError(f"target {target!r}: a path from / on, in the characters of RFC 3986")
    if not _HOST.fullmatch(host):
        raise ValueError(f"host {host!r}: a name, and a port if need be")
    if method == "GET" and body:
        raise ValueError("body: a GET has none")
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{_fields(headers)}{length}\r\n".encode("ascii") + body


def render_response(status: int, headers: Iterable[tuple[str, str]], body: bytes, *, close: bool = False) -> bytes:
    """A response with Content-Length (but for 204 and 304, which have no content); ``close`` adds Connection: close.

    Raises ValueError as ``render_request`` does, and for a status outside 200 to 599.
    """
    return render_head(status, headers, len(body), close=close) + body


def render_head(status: int, headers: Iterable[tuple[str, str]], length: int, *, close: bool = False) -> bytes:
    """The head of such a response, whose content of ``length`` bytes follows by itself. Raises ValueError."""
    bodiless = status in {204, 304}
    if bodiless and length:
        raise ValueError(f"body: status {status} has none (RFC 9110 section 6.4.1)")
    framing = "" if bodiless else f"Content-Length: {length}\r\n"
    end = "Connection: close\r\n" if close else ""
    return f"{_status_line(status)}{_fields(headers)}{framing}{end}\r\n".encode("ascii")


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    if not 200 <= status <= 599:
        raise ValueError(f"status {status}: 200 to 599")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


def _fields(headers: Iterable[tuple[str, str]]) -> str:
    lines = []
    for name, value in headers:
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"field name {name!r}: a token (RFC 9110 section 5.1), and none that frames the message")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"field {name}: its value is printable ASCII in one line")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)
