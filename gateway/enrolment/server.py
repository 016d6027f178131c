"""Connections to enrolment: who is it, TLS, one request at a time, an end. Everything a stranger can hold is bounded.

It serves the sockets that steering gave and must never open one of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable

from gateway.enrolment.est import Answer, Est, Visitor, refused
from gateway.http1 import Limits, RequestParser, Violation, render_response
from gateway.ipc.messages import Holder
from gateway.reasons import Reason

log = logging.getLogger(__name__)

MOST_OPEN = 64  # connections, those whose sender is being looked up among them
MOST_STRANGERS = 16  # of all strangers together: admitted devices always find a place
MOST_EACH = 2
WHOLE_SECONDS = 20.0  # for a connection, whatever happens on it
HANDSHAKE_SECONDS = 8.0
SHUTDOWN_SECONDS = 1.0
WHOIS_SECONDS = 2.0
REQUESTS = 8  # on one connection
LIMITS = Limits(head_bytes=4096, header_count=24, body_bytes=8192)
READ_BYTES = 4096

Note = Callable[[str, Reason], None]


class Server:
    """``whois``: an address's holder; ``context``: the TLS context now; ``note``: takes each device (id or MAC) and reason."""

    def __init__(
        self,
        whois: Callable[[str], Awaitable[Holder]],
        context: Callable[[], Awaitable[ssl.SSLContext]],
        est: Est,
        note: Note,
    ) -> None:
        self._whois = whois
        self._context = context
        self._est = est
        self._note = note
        self._tasks: set[asyncio.Task[None]] = set()
        self._each: Counter[str] = Counter()
        self._strangers = 0

    async def accept(self, listener: socket.socket) -> None:
        """Take connections from ``listener`` for ever. Cancel to end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:  # no descriptors left, or the peer was gone before we looked
                log.warning("no connection taken: %s", error)
                await asyncio.sleep(0.1)
                continue
            if len(self._tasks) >= MOST_OPEN:
                connection.close()
                continue
            task = loop.create_task(self._serve(connection, str(address[0])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, connection: socket.socket, address: str) -> None:
        """One connection, from the question who it is to its end."""
        with connection:
            try:
                async with asyncio.timeout(WHOIS_SECONDS):
                    holder = await self._whois(address)
            except (OSError, TimeoutError):
                holder = Holder(0, "", "")
            if not holder.mac:
                self._note(address, Reason.IDENTITY_UNKNOWN)
                return
            who, stranger = holder.device or holder.mac, not holder.device
            if self._each[who] >= MOST_EACH or (stranger and self._strangers >= MOST_STRANGERS):
                self._note(who, Reason.CONNECTION_LIMIT)
                return
            self._each[who] += 1
            self._strangers += stranger
            try:
                async with asyncio.timeout(WHOLE_SECONDS):
                    await self._talk(connection, holder, who)
            except TimeoutError:
                self._note(who, Reason.TIMEOUT)
            except Exception:
                log.exception("a connection of %s failed", who)
                self._note(who, Reason.ENROLMENT_FAILED)
            finally:
                self._strangers -= stranger
                self._each[who] -= 1
                if not self._each[who]:
                    del self._each[who]

    async def _talk(self, connection: socket.socket, holder: Holder, who: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            context = await self._context()
        except (OSError, ValueError) as error:
            log.error("no TLS for enrolment: %s", error)
            self._note(who, Reason.NO_LEAF)
            return
        reader = asyncio.StreamReader(limit=READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS, ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )  # fmt: skip
        except (OSError, EOFError) as error:  # ssl.SSLError is an OSError
            self._note(who, failure_reason(error))
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            tls = transport.get_extra_info("ssl_object")
            visitor = Visitor(holder.mac, holder.device, tls.getpeercert(binary_form=True))
            with contextlib.suppress(OSError, EOFError):  # it went away in the middle
                await self._converse(reader, writer, visitor, who)
            writer.close()
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await writer.wait_closed()
        finally:
            transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visitor: Visitor, who: str) -> None:
        parser = RequestParser(LIMITS)
        for number in range(1, REQUESTS + 1):
            try:
                request = None
                while request is None:
                    data = await reader.read(READ_BYTES)
                    if not data:
                        return
                    request = parser.feed(data)
            except Violation as violation:
                answer, close = refused(violation.reason, violation.detail, violation.status), True
            else:
                answer, close = await self._est.answer(request, visitor), request.close or number == REQUESTS
                parser.answered()
            if answer.reason is not None:
                self._note(who, answer.reason)
            await _write(writer, answer, close=close)
            if close:
                return


async def _write(writer: asyncio.StreamWriter, answer: Answer, *, close: bool) -> None:
    writer.write(render_response(answer.status, answer.headers, answer.body, close=close))
    await writer.drain()


def failure_reason(error: Exception) -> Reason:
    """Why a handshake failed, from OpenSSL's words."""
    words = str(error)
    if "CALLBACK_FAILED" in words:
        return Reason.SNI_NOT_APPROVED
    return Reason.CERTIFICATE_UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in words else Reason.TLS_FAILED
