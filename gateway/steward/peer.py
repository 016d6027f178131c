"""The links of whoever asks the steward, and how much of its answers may lie untaken.

The pages' process may be anybody's: who asks and takes no answers shall cost root's process no more memory than a few answers do.
It must never hold up a link for what another does not take, longer than ``TAKE_SECONDS``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from gateway.ipc.channel import Channel
from gateway.ipc.frames import FrameReader

MOST_QUESTION = 65_536  # bytes
MOST_UNTAKEN = 4 * 1024 * 1024  # bytes of answers on all links; an answer may come on top
TAKE_SECONDS = 10.0


class Peer(Channel):
    """One link. While it does not take what it asked for, nothing more is read of it."""

    def __init__(self, union: Any, receive: Callable[[Channel, Any], None], peers: Peers) -> None:
        super().__init__(union, receive, lost=peers.lost, made=peers.made)
        self._reader = FrameReader(MOST_QUESTION)
        self._peers = peers

    def pause_writing(self) -> None:
        super().pause_writing()
        self.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.resume_reading()
        self._peers.taken.set()

    @property
    def untaken(self) -> int:
        """Bytes of answers that the other side has not taken."""
        waiting = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return waiting + sum(map(len, self._outbox))

    def cut(self) -> None:
        """End the link at once, and forget what was to be sent."""
        self._outbox.clear()
        if self._transport is not None:
            self._transport.abort()


class Peers:
    """All links."""

    def __init__(self) -> None:
        self.open: set[Channel] = set()
        self.taken = asyncio.Event()

    def made(self, link: Channel) -> None:
        """One more."""
        self.open.add(link)

    def lost(self, link: Channel) -> None:
        """One less."""
        self.open.discard(link)
        self.taken.set()

    async def room(self) -> None:
        """Wait until there is room for one more answer; who keeps others waiting for too long is cut off."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAKE_SECONDS):
                while self._untaken() > MOST_UNTAKEN:
                    self.taken.clear()
                    await self.taken.wait()
                return
        for link in list(self.open):
            if isinstance(link, Peer) and link.untaken:
                link.cut()

    def _untaken(self) -> int:
        return sum(link.untaken for link in self.open if isinstance(link, Peer))
