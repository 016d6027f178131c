"""What a carrier is: how the device writes a symbol, and how the accomplice reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.home.arena.paper import ALARM, HOSTS, IN
from tests.home.client import MEDIA_TYPE

VENDOR = {"name": "Borealis", "hosts": [IN, ALARM]}
DRAWN = ("idempotency-key", "content-digest", "signature-input", "signature")  # of the id, the body and the time
PREFIX = "/.well-known/clear-envelope/v1/messages/"
Line = dict[str, Any]  # a request as the vendor host wrote it down


class Group(StrEnum):
    """What should become of it."""

    VALUE = "a value"  # it passes, and is charged
    CHOICE = "a choice of messages"  # the same; charged as presence
    FORM = "a form"  # the message passes, its form does not
    REFUSED = "refused"  # the message does not pass
    TIME = "a time"  # measured, not claimed closed


@dataclass(frozen=True)
class Request:
    """Bytes for a host. ``pieces``: how they are written, each in a TLS record of its own; ``fresh``: on a new connection."""

    pieces: tuple[bytes, ...]
    host: str = IN
    fresh: bool = False


@dataclass(frozen=True)
class Carrier:
    """``bits`` of secret in each message."""

    name: str
    group: Group
    bits: int
    write: Callable[[int], Request]
    read: Callable[[Line], int | None]
    messages: int = 64


def envelope(payload: Any, type_: str, **changed: Any) -> dict[str, Any]:
    """What a plain device sends."""
    return {"ce": 1, "type": type_, "vendor": VENDOR, "payload": payload, **changed}


def post(
    body: bytes | str | dict[str, Any],
    type_: str,
    *,
    headers: list[tuple[str, str]] | None = None,
    target: str | None = None,
    length: bool = True,
    fresh: bool = False,
) -> Request:
    """A request of which everything can be chosen."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    host = HOSTS.get(type_, IN)
    fields = [("Host", host), ("Content-Type", MEDIA_TYPE)] if headers is None else headers
    if length:
        fields = [*fields, ("Content-Length", str(len(content)))]
    head = f"POST {target or PREFIX + type_} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    return Request((head.encode() + content,), host, fresh)


def payload_of(line: Line) -> dict[str, Any]:
    """What the accomplice sees of the payload."""
    found: dict[str, Any] = json.loads(line["body"])["payload"]
    return found


def view(line: Line) -> str:
    """All that the vendor host sees of a message, but for what the gateway itself draws: id, minute, and what is made of them."""
    body = json.loads(line["body"])
    headers = [(name, value) for name, value in line["headers"] if name.lower() not in DRAWN]
    seen = json.dumps([line["method"], line["path"], headers, line["body"]])
    for drawn in (str(body["id"]), str(body["sent"])):
        seen = seen.replace(drawn, "-")
    return seen
