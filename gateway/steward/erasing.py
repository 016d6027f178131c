"""Erasing what a device said, as `mudroom ledger erase` does: on record with who wanted it, then by the ledger's own process.

It must never erase anything itself, nor hold up other questions: a long record takes minutes.
"""

from __future__ import annotations

import asyncio

from gateway.config import Config
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.messages import AskErase, Erased
from gateway.ipc.recording import Erase, Erasing
from gateway.ledger import asked
from gateway.noting import on_record

SECONDS = 600.0  # all of a long record is looked at
WAIT_SECONDS = 10.0  # then the page goes on without the end


class Eraser:
    """One erasing at a time. ``words``: how the last one went."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._task: asyncio.Task[Erasing] | None = None
        self.words = ""

    async def erase(self, message: Erase, by: str) -> Erasing:
        """How it went, or that it goes on."""
        if self._task is not None and not self._task.done():
            return Erasing(message.ref, error="something else is being erased; wait until that has ended")
        try:
            before = asked.moment(message.before) if message.before else 0
        except asked.AskedError as error:
            return Erasing(message.ref, error=str(error)[:512])
        if not message.device:
            return Erasing(message.ref, error="say which device")
        self._task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._erase, message, before, by))
        done, _ = await asyncio.wait({self._task}, timeout=WAIT_SECONDS)
        if done:
            return self._task.result()
        return Erasing(message.ref, "It goes on; this page tells when it has ended.")

    def _erase(self, message: Erase, before: int, by: str) -> Erasing:
        device = message.device
        self.words = f"What {device} said is being erased."
        try:
            on_record(self._config, device, "erase", by, f"before {message.before}" if message.before else "")
            said = ask(self._config.paths.socket("ledger"), AskErase(1, device, before), Erased, timeout=SECONDS)
        except NoAnswer as error:
            self.words = f"Erasing what {device} said did not end: {error}"[:400]
            return Erasing(message.ref, error=str(error)[:512])
        if said.error:
            self.words = f"What {device} said was not erased: {said.error}"[:400]
            return Erasing(message.ref, error=said.error[:512])
        self.words = f"{said.erased + said.removed} records of {device} are erased; record {said.note} says so."
        if said.waiting:
            self.words += f" {said.waiting} messages wait for their vendor; they are erased once they have ended."
        if not said.scrubbed:
            self.words += " Somebody reads in the record: its write-ahead log holds remains until he has ended."
        return Erasing(message.ref, self.words)
