"""The link on which a process tells the ledger what it dropped. What is told waits in its teller's tally, which is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sized
from pathlib import Path
from typing import Protocol

from gateway.ipc.channel import Channel, keep_connected
from gateway.ipc.messages import AskStatus, Attempt

REPORT_SECONDS = 0.5


class Tally(Sized, Protocol):
    """What was counted since the last ``drain``."""

    def drain(self) -> Iterable[Attempt]:
        """What was counted; counting starts anew."""


class Reports:
    """The link to the ledger; attempts wait in the tally while it is down or slow."""

    def __init__(self, path: Path, tally: Tally) -> None:
        self._path = path
        self._tally = tally
        self._link: Channel | None = None

    async def run(self) -> None:
        """Report for ever. Cancel to end; what is left is sent if the ledger is there."""
        link = asyncio.create_task(keep_connected(self._path, self._make))
        try:
            while True:
                await asyncio.sleep(REPORT_SECONDS)
                self._report()
        finally:
            self._report()
            if self._link is not None:
                self._link.close()
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    def _report(self) -> None:
        if len(self._tally) and self._link is not None and self._link.open and not self._link.congested:
            for attempt in self._tally.drain():
                self._link.send(attempt)

    def _make(self) -> Channel:
        # the ledger says nothing on this link; whatever it did say would cut the link
        return Channel(AskStatus, receive=lambda link, _message: link.close(), made=self._made, lost=self._lost)

    def _made(self, link: Channel) -> None:
        self._link = link

    def _lost(self, link: Channel) -> None:
        if self._link is link:
            self._link = None
