"""The HTTP/1.1 server, with a bound on everything that a visitor can hold."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.http1.violation import Violation
from gateway.web.accepting import Acceptor, Shaking
from gateway.web.framing import HEAD_BYTES, Gate

log = logging.getLogger(__name__)

MOST_OPEN = 128  # connections after their handshake
MOST_EACH = 24  # of them, of one address: a browser opens six, and keeps a stream for each page
FIRST_SECONDS = 10.0  # from the handshake's end to the end of a request
KEEP_SECONDS = 20
STUCK_SECONDS = 20.0  # an answer that nobody takes


class Bounded(H11Protocol):
    """uvicorn's protocol with an end for whoever connects and says nothing, and a share for each address.

    Where all places are taken, the one that waits longest for its visitor makes room: addresses are for anybody to invent.
    """

    each: ClassVar[Counter[str]] = Counter()
    waiting: ClassVar[dict[Bounded, None]] = {}  # for their visitors to speak or to take, who waits longest stands first
    counted = ""
    first: asyncio.TimerHandle | None = None
    stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.gate = Gate()
        self.counted = str(self.client[0]) if self.client else "?"
        self.each[self.counted] += 1
        if self.each[self.counted] > MOST_EACH:
            transport.abort()
            return
        if len(self.connections) > MOST_OPEN:
            longest = next(iter(self.waiting), self)
            self.waiting.pop(longest, None)
            longest.transport.abort()
            if longest is self:
                return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._taken()
        self._heard()
        if self.counted:
            self.each[self.counted] -= 1
            if not self.each[self.counted]:
                del self.each[self.counted]
            self.counted = ""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        try:
            self.gate.feed(data)
        except Violation as violation:
            self._refuse(violation)
            return
        before = self.cycle
        if self.first is None and (before is None or before.response_complete):
            self._wait()  # the next request on this connection
        super().data_received(data)
        if self.cycle is not before or (self.cycle is not None and not self.cycle.more_body):
            self._heard()
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete and self.first is None:
            self._wait()  # its head is here, its body is not

    def _refuse(self, violation: Violation) -> None:
        log.warning("%s is not understood: %s", self.counted, violation)
        if self.cycle is None or self.cycle.response_complete:  # else another answer is on its way
            words = violation.detail.encode()
            head = f"HTTP/1.1 {violation.status} Not understood\r\ncontent-type: text/plain\r\ncontent-length: {len(words)}\r\n"
            self.transport.write(f"{head}cache-control: no-store\r\nconnection: close\r\n\r\n".encode() + words)
            self.transport.close()
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        if self.counted:
            self.waiting[self] = None
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.stuck is None:
            self.stuck = self.loop.call_later(STUCK_SECONDS, self.transport.abort)
            self.waiting.setdefault(self)  # for its visitor to take what he asked for

    def resume_writing(self) -> None:
        self._taken()
        if self.first is None and self.cycle is not None and not self.cycle.response_complete:
            self.waiting.pop(self, None)
        super().resume_writing()

    def _taken(self) -> None:
        if self.stuck is not None:
            self.stuck.cancel()
            self.stuck = None

    def _wait(self) -> None:
        self.waiting.setdefault(self)
        self.first = self.loop.call_later(FIRST_SECONDS, self.transport.abort)

    def _heard(self) -> None:
        if self.stuck is None:
            self.waiting.pop(self, None)
        if self.first is not None:
            self.first.cancel()
            self.first = None


class Server(uvicorn.Server):
    """uvicorn's, with a deadline for handshakes. Signals are the process's own."""

    def __init__(self, app: ASGIApp, context: ssl.SSLContext | None) -> None:
        settings = uvicorn.Config(
            app, http=Bounded, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, timeout_keep_alive=KEEP_SECONDS, timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=HEAD_BYTES,
        )  # fmt: skip
        settings.load()
        super().__init__(settings)
        self._context = context
        self._shaking = Shaking()

    @property
    def visited(self) -> tuple[int, int]:
        """How many connections there are, and how many requests there were."""
        return len(self.server_state.connections) + len(self._shaking), self.server_state.total_requests

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        self.servers = []
        for sock in sockets or ():
            sock.setblocking(False)
            self.servers.append(Acceptor(sock, self._protocol, self._context, self._shaking))  # type: ignore[arg-type]
        self.started = True

    def _protocol(self) -> Bounded:
        return Bounded(self.config, self.server_state, {})
