"""The real ledger beside commands that decide: what they decide is on its record, or is not done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.config import Config
from gateway.ledger.reader import Reader, Record
from tests.unit.ledger.peers import running


@contextmanager
def recording(config: Config) -> Iterator[None]:
    """A ledger in a thread with a loop of its own, for as long as the block."""
    config.paths.socket("ledger").parent.mkdir(parents=True, exist_ok=True)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with running(config):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10), "the ledger did not start"
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def deeds(config: Config) -> list[Record]:
    """What is on record as decided, newest first; of nobody where no ledger ever ran."""
    if not config.paths.ledger.exists():
        return []
    with Reader(config.paths.ledger) as reader:
        return reader.deeds(1000)
