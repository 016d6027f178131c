"""The one thread that touches the ledger's file, so that a slow disk never holds up the event loop.

Jobs run in the order in which they were given. It must never run two at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

log = logging.getLogger(__name__)
Job = tuple[Callable[[], Any], Callable[[Any], None]]


class Writer:
    """A thread and its queue. The queue is as long as its users let it grow: each keeps at most one job of a kind in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def run(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run ``job`` in the thread, then ``done(result)`` in the event loop; an exception is a result too."""
        self._jobs.put((job, done))

    async def stop(self) -> None:
        """Finish what was given and end the thread."""
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            result: Any
            try:
                result = job()
            except Exception as error:  # whatever it is, the event loop must hear of it and fail closed
                result = error
            self._loop.call_soon_threadsafe(done, result)
