"""HTTP/2 byte by byte, as a peer might write it who keeps to nothing: frames by hand, field sections as plain HPACK literals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.http1.request import Request
from gateway.http1.violation import Limits
from gateway.http2.account import Account
from gateway.http2.breach import Breach
from gateway.http2.server import ServerSide

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 1, 1, 4, 8, 0x20
HOST = "a.example"
TARGET = "/.well-known/clear-envelope/v1/messages/all"
MEDIA = "application/clear-envelope+json"

Fields = list[tuple[str, str]]


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, size: int | None = None) -> bytes:
    """A frame (RFC 9113 section 4.1); ``size``: what its head says, where that is not the truth."""
    length = len(payload) if size is None else size
    return length.to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def block(fields: Iterable[tuple[str, str]]) -> bytes:
    """A field section of literals without indexing (RFC 7541 section 6.2.2), without Huffman's code."""
    return b"".join(b"\x00" + text(name) + text(value) for name, value in fields)


def text(value: str) -> bytes:
    """A string literal (RFC 7541 section 5.2)."""
    data = value.encode("latin-1")
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, number = bytearray(b"\x7f"), len(data) - 127
    while number >= 128:
        rest.append(number % 128 + 128)
        number //= 128
    return bytes(rest) + bytes([number]) + data


def head(*more: tuple[str, str], length: str | None = "2", **changed: str | None) -> Fields:
    """The fields of a message; ``changed``: pseudo-header fields without their colon, None for one that is left out."""
    pseudo = {"method": "POST", "scheme": "https", "authority": HOST, "path": TARGET, **changed}
    fields = [(f":{name}", value) for name, value in pseudo.items() if value is not None]
    fields.append(("content-type", MEDIA))
    if length is not None:
        fields.append(("content-length", length))
    return [*fields, *more]


def headers(stream: int, fields: Fields, *, end: bool = False, whole: bool = True) -> bytes:
    return frame(HEADERS, block(fields), flags=(END_STREAM if end else 0) | (END_HEADERS if whole else 0), stream=stream)


def data(stream: int, content: bytes = b"{}", *, end: bool = True) -> bytes:
    return frame(DATA, content, flags=END_STREAM if end else 0, stream=stream)


def message(stream: int = 1, content: bytes = b"{}") -> bytes:
    """A whole message."""
    return headers(stream, head(length=str(len(content)))) + data(stream, content)


START = PREFACE + frame(SETTINGS)


def told(made: dict[str, Any]) -> bytes:
    """A frame of a vector (tests/vectors/request2.json)."""
    payload = block(made["fields"]) if "fields" in made else bytes.fromhex(made.get("payload", ""))
    payload += made.get("text", "").encode()
    written = frame(made["type"], payload, flags=made.get("flags", 0), stream=made.get("stream", 0), size=made.get("size"))
    return written * int(made.get("times", 1))


@dataclass
class Heard:
    """What a connection came to."""

    requests: list[tuple[int, Request]] = field(default_factory=list)
    breach: tuple[str, int, int] | None = None  # label, status, stream
    detail: str = ""
    code: int = -1


def pieces(stream: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(stream), size):
        yield stream[at : at + size]


def talk(parts: Iterable[bytes], limits: Limits | None = None, *, answer: bool = True, side: ServerSide | None = None) -> Heard:
    """Let a server hear ``parts``; each request is answered at once where ``answer``."""
    side = side or ServerSide(limits or Limits(), Account(1 << 20))
    heard = Heard()
    try:
        for part in parts:
            for stream, request in side.feed(part):
                heard.requests.append((stream, request))
                if answer:
                    side.answer(stream, 204, (), b"")
    except Breach as breach:
        heard.breach, heard.detail, heard.code = (breach.reason.label, breach.status, breach.stream), breach.detail, breach.code
    return heard
