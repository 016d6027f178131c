"""Requests of a device over HTTP/2. It must never hand up a request before every byte of it was judged.

Several may be under way at once, each on its stream; whatever breaks a rule ends the connection, after the stream at fault was
answered where there is one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset

from gateway.http1.request import Request
from gateway.http1.violation import Limits, Violation
from gateway.http2.account import Account
from gateway.http2.breach import INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, STREAM_CLOSED, Breach, malformed, on_stream
from gateway.http2.fields import Fields, request_head
from gateway.http2.gate import COST_REFUSED, DATA, END_STREAM, HEADERS, Frame
from gateway.http2.side import CHUNK, Side
from gateway.reasons import Reason

STREAMS = 8  # SETTINGS_MAX_CONCURRENT_STREAMS
HALF_DONE = 131_072  # bytes of content that requests of one connection may have announced and not completed
DIFFERS = "content differs from Content-Length; send the true one"
MOST_REFUSED = 64  # streams that we reset and may still hear of
PIECE_BYTES = 65_536  # of a file, handed on at once


class Content(Protocol):
    """Content that is too large to be held: read in pieces, as fast as the device takes them; closed once or more."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read(self, most: int) -> bytes:
        """The next bytes; empty where there will be no more, too early also."""

    def close(self) -> None:
        """Nothing more is read."""


@dataclass(slots=True)
class _Sending:
    """A file on its way. ``left``: bytes that were not read yet."""

    content: Content
    left: int


@dataclass(slots=True)
class _Half:
    """A request whose content is coming."""

    method: str
    target: str
    fields: Fields
    length: int
    content: bytearray = field(default_factory=bytearray)


