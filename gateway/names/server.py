"""The resolver's edge: questions from the handed-over sockets, answers from the address that each was sent to.

It answers on the sockets it was given and must never open one of its own: no question of a device causes a packet anywhere
but back to that device. Everything a device can make it hold is bounded: questions whose sender is being looked up, TCP
connections, their time and their bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.ipc.messages import Holder
from gateway.names.answers import MAX_QUESTION, Answer, answer
from gateway.names.tally import Tally
from gateway.reasons import Reason
from gateway.registry import PoolAddress

log = logging.getLogger(__name__)

# Linux; the socket module names none of them. ip(7), ipv6(7), include/uapi/linux/in.h, in6.h
IP_ORIGDSTADDR = 20
IPV6_ORIGDSTADDR = 74
IP_PKTINFO = 8
IPV6_PKTINFO = 50

ANCILLARY_SPACE = 256
QUESTIONS_PER_TURN = 64  # then other sockets get their turn
WAITING_MOST = 256  # questions whose sender is being looked up
KNOWN_SECONDS = 1.0
KNOWN_MOST = 1024
TCP_MOST = 64
TCP_PER_ADDRESS = 4
TCP_IDLE_SECONDS = 5.0
TCP_QUESTIONS = 32  # on one connection

NOBODY = Holder(ref=0, device="", mac="")


@dataclass(frozen=True)
class _Datagram:
    sock: socket.socket
    question: bytes
    address: str  # the sender's, plain
    sender: Any  # the sender's, as the socket module has it
    source: tuple[int, int, bytes]  # control message with the address that was asked


class Resolver:
    """Answers questions for whoever holds the address they come from."""

    def __init__(
        self,
        whois: Callable[[str], Awaitable[Holder]],
        approved_for: Callable[[str], Mapping[str, PoolAddress]],
        tally: Tally,
        own: Mapping[str, PoolAddress] | None = None,
    ) -> None:
        """``whois``: an address's holder (raises OSError or TimeoutError where nobody can say); ``approved_for``: a device
        id's names; ``own``: the gateway's own names, for whoever holds an address."""
        self._whois = whois
        self._approved_for = approved_for
        self._tally = tally
        self._own = own or {}
        self._known: OrderedDict[str, tuple[float, Holder]] = OrderedDict()
        self._waiting: set[asyncio.Task[None]] = set()
        self._talking: set[asyncio.Task[None]] = set()
        self._tcp: dict[str, int] = {}
        self.answered = 0

    def known(self, address: str) -> Holder | None:
        """Who holds ``address``, if that was asked within the last second."""
        found = self._known.get(address)
        if found is None or time.monotonic() - found[0] > KNOWN_SECONDS:
            return None
        return found[1]

    async def identify(self, address: str) -> Holder:
        """Who holds ``address``; a holder without device or MAC where nobody can say."""
        holder = self.known(address)
        if holder is None:
            try:
                holder = await self._whois(address)
            except (OSError, TimeoutError):
                return NOBODY  # not remembered: steering may be back at once
            self._known[address] = (time.monotonic(), holder)
            self._known.move_to_end(address)
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
        return holder

    def resolve(self, question: bytes, address: str, holder: Holder) -> bytes | None:
        """The reply to a question from ``address``; what was an attempt is counted."""
        try:
            found = answer(question, self._names_for(holder))
        except Exception:  # deciding failed: nothing is answered
            log.exception("a question from %s could not be decided", address)
            found = Answer(None, Reason.DNS_MALFORMED)
        self.answered += 1
        if found.reason is not None:
            self._tally.add(holder.device or holder.mac or address, found.reason, found.name or ".", time.time_ns())
        return found.reply

    def _names_for(self, holder: Holder) -> Mapping[str, PoolAddress]:
        if holder.device:
            return self._approved_for(holder.device)
        return self._own if holder.mac else {}

    def take_datagrams(self, sock: socket.socket) -> None:
        """Read what has come to a UDP socket; replies leave now, or when the sender is known."""
        for _ in range(QUESTIONS_PER_TURN):
            try:
                question, ancillary, _flags, sender = sock.recvmsg(MAX_QUESTION + 1, ANCILLARY_SPACE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.warning("UDP: %s", error)
                return
            source = reply_from(ancillary)
            if source is None:
                continue  # without the original destination no answer could be recognised
            address = plain(sender[0])
            holder = self.known(address)
            datagram = _Datagram(sock, question, address, sender, source)
            if holder is not None:
                self._reply(datagram, holder)
            elif len(self._waiting) < WAITING_MOST:
                task = asyncio.get_running_loop().create_task(self._reply_later(datagram))
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)

    async def _reply_later(self, datagram: _Datagram) -> None:
        self._reply(datagram, await self.identify(datagram.address))

    def _reply(self, datagram: _Datagram, holder: Holder) -> None:
        reply = self.resolve(datagram.question, datagram.address, holder)
        if reply is not None:
            with contextlib.suppress(OSError):  # the device has gone, or its queue is full: it asks again
                datagram.sock.sendmsg([reply], [datagram.source], 0, datagram.sender)

    async def take_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Questions over TCP (RFC 7766): each with its length before it."""
        task = asyncio.current_task()
        if task is not None:
            self._talking.add(task)
            task.add_done_callback(self._talking.discard)
        try:
            address = plain(str(writer.get_extra_info("peername")[0]))
            if sum(self._tcp.values()) >= TCP_MOST or self._tcp.get(address, 0) >= TCP_PER_ADDRESS:
                return
            self._tcp[address] = self._tcp.get(address, 0) + 1
            try:
                await self._converse(reader, writer, address)
            finally:
                self._tcp[address] -= 1
                if not self._tcp[address]:
                    del self._tcp[address]
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            # a device that does not read its answers does not get to keep them waiting here
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        for _ in range(TCP_QUESTIONS):
            async with asyncio.timeout(TCP_IDLE_SECONDS):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                # one byte over the limit is enough to be refused as too long
                question = await reader.readexactly(min(length, MAX_QUESTION + 1))
                reply = self.resolve(question, address, await self.identify(address))
                if reply is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()

    async def close(self) -> None:
        """Give up what waits."""
        tasks = [*self._waiting, *self._talking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(resolver: Resolver, listeners: Mapping[str, socket.socket]) -> AsyncIterator[None]:
    """Serve on ``listeners`` ("udp4", "udp6", "tcp4", "tcp6"; those that are there) until left; closes them."""
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    datagrams = [sock for name, sock in listeners.items() if name.startswith("udp")]
    try:
        for name, sock in listeners.items():
            sock.setblocking(False)
            if name.startswith("tcp"):
                servers.append(await asyncio.start_server(resolver.take_connection, sock=sock, limit=1024))
            else:
                loop.add_reader(sock.fileno(), resolver.take_datagrams, sock)
        yield
    finally:
        for sock in datagrams:
            loop.remove_reader(sock.fileno())
        for server in servers:
            server.close()
        await resolver.close()
        for server in servers:
            await server.wait_closed()
        for sock in listeners.values():
            sock.close()


def reply_from(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int, bytes] | None:
    """The control message that makes a reply leave from the address that the question was sent to."""
    for level, kind, data in ancillary:
        # struct sockaddr_in: family, port, address
        if (level, kind) == (socket.IPPROTO_IP, IP_ORIGDSTADDR) and len(data) >= 8:
            return socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4x", 0, data[4:8])
        # struct sockaddr_in6: family, port, flow label, address, scope
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_ORIGDSTADDR) and len(data) >= 28:
            (scope,) = struct.unpack_from("=I", data, 24)
            return socket.IPPROTO_IPV6, IPV6_PKTINFO, struct.pack("=16sI", data[8:24], scope)
    return None


def plain(address: str) -> str:
    """An address without the interface that Python appends to link-local ones."""
    return address.split("%", maxsplit=1)[0]
