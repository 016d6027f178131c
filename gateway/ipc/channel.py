"""Frames (``frames``) over a Unix stream socket, on asyncio.

``Channel`` knows its peer's uid from the kernel (SO_PEERCRED). A peer that breaks the framing or sends a type outside the
link's union is cut off.
"""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from gateway.ipc.frames import FrameError, FrameReader, decoded, encode
from gateway.ipc.inherited import given
from gateway.service import GROUP

MOST_PEERS = 128  # connections of one user to one service; there are at most 64 door workers
log = logging.getLogger(__name__)


class Channel(asyncio.Protocol):
    """One end of a link. ``receive`` is called with each decoded message, ``lost`` once at the end."""

    def __init__(
        self,
        union: Any,
        receive: Callable[[Channel, Any], None],
        lost: Callable[[Channel], None] = lambda channel: None,
        made: Callable[[Channel], None] = lambda channel: None,
    ) -> None:
        self._decoder = msgspec.msgpack.Decoder(union)
        self._receive = receive
        self._lost = lost
        self._made = made
        self._reader = FrameReader()
        self._outbox: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self.uid = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.uid = peer_uid(transport.get_extra_info("socket"))
        self._made(self)

    def data_received(self, data: bytes) -> None:
        if not self.open:
            return  # cut off; what it had sent already counts for nothing
        try:
            for payload in self._reader.feed(data):
                self._receive(self, decoded(self._decoder, payload))
        except FrameError as error:
            log.error("cut off a peer (uid %d): %s", self.uid, error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    @property
    def open(self) -> bool:
        """Whether messages can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def congested(self) -> bool:
        """Whether the peer reads more slowly than we write; whoever can wait should."""
        return self._paused

    def pause_reading(self) -> None:
        """Take nothing more from the peer, who will feel it; what it sent already may still come."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take messages again."""
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message; all that one turn of the loop queues leaves in one write. Silent once the link is lost."""
        if self._transport is None:
            return
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(encode(message))

    def close(self) -> None:
        """End the link after what was queued."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._outbox and self._transport is not None:
            self._transport.write(b"".join(self._outbox))
        self._outbox.clear()


def peer_uid(sock: socket.socket) -> int:
    """The uid of the process at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    # asyncio and uvloop hand out a wrapper that has getsockopt but is no socket.socket
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)


async def serve(path: Path, factory: Callable[[], Channel], uids: Iterable[int] | None = None) -> asyncio.Server:
    """Listen at ``path`` (mode 0660; an old socket there is replaced). Peers outside ``uids`` and root are cut off.

    One user gets ``MOST_PEERS`` connections: a broken worker shall not take the descriptors that others need.
    A socket that systemd listens on at ``path`` already is taken over as it is; ``withdraw`` it or its own at the end.
    """
    allowed = None if uids is None else {0, *uids}
    peers: Counter[int] = Counter()

    def guarded() -> Channel:
        channel = factory()
        made, lost = channel._made, channel._lost

        def check(channel: Channel) -> None:
            peers[channel.uid] += 1
            if allowed is not None and channel.uid not in allowed:
                log.error("uid %d may not speak to %s", channel.uid, path)
                channel.close()
            elif peers[channel.uid] > MOST_PEERS:
                log.error("uid %d has %d connections to %s; it gets no more", channel.uid, MOST_PEERS, path)
                channel.close()
            else:
                made(channel)

        def count(channel: Channel) -> None:
            peers[channel.uid] -= 1
            lost(channel)

        channel._made, channel._lost = check, count
        return channel

    given.take_over()
    inherited = given.pop(path)
    if inherited is not None:
        return await asyncio.get_running_loop().create_unix_server(guarded, sock=inherited, cleanup_socket=False)
    path.unlink(missing_ok=True)
    server = await asyncio.get_running_loop().create_unix_server(guarded, str(path))
    share(path)
    return server


def withdraw(path: Path) -> None:
    """Remove the socket at ``path`` once its server is closed; one that systemd made stays, and clients wait at it."""
    if not given.owns(path):
        path.unlink(missing_ok=True)


def share(path: Path) -> None:
    """Let the gateway's processes connect to a socket of ours: mode 0660, group ``mudroom``; who they are is asked by uid."""
    try:
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    except (KeyError, PermissionError):  # outside the appliance's user land
        log.error("group %s cannot have %s: only root and this user can connect", GROUP, path)
    path.chmod(0o660)


async def connect(path: Path, channel: Channel) -> Channel:
    """Connect ``channel`` to the service at ``path``. Raises OSError."""
    await asyncio.get_running_loop().create_unix_connection(lambda: channel, str(path))
    return channel


async def keep_connected(path: Path, factory: Callable[[], Channel], first: float = 0.05, most: float = 2.0) -> None:
    """Hold one channel to ``path`` open for ever, reconnecting with back-off (seconds). Cancel to end."""
    wait = first
    while True:
        ended = asyncio.Event()
        channel = factory()
        lost = channel._lost

        def noted(channel: Channel, lost: Callable[[Channel], None] = lost, ended: asyncio.Event = ended) -> None:
            ended.set()
            lost(channel)

        channel._lost = noted
        try:
            await connect(path, channel)
        except OSError as error:
            log.info("%s is not there yet: %s", path, error)
        else:
            wait = first
            try:
                await ended.wait()
            except asyncio.CancelledError:
                channel.close()
                raise
        await asyncio.sleep(wait)
        wait = min(wait * 2, most)