class ServerSide(Side):
    """``account``: where content that is half here is kept, for all connections together; ``who``: whose this one is."""

    def __init__(self, limits: Limits, account: Account, who: str = "") -> None:
        super().__init__(limits, client=False, streams=STREAMS)
        self._account = account
        self._who = who
        self._half: dict[int, _Half] = {}  # oldest first
        self._held = 0
        self._refused: deque[int] = deque(maxlen=MOST_REFUSED)
        self._highest = 0
        self._winding_up = False
        self._files: dict[int, _Sending] = {}  # whose turn it is first
        self.taken = 0  # bytes of files that the device had room for
        self.waiting: dict[int, bool] = {}  # streams whose request was handed up: whether an answer is still wanted
        self.served = 0

    @property
    def half_done(self) -> Iterable[int]:
        """Streams whose request is not whole, the oldest first."""
        return self._half.keys()

    @property
    def busy(self) -> bool:
        """Whether a request is half here, or an answer is due or on its way."""
        return bool(self._half or self.waiting or self.unsent or self._files)

    @property
    def sending(self) -> bool:
        """Whether a file is on its way."""
        return bool(self._files)

    @property
    def sendable(self) -> bool:
        """Whether the device would take a piece of a file now."""
        return any(self._parser.local_flow_control_window(stream) > 0 for stream in self._files)

    @property
    def done(self) -> bool:
        """Whether nothing more is to come, by the device's word or by ours."""
        return (self.leaving or self._winding_up) and not self.busy

    def wind_up(self) -> bool:
        """Take no new request; false where none is under way, so that the connection may end now."""
        self._winding_up = True
        return self.busy

    def feed(self, data: bytes) -> Iterator[tuple[int, Request]]:
        """The requests that ``data`` completes, with their streams. Raises Breach, after those that came before it."""
        if self.over:
            return
        for frame, events in self._events(data):
            yield from self._read(frame, events)

    def answer(self, stream: int, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """The answer to the request on ``stream``; nothing happens where nobody wants it any more."""
        wanted = self.waiting.pop(stream, False)
        if wanted and not self.over:
            self._reply(stream, status, headers, body)
            self.purse.earn()
            self.served += 1

    def answer_file(self, stream: int, status: int, headers: Iterable[tuple[str, str]], content: Content) -> None:
        """As ``answer``, with content that ``send_piece`` reads; it is closed here or there, whatever happens."""
        wanted = self.waiting.pop(stream, False)
        if not wanted or self.over:
            content.close()
            return
        self._parser.send_headers(stream, _fields(status, headers, content.size), end_stream=not content.size)
        self._files[stream] = _Sending(content, content.size)
        if not content.size:
            self._sent(stream)

    def send_piece(self) -> None:
        """Read and write a piece of the first file that the device would take more of; the others come first the next time."""
        stream = next((stream for stream in self._files if self._parser.local_flow_control_window(stream) > 0), None)
        if stream is None:
            return
        file = self._files[stream] = self._files.pop(stream)
        piece = memoryview(file.content.read(min(PIECE_BYTES, file.left, self._parser.local_flow_control_window(stream))))
        if not piece:  # it must not look whole
            self.end(INTERNAL_ERROR, "the content ended early")
            return
        file.left -= len(piece)
        for _ in range(self.taken // PIECE_BYTES, (self.taken + len(piece)) // PIECE_BYTES):
            self.purse.earn()  # WINDOW_UPDATE frames are what taking it costs
        self.taken += len(piece)
        for at in range(0, len(piece), CHUNK):
            last = not file.left and at + CHUNK >= len(piece)
            self._parser.send_data(stream, bytes(piece[at : at + CHUNK]), end_stream=last)
        if not file.left:
            self._sent(stream)

    def _sent(self, stream: int) -> None:
        self._files.pop(stream).content.close()
        self.purse.earn()
        self.served += 1

    def end(self, code: int = NO_ERROR, detail: str = "") -> None:
        """Say that the connection ends (GOAWAY); nothing more is read, here or of files."""
        self._close_files()
        super().end(code, detail)

    def release(self) -> None:
        """The connection is gone."""
        self._close_files()
        super().release()

    def _close_files(self) -> None:
        files, self._files = self._files, {}
        for file in files.values():
            file.content.close()

    def refuse(self, stream: int, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """The answer to the stream of a Breach, before the end. Windows that are shut are not waited for."""
        self._half.pop(stream, None)
        if stream in self._parser.streams and not self.over:
            self._reply(stream, status, headers, body)

    def dismiss(self) -> None:
        """The connection is gone: give back what it held."""
        self._half.clear()
        self._account.give(self._who, self._held)
        self._held = 0
        self.release()

    def _reply(self, stream: int, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self._send(stream, _fields(status, headers, len(body)), body)

    def _before(self, frame: Frame) -> None:
        stream, half = frame.stream, self._half.get(frame.stream)
        if frame.kind == HEADERS:
            if half is not None:
                raise Breach(Reason.HTTP_FRAMING, 400, "trailers are not taken; leave them out", stream=stream)
            if stream <= self._highest:
                raise malformed("a stream is used for one request (RFC 9113 section 5.1.1)", STREAM_CLOSED)
        elif frame.kind == DATA:
            if half is None:
                if stream not in self._refused:
                    raise malformed("DATA on a stream that awaits none", STREAM_CLOSED)
                self.purse.spend(COST_REFUSED, "for streams beyond the limit")  # the parser resets it once more
                if frame.flags & END_STREAM:
                    self._refused.remove(stream)
            elif len(half.content) + frame.content > half.length or (
                frame.flags & END_STREAM and len(half.content) + frame.content < half.length
            ):
                raise Breach(Reason.HTTP_FRAMING, 400, DIFFERS, stream=stream)

    def _read(self, frame: Frame, events: list[Event]) -> Iterator[tuple[int, Request]]:
        for event in events:
            if isinstance(event, RequestReceived):
                request = self._begin(event.stream_id or 0, event.headers or [], ended=event.stream_ended is not None)
                if request is not None:
                    yield event.stream_id or 0, request
            elif isinstance(event, DataReceived):
                stream = event.stream_id or 0
                half = self._half.get(stream)
                if half is not None:
                    half.content += event.data or b""
                self._parser.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, StreamEnded):
                stream = event.stream_id or 0
                if stream in self._half:
                    yield stream, self._finish(stream)
            elif isinstance(event, StreamReset):
                self._reset(event.stream_id or 0)

    def _begin(self, stream: int, headers: Iterable[tuple[bytes, bytes]], *, ended: bool) -> Request | None:
        self._highest = stream
        try:
            method, target, fields, length = request_head(headers, self.limits)
        except Violation as violation:
            raise on_stream(stream, violation) from None
        if ended and length:
            raise Breach(Reason.HTTP_FRAMING, 400, DIFFERS, stream=stream)
        # a reset stream counts until its request is done with (CVE-2023-44487)
        full = len(self._half) + len(self.waiting) + len(self.unsent) + len(self._files) >= STREAMS
        crowded = length and self._held and self._held + length > HALF_DONE
        if full or crowded or self._winding_up or not self._account.take(self._who, length):
            self._turn_away(stream, ended=ended)
            return None
        if ended:
            self.waiting[stream] = True
            return Request(method, target, tuple(fields), b"", close=False)
        self._held += length
        self._half[stream] = _Half(method, target, fields, length)
        return None

    def _turn_away(self, stream: int, *, ended: bool) -> None:
        """Surely not processed: the device may send it again (RFC 9113 section 8.7)."""
        self.purse.spend(COST_REFUSED, "for streams beyond the limit")
        self._parser.reset_stream(stream, REFUSED_STREAM)
        if not ended:
            self._refused.append(stream)

    def _finish(self, stream: int) -> Request:
        half = self._half.pop(stream)
        self._release(half)
        self.waiting[stream] = True
        return Request(half.method, half.target, tuple(half.fields), bytes(half.content), close=False)

    def _reset(self, stream: int) -> None:
        """The device wants no answer any more, or will not finish its request."""
        self.unsent.pop(stream, None)
        file = self._files.pop(stream, None)
        if file is not None:
            file.content.close()
        half = self._half.pop(stream, None)
        if half is not None:
            self._release(half)
        elif stream in self.waiting:
            self.waiting[stream] = False

    def _release(self, half: _Half) -> None:
        self._held -= half.length
        self._account.give(self._who, half.length)


def _fields(status: int, headers: Iterable[tuple[str, str]], length: int) -> list[tuple[bytes, bytes]]:
    """The fields of an answer with ``length`` bytes of content."""
    fields = [(b":status", b"%d" % status)]
    fields += [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers]
    if status not in {204, 304}:
        fields.append((b"content-length", b"%d" % length))
    return fields
