"""HTTP/2 with a device, where it chose that: the strict HTTP/2 of gateway.http2 in a layer, sans-io like the one for HTTP/1.1.

Each stream's request is considered as a whole, as if it had come alone. It must never judge a message, nor let one stream's
answer reach another. Imported at a worker's first HTTP/2 connection: it loads the parser.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.door.layer import Broken, Consider, Considered, HttpLayer, More, Reply, Writable
from gateway.door.mitm import CommandGenerator, Context, commands, events
from gateway.http1 import Limits
from gateway.http2.account import Account
from gateway.http2.breach import NO_ERROR, Breach
from gateway.http2.server import PIECE_BYTES, ServerSide


class Envelope2Layer(HttpLayer):
    """HTTP/2 with a device: several requests at once. ``who``: the device; ``now``: the loop's clock."""

    def __init__(self, context: Context, limits: Limits, account: Account, who: str, now: Callable[[], float]) -> None:
        super().__init__(context)
        self._side = ServerSide(limits, account, who)
        self._client = context.client
        self._now = now
        self._began: dict[int, float] = {}  # half-done requests by stream
        self._partial = (-1, 0.0)  # the frame that is not whole: its number, and when it began
        self._stuck = 0.0  # since when the device does not take its answers
        self._breach: Breach | None = None
        self._last = False
        self._pace = (0, 0.0)  # bytes of files that were taken, and when: the next PIECE_BYTES have a request's time
        self._more = False  # whether room for the next piece of a file was asked for

    @property
    def waiting(self) -> bool:  # type: ignore[override]
        """Whether the fate of a request is open, or a file on its way."""
        return bool(self._side.waiting) or self._side.sending

    @property
    def served(self) -> int:  # type: ignore[override]
        """Requests answered."""
        return self._side.served

    @property
    def reading(self) -> bool:
        """Whether the device has to finish a request, a frame or the reading of an answer."""
        return bool(self._began or self._stuck) or self._side.gate.incomplete or self._side.sending

    @property
    def since(self) -> float:
        """When the oldest of these began."""
        open_ = [*list(self._began.values())[:1], *([self._stuck] if self._stuck else [])]
        if self._side.gate.incomplete:
            open_.append(self._partial[1])
        if self._side.sending:
            open_.append(self._pace[1])
        return min(open_, default=0.0)

    @property
    def answerable(self) -> bool:
        """Streams keep answers apart."""
        return True

    def wind_up(self) -> bool:
        """Answer what is under way and nothing after it; false where nothing is, so that the connection may end now."""
        return self._side.wind_up()

    def abandon(self) -> None:
        """Give back what half-done requests held."""
        self._side.dismiss()

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if self._side.over:
            return
        if isinstance(event, events.DataReceived):
            yield from self._feed(event.data)
        elif isinstance(event, Considered):
            yield from self._answer(event.stream, event.reply)
        elif isinstance(event, Writable):
            self._more = False
            self._side.send_piece()
            yield from self._settle()
        elif isinstance(event, events.ConnectionClosed):
            # half-closed: answers under way may still be read
            self._last = True
            yield from self._settle()

    def _feed(self, data: bytes) -> CommandGenerator[None]:
        try:
            for stream, request in self._side.feed(data):
                yield Consider(request, self, stream)
        except Breach as breach:
            self._breach = breach.with_traceback(None)  # its frames would hold this layer
            yield Broken(breach, self, breach.stream)
            return
        yield from self._settle()

    def _answer(self, stream: int, reply: Reply) -> CommandGenerator[None]:
        side, breach = self._side, self._breach
        if breach is not None and stream == breach.stream:
            if stream:
                side.refuse(stream, reply.status, reply.headers, reply.body)
            side.end(breach.code, f"{breach.reason.label}: {breach.detail}")
        else:
            if reply.file is not None:
                side.answer_file(stream, reply.status, reply.headers, reply.file)
            else:
                side.answer(stream, reply.status, reply.headers, reply.body)
            if reply.close:
                side.end(NO_ERROR)
        yield from self._settle()

    def _settle(self) -> CommandGenerator[None]:
        """Write what there is to write, look at the clock, and end what has nothing more to come."""
        side = self._side
        cut_off = self._last and not (side.waiting or side.unsent or side.sending)  # what is half here stays so
        if not side.over and (cut_off or side.done):
            side.end()
        if written := side.take():
            yield commands.SendData(self._client, written)
        if side.over:
            yield commands.CloseConnection(self._client)
            return
        now = self._now()
        self._began = {stream: self._began.get(stream, now) for stream in side.half_done}
        if side.gate.incomplete and self._partial[0] != side.gate.passed:
            self._partial = (side.gate.passed, now)
        self._stuck = (self._stuck or now) if side.unsent else 0.0
        if not side.sending or not self._pace[1] or side.taken - self._pace[0] >= PIECE_BYTES:
            self._pace = (side.taken, now if side.sending else 0.0)
        if side.sendable and not self._more:
            self._more = True
            yield More()
