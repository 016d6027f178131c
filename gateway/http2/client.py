"""Requests to a vendor host over HTTP/2 and its answers. It must never take an answer that was not asked for, nor guess.

Interim responses, trailers and pushes end the connection; an answer's content is as long as its stream, and as Content-Length
where that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from h2.events import DataReceived, Event, InformationalResponseReceived, ResponseReceived, StreamEnded, StreamReset

from gateway.http1 import grammar
from gateway.http1.response import Response
from gateway.http1.violation import Limits, Violation
from gateway.http2.breach import REFUSED_STREAM, STREAM_CLOSED, Breach, malformed, on_stream
from gateway.http2.fields import Fields, response_head
from gateway.http2.gate import DATA, HEADERS, Frame
from gateway.http2.side import Side
from gateway.reasons import Reason

STREAMS = 8  # requests at once on one connection, whatever more the vendor allows


@dataclass(slots=True)
class _Due:
    """An answer that is due."""

    status: int = 0  # once its head came
    fields: Fields = field(default_factory=list)
    length: int | None = None
    content: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer."""

    stream: int
    response: Response


@dataclass(frozen=True, slots=True)
class Unanswered:
    """There will be no answer. ``processed``: whether the vendor may have taken the request all the same."""

    stream: int
    processed: bool


class ClientSide(Side):
    """Ours towards a vendor host."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, client=True, streams=0)
        self._due: dict[int, _Due] = {}
        self._turned_away: list[int] = []

    @property
    def room(self) -> int:
        """How many more requests may be sent now."""
        if self.over or self.leaving:
            return 0
        return max(min(STREAMS, self._parser.remote_settings.max_concurrent_streams) - len(self._due), 0)

    def ask(self, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> int:
        """Send a request; its stream. Raises RuntimeError where there is no room."""
        if not self.room:
            raise RuntimeError("no stream is free")
        stream = self._parser.get_next_available_stream_id()
        self._due[stream] = _Due()
        self._send(stream, list(headers), body)
        return stream

    def feed(self, data: bytes) -> Iterator[Answered | Unanswered]:
        """What became of requests. Raises Breach, after what came before it."""
        if self.over:
            return
        for frame, events in self._events(data):
            yield from self._read(frame, events)
            while self._turned_away:
                stream = self._turned_away.pop()  # the last first: each is put before those that wait
                self.unsent.pop(stream, None)
                if self._due.pop(stream, None) is not None:
                    yield Unanswered(stream, processed=False)

    def _goaway(self, last: int) -> None:
        self._turned_away = [stream for stream in self._due if stream > last]

    def _before(self, frame: Frame) -> None:
        if frame.kind == HEADERS:
            due = self._due.get(frame.stream)
            if due is None:
                raise malformed("an answer that no request asked for", STREAM_CLOSED)
            if due.status:
                raise Breach(Reason.HTTP_FRAMING, 502, "trailers are not taken", stream=frame.stream)
        elif frame.kind == DATA:
            due = self._due.get(frame.stream)
            if due is None or not due.status:
                raise malformed("DATA on a stream that awaits none", STREAM_CLOSED)
            size = len(due.content) + frame.content
            if size > (self.limits.body_bytes if due.length is None else due.length):
                if due.length is None:
                    raise on_stream(frame.stream, grammar.too_large(self.limits.body_bytes, answer=True))
                raise Breach(Reason.HTTP_FRAMING, 502, "content differs from Content-Length", stream=frame.stream)

    def _read(self, frame: Frame, events: list[Event]) -> Iterator[Answered | Unanswered]:
        for event in events:
            if isinstance(event, InformationalResponseReceived):
                detail = "interim responses (1xx) are not taken; send the final one"
                raise Breach(Reason.HTTP_FRAMING, 502, detail, stream=event.stream_id or 0)
            if isinstance(event, ResponseReceived):
                due = self._due[event.stream_id or 0]
                try:
                    due.status, due.fields, due.length = response_head(event.headers or [], self.limits)
                except Violation as violation:
                    raise on_stream(event.stream_id or 0, violation) from None
            elif isinstance(event, DataReceived):
                stream = event.stream_id or 0
                self._due[stream].content += event.data or b""
                self._parser.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, StreamEnded):
                yield self._finish(event.stream_id or 0)
            elif isinstance(event, StreamReset):
                stream = event.stream_id or 0
                self.unsent.pop(stream, None)
                if self._due.pop(stream, None) is not None:
                    yield Unanswered(stream, processed=event.error_code != REFUSED_STREAM)

    def _finish(self, stream: int) -> Answered:
        due = self._due.pop(stream)
        if due.length is not None and len(due.content) != due.length:
            raise Breach(Reason.HTTP_FRAMING, 502, "content differs from Content-Length", stream=stream)
        if stream in self.unsent:
            # an answer before the request was whole: its rest is nobody's business any more, but the stream is still open
            raise Breach(Reason.HTTP_FRAMING, 502, "an answer before the request was whole", stream=stream)
        self.purse.earn()
        return Answered(stream, Response(due.status, tuple(due.fields), bytes(due.content), close=False))
