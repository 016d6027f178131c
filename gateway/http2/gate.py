"""Cuts a peer's bytes into frames and judges each before the parser sees it (RFC 9113 sections 4 to 6).

It bounds what the parser would have to hold (one frame, one field block) and what frames may cost: whatever carries no message
is paid from a purse that only answered messages fill again. It must never let a frame through that was not whole, nor depend on
where the bytes were cut or on how fast they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.http2.breach import FRAME_SIZE_ERROR, flood, malformed

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # section 3.4
HEAD = 9  # bytes before a frame's payload, section 4.1
MOST_FRAME = 16_384  # SETTINGS_MAX_FRAME_SIZE, which we leave as it is

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8

MOST_SETTINGS = 32 * 6  # bytes: 32 settings; the registry knows fewer than ten
MOST_CONTINUATIONS = 8  # for one field block
SMALL = 1024  # bytes of content below which a DATA frame that does not end its stream counts

FULL = 128  # what a peer may spend between two answers
EARNED = 16  # what an answered message gives back
# What a frame costs. A request's HEADERS, its last DATA and large DATA cost nothing: they are bounded as messages are.
COST = {PRIORITY: 1, RST_STREAM: 4, SETTINGS: 4, PING: 1, GOAWAY: 4, WINDOW_UPDATE: 1, CONTINUATION: 1}
COST_DATA = 1
COST_UNKNOWN = 2
COST_REFUSED = 4  # each reset of ours

WORDS = {
    DATA: "small DATA", PRIORITY: "PRIORITY", RST_STREAM: "RST_STREAM", SETTINGS: "SETTINGS", PING: "PING", GOAWAY: "GOAWAY",
    WINDOW_UPDATE: "WINDOW_UPDATE", CONTINUATION: "CONTINUATION",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame. ``raw``: its bytes, head and all."""

    kind: int
    flags: int
    stream: int
    raw: bytes

    @property
    def size(self) -> int:
        """Bytes of payload."""
        return len(self.raw) - HEAD

    @property
    def content(self) -> int:
        """Bytes of a DATA frame's content, without padding (section 6.1)."""
        if not self.flags & PADDED:
            return self.size
        return self.size - 1 - self.raw[HEAD]


class Purse:
    """What a peer may still spend on frames that carry no message."""

    def __init__(self) -> None:
        self._left = FULL

    def spend(self, cost: int, what: str) -> None:
        """Raises Breach where it is empty."""
        self._left -= cost
        if self._left < 0:
            raise flood(f"too many frames beside the messages, the last of them {what}; send fewer")

    def earn(self) -> None:
        """A message was answered."""
        self._left = min(self._left + EARNED, FULL)


class Gate:
    """``preface``: whether the peer is a client, which starts with it; ``block_bytes``: most in one field block."""

    def __init__(self, purse: Purse, block_bytes: int, *, preface: bool) -> None:
        self._purse = purse
        self._block_bytes = block_bytes
        self._preface = PREFACE if preface else b""
        self._buffer = bytearray()
        self._block = 0  # the stream whose field block is open
        self._block_size = 0
        self._continuations = 0
        self._first = True
        self.passed = 0  # frames that went through

    @property
    def incomplete(self) -> bool:
        """Whether a frame, a field block or the preface has begun and is not whole."""
        return bool(self._buffer or self._block or self._preface)

    def frames(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes. Raises Breach at the first that may not be."""
        buffer = self._buffer
        buffer += data
        if self._preface:
            if not self._preface.startswith(buffer[: len(PREFACE)]):
                raise malformed("HTTP/2 starts with its preface (RFC 9113 section 3.4); send that")
            if len(buffer) < len(PREFACE):
                return
            del buffer[: len(PREFACE)]
            self._preface = b""
        while len(buffer) >= HEAD:
            size = int.from_bytes(buffer[:3])
            if size > MOST_FRAME:
                raise malformed(f"a frame has at most {MOST_FRAME} bytes; send smaller ones", FRAME_SIZE_ERROR)
            kind, flags, stream = buffer[3], buffer[4], int.from_bytes(buffer[5:9]) & 0x7FFF_FFFF
            if len(buffer) < HEAD + size:
                self._check(kind, flags, stream, size)  # so that nobody buffers what is refused anyway
                return
            frame = Frame(kind, flags, stream, bytes(buffer[: HEAD + size]))
            del buffer[: HEAD + size]
            self._check(kind, flags, stream, size)
            if kind in {DATA, HEADERS} and flags & PADDED and (not size or frame.raw[HEAD] >= size):
                raise malformed("padding is shorter than its frame (RFC 9113 section 6.1)")
            self._charge(frame)
            self.passed += 1
            yield frame

    def _check(self, kind: int, flags: int, stream: int, size: int) -> None:
        """Whether such a frame may come now. Changes nothing."""
        if self._first and (kind != SETTINGS or flags & ACK):
            raise malformed("the first frame is SETTINGS (RFC 9113 section 3.4); send that")
        if self._block and (kind != CONTINUATION or stream != self._block):
            raise malformed("a field block is not interrupted (RFC 9113 section 4.3); finish it first")
        if kind == HEADERS:
            self._check_block(size)
        elif kind == CONTINUATION:
            if not self._block:
                raise malformed("CONTINUATION without a field block (RFC 9113 section 6.10)")
            if self._continuations >= MOST_CONTINUATIONS or not (size or flags & END_HEADERS):
                raise flood(f"a field block has at most {MOST_CONTINUATIONS} CONTINUATION frames, and none is empty; send fewer")
            self._check_block(self._block_size + size)
        elif kind == PUSH_PROMISE:
            raise malformed("nobody pushes here (SETTINGS_ENABLE_PUSH is 0)")
        elif kind == SETTINGS and size > MOST_SETTINGS:
            raise flood(f"at most {MOST_SETTINGS // 6} settings in one frame; send fewer")
        elif kind == GOAWAY and (size < 8 or stream):
            raise malformed("GOAWAY names the last stream and a code, and belongs to no stream (RFC 9113 section 6.8)")

    def _check_block(self, size: int) -> None:
        if size > self._block_bytes:
            raise flood(f"a field block has at most {self._block_bytes} bytes; send fewer or shorter fields")

    def _charge(self, frame: Frame) -> None:
        kind = frame.kind
        self._first = False
        if kind in {HEADERS, CONTINUATION}:
            self._continuations = 0 if kind == HEADERS else self._continuations + 1
            self._block_size = frame.size + (0 if kind == HEADERS else self._block_size)
            self._block = 0 if frame.flags & END_HEADERS else frame.stream
        if kind == HEADERS or (kind == DATA and (frame.flags & END_STREAM or frame.content >= SMALL)):
            return
        cost = COST_DATA if kind == DATA else COST.get(kind, COST_UNKNOWN)
        self._purse.spend(cost, WORDS.get(kind, "of an unknown type"))
