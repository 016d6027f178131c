"""The layers between a device's bytes and its messages, sans-io: events in, commands out (mitmproxy's layer protocol).

``DeviceTlsLayer`` is mitmproxy's with a proper end; ``EnvelopeLayer`` stands where mitmproxy would put its HTTP layer and
speaks the strict HTTP/1.1 of gateway.http1; ``layer2`` has the one for HTTP/2. None of them decides what a message may carry, and
none may ever ask for a connection to anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from OpenSSL import SSL

from gateway.door.mitm import (
    Client,
    ClientTLSLayer,
    CommandGenerator,
    ConnectionState,
    Context,
    Layer,
    commands,
    events,
)
from gateway.http1 import Limits, Request, RequestParser, Violation, render_response
from gateway.http1.writing import render_head

RECORD_BYTES = 16_384  # RFC 8446, section 5.1
PIECE_BYTES = 65_536  # of a file, handed on at once


class Content(Protocol):
    """Content that is too large to be held: read in pieces, as fast as the device takes them."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read(self, most: int) -> bytes:
        """The next bytes; empty where there will be no more, too early also: the connection then ends."""

    def close(self) -> None:
        """Nothing more is read; called once or more, whatever happened."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the device is answered. ``close``: nothing more is heard from it on this connection.

    Whoever gets one with a ``file`` closes that.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    close: bool = False
    file: Content | None = None  # in place of ``body``


@dataclass(eq=False)
class Consider(commands.Command):
    """A whole request, to be judged; a ``Considered`` follows when its fate is known."""

    request: Request
    layer: HttpLayer
    stream: int = 0  # of HTTP/2


@dataclass(eq=False)
class Considered(events.Event):
    """The fate of the request."""

    reply: Reply
    stream: int = 0


@dataclass(eq=False)
class More(commands.Command):
    """A file is being sent; a ``Writable`` follows when all that was given so far is on its way."""


@dataclass(eq=False)
class Writable(events.Event):
    """Nothing that was given waits any more; see ``More``."""


@dataclass(eq=False)
class Broken(commands.Command):
    """The device broke the rules of HTTP. Where ``layer`` waits for no other answer, a ``Considered`` follows."""

    violation: Violation
    layer: HttpLayer
    stream: int = 0


@dataclass(eq=False)
class TlsBroken(commands.Command):
    """A record that does not decrypt, or an alert: the connection is over."""

    detail: str


class DeviceTlsLayer(ClientTLSLayer):
    """TLS with a device. Unlike mitmproxy's, an error in a record ends it, and closing says so (close_notify)."""

    def receive_data(self, data: bytes) -> CommandGenerator[None]:
        """Decrypt, and hand on what came."""
        tls = self.tls
        if data:
            tls.bio_write(data)
        plain: list[bytes] = []
        ended = False
        try:
            while True:
                plain.append(tls.recv(RECORD_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            ended = True
        except SSL.Error as error:
            yield TlsBroken(repr(error))
            return
        yield from self.tls_interact()
        if plain:
            yield from self.event_to_child(events.DataReceived(self.conn, b"".join(plain)))
        if ended:
            self.conn.state &= ~ConnectionState.CAN_READ
            yield from self.event_to_child(events.ConnectionClosed(self.conn))

    def send_close(self, command: commands.CloseConnection) -> CommandGenerator[None]:
        """close_notify (RFC 8446, section 6.1), then the end."""
        try:
            self.tls.shutdown()
        except SSL.Error:
            pass  # the peer broke off first; there is nobody left to notify
        else:
            yield from self.tls_interact()
        yield command


class Threshold(Layer):
    """The bottom of the stack: TLS and nothing else. mitmproxy's transparent mode would plan a connection here."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.tls = DeviceTlsLayer(context)

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        yield from self.tls.handle_event(event)

    def handle_event(self, event: events.Event) -> CommandGenerator[None]:
        """Straight to TLS: nothing here can pause."""
        return self.tls.handle_event(event)


class HttpLayer(Layer):
    """What the door's clock needs to know of a connection, whichever HTTP it speaks."""

    waiting: bool  # for the fate of a request
    served: int  # requests answered

    @property
    def reading(self) -> bool:
        """Whether something has begun that the device has to finish."""
        raise NotImplementedError

    @property
    def since(self) -> float:
        """Where ``reading``: when that began, by the loop's clock; 0 where whoever asks has to remember."""
        return 0.0

    @property
    def answerable(self) -> bool:
        """Whether an answer to a broken rule would be taken for the answer to what broke it."""
        return not self.waiting

    def wind_up(self) -> bool:
        """Answer what is under way and nothing after it; false where nothing is, so that the connection may end now."""
        raise NotImplementedError

    def abandon(self) -> None:
        """The connection is gone: give back what it held."""


class EnvelopeLayer(HttpLayer):
    """HTTP/1.1 with a device: one request at a time, each judged as a whole."""

    def __init__(self, context: Context, limits: Limits) -> None:
        super().__init__(context)
        self._parser = RequestParser(limits)
        self._client: Client = context.client
        self.waiting = False
        self.served = 0
        self._last = False
        self._over = False
        self._file: Content | None = None
        self._left = 0  # bytes of the file that were not read yet

    @property
    def reading(self) -> bool:
        """Whether a request has begun and is not complete."""
        return not self.waiting and self._parser.started

    def wind_up(self) -> bool:
        """Answer what is under way and nothing after it; false where nothing is, so that the connection may end now."""
        self._last = True
        return self.waiting or self._parser.started

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if self._over:
            return
        if isinstance(event, events.DataReceived):
            yield from self._feed(event.data)
        elif isinstance(event, Considered):
            yield from self._answer(event.reply)
        elif isinstance(event, Writable):
            yield from self._send_on()
        elif isinstance(event, events.ConnectionClosed):
            # half-closed: an answer under way may still be read
            self._last = True
            if not self.waiting:
                self._over = True
                yield commands.CloseConnection(self._client)

    def _feed(self, data: bytes) -> CommandGenerator[None]:
        try:
            request = self._parser.feed(data)
        except Violation as violation:
            yield Broken(violation, self)
            return
        if request is not None:
            self.waiting = True
            self._last = self._last or request.close
            yield Consider(request, self)

    def _answer(self, reply: Reply) -> CommandGenerator[None]:
        close = reply.close or self._last
        if reply.file is not None:
            # still waiting: whatever the device says before the file's end is too early
            self._file, self._left, self._last = reply.file, reply.file.size, close
            yield commands.SendData(self._client, render_head(reply.status, reply.headers, self._left, close=close))
            yield from self._send_on()
            return
        yield commands.SendData(self._client, render_response(reply.status, reply.headers, reply.body, close=close))
        yield from self._answered(close)

    def _answered(self, close: bool) -> CommandGenerator[None]:
        self.waiting = False
        self.served += 1
        if close:
            self._over = True
            yield commands.CloseConnection(self._client)
        else:
            self._parser.answered()

    def _send_on(self) -> CommandGenerator[None]:
        """One piece at a time, so that one device's file holds up nobody and never stands in memory."""
        file = self._file
        if file is None:
            return
        piece = file.read(min(PIECE_BYTES, self._left)) if self._left else b""
        if piece:
            self._left -= len(piece)
            yield commands.SendData(self._client, piece)
            if self._left or self._last:  # at the very end, too: the connection ends when nothing waits for the device any more
                yield More()
                return
        self.abandon()
        # what is cut short must not look whole: the connection ends before the length that was told
        yield from self._answered(self._last or self._left > 0)

    def abandon(self) -> None:
        """Read nothing more of a file: it is sent, or nobody is there to take it."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
