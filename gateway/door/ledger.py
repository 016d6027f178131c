"""The door's end of the link to the ledger: messages go in, outcomes come back; a broken link fails what waits on it.

It must never report a message as recorded that the ledger did not say it had recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from gateway.ipc.channel import Channel, keep_connected
from gateway.ipc.handouts import HandedOut, Handout
from gateway.ipc.messages import AskInbox, Attempt, EntryRefused, InboxAnswer, LedgerToDoor, Outcome, Refused, Submit

log = logging.getLogger(__name__)

MAX_WAITING = 4096  # messages of one worker that wait for the ledger
GRACE_SECONDS = 10.0  # beyond the wait that the ledger was given
SWEEP_SECONDS = 1.0

Done = Callable[[Outcome | None], None]
Told = Callable[[InboxAnswer | None], None]


class LedgerLink:
    """One channel for all connections of a worker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel: Channel | None = None
        self._waiting: dict[int, tuple[float, Done]] = {}
        self._asking: dict[int, tuple[float, Told]] = {}
        self._last = 0
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Keep the link up. Cancel to end."""
        sweeper = self._loop.create_task(self._sweep())
        try:
            await keep_connected(self._path, self._make)
        finally:
            sweeper.cancel()

    @property
    def up(self) -> bool:
        """Whether the ledger takes messages now."""
        channel = self._channel
        return channel is not None and channel.open and not channel.congested and len(self._waiting) < MAX_WAITING

    def next_ref(self) -> int:
        """A number for the next Submit."""
        self._last += 1
        return self._last

    def submit(self, message: Submit | Handout, done: Done) -> bool:
        """Hand a message over; ``done`` gets its outcome, or None where the ledger was lost. False: not taken, never will be."""
        if not self.up or self._channel is None:
            return False
        self._waiting[message.ref] = (self._loop.time() + message.wait_ms / 1000 + GRACE_SECONDS, done)
        self._channel.send(message)
        return True

    def ask(self, message: AskInbox, told: Told) -> bool:
        """As ``submit``, for what waits for a device."""
        if not self.up or self._channel is None or len(self._asking) >= MAX_WAITING:
            return False
        self._asking[message.ref] = (self._loop.time() + GRACE_SECONDS, told)
        self._channel.send(message)
        return True

    def tell(self, message: Refused | Attempt | HandedOut | EntryRefused) -> bool:
        """Hand over what needs no answer; False where the ledger cannot take it now."""
        if self._channel is None or not self._channel.open or self._channel.congested:
            return False
        self._channel.send(message)
        return True

    def _make(self) -> Channel:
        return Channel(LedgerToDoor, self._receive, lost=self._lost, made=self._made)

    def _made(self, channel: Channel) -> None:
        self._channel = channel

    def _lost(self, channel: Channel) -> None:
        if self._channel is channel:
            self._channel = None
        waiting, self._waiting = self._waiting, {}
        asking, self._asking = self._asking, {}
        for _deadline, done in waiting.values():
            done(None)
        for _deadline, told in asking.values():
            told(None)

    def _receive(self, _channel: Channel, message: Outcome | InboxAnswer) -> None:
        if isinstance(message, InboxAnswer):
            asking = self._asking.pop(message.ref, None)
            if asking is not None:
                asking[1](message)
            return
        waiting = self._waiting.pop(message.ref, None)
        if waiting is not None:
            waiting[1](message)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._loop.time()
            # all wait the same time, so the oldest stand first
            while self._waiting:
                ref = next(iter(self._waiting))
                deadline, done = self._waiting[ref]
                if deadline > now:
                    break
                del self._waiting[ref]
                log.error("the ledger did not answer in time")
                done(None)
            for ref, (_, told) in [item for item in self._asking.items() if item[1][0] <= now]:
                del self._asking[ref]
                log.error("the ledger did not say in time what waits")
                told(None)
