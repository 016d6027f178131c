"""Accepts connections and sees them through their TLS handshake, a bounded number at once: the one that took longest makes room.

Machines of the LAN can have as many addresses as they like, so the newest is let in and the slowest pays: who holds open what
he does not use cannot keep the owner out. It must never refuse a newcomer for what others hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

MOST_SHAKING = 64  # handshakes at once; one takes some milliseconds
MOST_SHAKING_EACH = 16  # of them, of one address
HANDSHAKE_SECONDS = 8.0
SHUTDOWN_SECONDS = 1.0
PAUSE_SECONDS = 0.1  # after an accept(2) that failed


class Shaking:
    """The handshakes under way on all of the gateway's sockets: those that began first stand first."""

    def __init__(self) -> None:
        self._who: dict[socket.socket, str] = {}

    def __len__(self) -> int:
        return len(self._who)

    def begin(self, sock: socket.socket, who: str) -> None:
        """One more from ``who``; another one ends where there are too many."""
        mine = [other for other, address in self._who.items() if address == who]
        if len(mine) >= MOST_SHAKING_EACH:
            self._cut(mine[0])
        elif len(self._who) >= MOST_SHAKING:
            self._cut(next(iter(self._who)))
        self._who[sock] = who

    def end(self, sock: socket.socket) -> None:
        """It is through, or over."""
        self._who.pop(sock, None)

    def _cut(self, sock: socket.socket) -> None:
        del self._who[sock]
        with contextlib.suppress(OSError):  # gone already
            sock.shutdown(socket.SHUT_RDWR)  # its handshake meets the end, and cleans up after itself


class Acceptor:
    """One listening socket at work. Has what uvicorn asks of a server."""

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None,
        shaking: Shaking,
    ) -> None:
        self.sockets = (sock,)
        self._factory = factory
        self._shaking = shaking
        self._tls: dict[str, Any] = {}
        if context is not None:
            self._tls = {
                "ssl": context, "ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": SHUTDOWN_SECONDS,
            }  # fmt: skip
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept(sock))

    def close(self) -> None:
        """Accept nobody any more."""
        self._accepting.cancel()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until all handshakes ended."""
        await asyncio.gather(self._accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except Exception as error:  # too many open files, a peer that left at once: whatever it is, others still come
                log.warning("a connection could not be accepted: %r", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._shaking.begin(sock, str(address[0]))
            task = loop.create_task(self._shake(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _shake(self, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._factory, sock, **self._tls)
        except (OSError, TimeoutError):  # ssl.SSLError too: scanners, timeouts, browsers that do not trust us
            sock.close()
        finally:
            self._shaking.end(sock)
