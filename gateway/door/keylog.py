"""TLS secrets of a device's connections, for its owner and for as long as his command listens.

Off unless a socket of root's is there: `mudroom capture` and `mudroom keys export` make it, name a device, and take it away when
they end. Nothing is written to a disk here. This must never give a secret to anybody but root, nor another device's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from gateway.ipc.channel import Channel, connect
from gateway.ipc.messages import KeyLine, WantKeys

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # how soon a door notices that its owner asks
ROOT = 0


class KeyLog:
    """Who wants which device's secrets. ``named`` is told of a device when it is asked for: its connections must begin anew."""

    def __init__(self, path: Path, named: Callable[[str], None]) -> None:
        self._path = path
        self._named = named
        self._link: Channel | None = None
        self._device = ""

    def wanted(self, device: str) -> bool:
        """Whether the secrets of ``device``'s next connection are asked for."""
        return self._device != "" and device == self._device

    def line(self, device: str, line: bytes) -> None:
        """One line of OpenSSL's (SSL_CTX_set_keylog_callback(3))."""
        if self._link is not None and self.wanted(device):
            self._link.send(KeyLine(device, line))

    async def watch(self) -> None:
        """Connect whenever the owner's command is there. Cancel to end."""
        while True:
            if self._path.exists():
                await self._listen()
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self) -> None:
        ended = asyncio.Event()
        channel = Channel(WantKeys, self._asked, lambda _: ended.set(), self._made)
        try:
            await connect(self._path, channel)
            await ended.wait()
        except OSError as error:
            log.info("%s: %s", self._path, error)  # left behind by a command that was killed
        finally:
            self._link, self._device = None, ""
            channel.close()

    def _made(self, channel: Channel) -> None:
        if channel.uid != ROOT:
            log.error("uid %d asks for TLS secrets; only root gets them", channel.uid)
            channel.close()
            return
        self._link = channel

    def _asked(self, channel: Channel, asked: WantKeys) -> None:
        if channel is self._link:
            self._device = asked.device
            log.warning("the owner takes the TLS secrets of %s", asked.device)
            self._named(asked.device)
