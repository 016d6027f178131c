"""A worker's link to steering: the listening sockets it is given, and who a device is. It must never make a socket itself.

The registration lives as long as the connection: when it is lost, packets are no longer steered to the sockets, so the
worker closes them and connects again.
"""

from __future__ import annotations

import array
import asyncio
import socket
from pathlib import Path
from typing import Self

import msgspec

from gateway.ipc.frames import FrameError, FrameReader, decoded, encode
from gateway.ipc.messages import Holder, Listeners, Register, WhoIs

MAX_FRAME = 65536
ANSWER_SECONDS = 10
_MOST_SOCKETS = 8


class Registration:
    """Held by one worker of one role. ``listeners``: sockets by "tcp4", "tcp6" and, for names, "udp4", "udp6"."""

    def __init__(self, sock: socket.socket) -> None:
        self.listeners: dict[str, socket.socket] = {}
        self._sock = sock
        self._reader = FrameReader(MAX_FRAME)
        self._decoder = msgspec.msgpack.Decoder(Listeners | Holder)
        self._waiting: dict[int, asyncio.Future[Holder]] = {}
        self._ref = 0
        self._given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost = asyncio.Event()
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def whois(self, address: str) -> Holder:
        """Which device holds this address. Raises ConnectionError where steering is gone: treat it as nobody."""
        if self._lost.is_set():
            raise ConnectionError("steering is gone")
        self._ref += 1
        ref = self._ref
        future: asyncio.Future[Holder] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = future
        try:
            frame = encode(WhoIs(ref, address))
            try:
                sent = self._sock.send(frame)
            except OSError as error:
                self._end()
                raise ConnectionError(f"steering is gone: {error}") from error
            if sent != len(frame):  # steering has not read for so long that half a question fits: do not go on after that
                self._end()
                raise ConnectionError("steering does not read")
            return await future
        finally:
            self._waiting.pop(ref, None)

    async def wait_lost(self) -> None:
        """Return once the link is gone; ``listeners`` then get nothing any more."""
        await self._lost.wait()

    def close(self) -> None:
        """Give the registration up and close the listeners that nobody took over (``listeners.pop``)."""
        self._end()
        for sock in self.listeners.values():
            sock.close()
        self.listeners.clear()

    async def _ready(self) -> None:
        await self._given

    def _read(self) -> None:
        try:
            data, descriptors = _receive(self._sock)
            # made sockets at once, so that an error further down closes them too
            fresh = [socket.socket(fileno=number) for number in descriptors]
            try:
                if not data:
                    raise ConnectionError("steering closed the link")
                for payload in self._reader.feed(data):
                    message = decoded(self._decoder, payload)
                    if isinstance(message, Holder):
                        future = self._waiting.get(message.ref)
                        if future is not None and not future.done():
                            future.set_result(message)
                        continue
                    if self._given.done() or len(message.names) != len(fresh):
                        raise ConnectionError(f"steering sent {len(fresh)} sockets for {len(message.names)} names")
                    for name in message.names:
                        self.listeners[name] = fresh.pop(0)
                        self.listeners[name].setblocking(False)
                    self._given.set_result(None)
            finally:
                for sock in fresh:
                    sock.close()
        except (BlockingIOError, InterruptedError):
            return
        except (FrameError, OSError) as error:
            self._end(error)

    def _end(self, error: Exception | None = None) -> None:
        if self._lost.is_set():
            return
        self._lost.set()
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()
        gone = ConnectionError(f"steering is gone: {error}" if error else "steering is gone")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(gone)
        if not self._given.done():
            self._given.set_exception(gone)


async def connect(path: Path, role: str, worker: int) -> Registration:
    """Register ``worker`` of ``role`` ("door", "names") at the steering socket. Raises OSError."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await loop.sock_connect(sock, str(path))
        sock.send(encode(Register(role, worker)))
    except BaseException:
        sock.close()
        raise
    registration = Registration(sock)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await registration._ready()
    except BaseException:
        registration.close()
        raise
    return registration


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    numbers = array.array("i")
    data, ancillary, flags, _ = sock.recvmsg(
        MAX_FRAME, socket.CMSG_LEN(_MOST_SOCKETS * numbers.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    if flags & socket.MSG_CTRUNC:
        for number in numbers:
            socket.close(number)
        raise ConnectionError("steering sent more sockets than the system let in; raise the limit of open files")
    return data, list(numbers)
