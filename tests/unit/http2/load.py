"""Measures CPU per message and memory of HTTP/2 beside HTTP/1.1, in this process: what the door reads and answers, without TLS.

Run: ./image/userland run -- python -m tests.unit.http2.load [messages]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gateway.http1 import Limits, RequestParser, render_response
from tests.unit.door.lab import HOST, MESSAGE, TARGET, post

HEADERS = (("content-type", "application/clear-envelope+json"),)
ANSWER = b'{"ok":true}'
HELD = 1000  # connections whose memory is measured


def resident() -> int:
    """KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def one(number: int) -> float:
    """µs per message over HTTP/1.1."""
    parser, raw = RequestParser(Limits()), post()
    began = time.process_time()
    for _ in range(number):
        if parser.feed(raw) is None:
            raise RuntimeError("no request")
        parser.answered()
        render_response(200, HEADERS, ANSWER)
    return (time.process_time() - began) / number * 1e6


def two(number: int, at_once: int) -> float:
    """µs per message over HTTP/2, ``at_once`` in one piece."""
    from hpack import Encoder
    from hyperframe.frame import DataFrame, HeadersFrame

    from gateway.http2.account import Account
    from gateway.http2.server import ServerSide
    from tests.unit.http2 import wire

    encoder = Encoder()
    fields = wire.head(length=str(len(MESSAGE)), authority=HOST, path=TARGET)
    pieces = []
    for first in range(0, number, at_once):
        piece = b""
        for n in range(first, first + at_once):
            stream = 2 * n + 1
            piece += HeadersFrame(stream, encoder.encode(fields), flags=["END_HEADERS"]).serialize()
            piece += DataFrame(stream, MESSAGE, flags=["END_STREAM"]).serialize()
        pieces.append(piece)
    side = ServerSide(Limits(), Account(1 << 20))
    list(side.feed(wire.START))
    began = time.process_time()
    for piece in pieces:
        for stream, _ in list(side.feed(piece)):
            side.answer(stream, 200, HEADERS, ANSWER)
        side.take()
        if not side.served % 64:  # the device's window for answers
            list(side.feed(wire.frame(wire.WINDOW_UPDATE, (64 * len(ANSWER)).to_bytes(4))))
    took = time.process_time() - began
    if side.served != number:
        raise RuntimeError(f"{side.served} of {number}")
    return took / number * 1e6


def main() -> None:
    """Print the figures."""
    import gateway.door.connection  # what a worker holds before anybody speaks HTTP/2

    if "h2" in sys.modules:
        raise RuntimeError("the parser is loaded already")
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000
    number -= number % 8
    before = resident()
    import gateway.door.layer2  # noqa: F401

    loaded = resident()
    print(f"the parser, loaded at a worker's first HTTP/2 connection: {(loaded - before) / 1024:.1f} MiB")
    from gateway.http2.account import Account
    from gateway.http2.server import ServerSide
    from tests.unit.http2 import wire

    account = Account(1 << 20)
    first = resident()
    sides = [ServerSide(Limits(), account) for _ in range(HELD)]
    for side in sides:
        for stream, _ in list(side.feed(wire.START + wire.message())):
            side.answer(stream, 200, HEADERS, ANSWER)
        side.take()
    second = resident()
    parsers = [RequestParser(Limits()) for _ in range(HELD)]
    for parser in parsers:
        parser.feed(post())
        parser.answered()
    print(f"a connection at rest: HTTP/2 {(second - first) / HELD:.1f} KiB, HTTP/1.1 {(resident() - second) / HELD:.1f} KiB")
    print(f"HTTP/1.1: {min(one(number) for _ in range(3)):.0f} µs a message of {len(MESSAGE)} bytes, read and answered")
    for at_once in (1, 8):
        print(f"HTTP/2, {at_once} at once: {min(two(number, at_once) for _ in range(3)):.0f} µs")


if __name__ == "__main__":
    main()
