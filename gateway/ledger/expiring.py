"""Gives up messages that nobody took for too long. It must never give up one that has had no try since the box came up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from gateway.ledger.batch import Answer, Batch
from gateway.ledger.schedule import Schedule
from gateway.ledger.store import Store
from gateway.ledger.writer import Writer
from gateway.reasons import Reason

log = logging.getLogger(__name__)

EXPIRY_SECONDS = 30.0
MOST_AT_ONCE = 256


class Expiring:
    """``patience``: seconds; ``failed``: told where the file cannot be used."""

    def __init__(
        self, store: Store, writer: Writer, schedule: Schedule, patience: float, failed: Callable[[Exception], None]
    ) -> None:
        self._store = store
        self._writer = writer
        self._schedule = schedule
        self._patience = patience
        self._failed = failed
        self._under_way: set[str] = set()  # hosts
        self._due = 0.0
        self._began = time.monotonic()
        self._found = store.head[0]  # the last record of earlier runs

    def look(self, now: float) -> None:
        """For old messages, now and then, and only for hosts whose last try failed: after a long rest all get a try first."""
        if now < self._due:
            return
        self._due = now + min(EXPIRY_SECONDS, self._patience / 2)
        before = time.time_ns() - int(self._patience * 10**9)
        # What came in this run is no older than the run, whatever a clock that was set meanwhile makes of it.
        newest = self._found if time.monotonic() - self._began < self._patience else None
        for name, host in self._schedule.hosts.items():
            if host.failures and not host.loading and name not in self._under_way:
                self._under_way.add(name)
                skip = set(host.flying)
                self._writer.run(
                    lambda name=name, skip=skip: self._give_up(name, skip, before, newest),  # type: ignore[misc]
                    lambda result, name=name: self._given_up(name, result),  # type: ignore[misc]
                )

    def _give_up(self, host: str, skip: set[int], before: int, newest: int | None) -> list[int]:
        """In the writer's thread: record the end of each message that is too old; returns their seqs."""
        late = self._store.overdue(host, skip, before, MOST_AT_ONCE)
        late = [found for found in late if newest is None or found.seq <= newest]
        detail = Reason.EXPIRED.words
        ends = [Answer(m.seq, m.id, m.device, m.vendor, m.host, m.type, 0, Reason.EXPIRED.code, detail, b"", b"") for m in late]
        if ends:
            self._store.commit(Batch(answers=ends))
        return [message.seq for message in late]

    def _given_up(self, host: str, result: Any) -> None:
        self._under_way.discard(host)
        if isinstance(result, Exception):
            self._failed(result)
            return
        for seq in result:
            self._schedule.expired(host, seq)
        if result:
            log.warning("%s: gave up %d messages that nobody took", host, len(result))
        if len(result) >= MOST_AT_ONCE:
            self._due = 0.0
