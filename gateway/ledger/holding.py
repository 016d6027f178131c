"""Messages that wait for their time: for the end of the slot in which they came, or for as long as a rule of the owner's says.

It must never let one leave before that, nor tell by the moment when in its slot it came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from gateway.ipc.messages import Submit
from gateway.ledger.schedule import Schedule
from gateway.ledger.store import MOST_DELAY_MS
from gateway.standard.slots import slot_start

COMMIT_ALLOWANCE = 50_000_000  # ns after a slot's end: so that what came in its last moment leaves with the rest of it


class Holding:
    """A timer of its own, exact to the loop's clock. ``pump``: sends what may leave now."""

    def __init__(self, schedule: Schedule, pump: Callable[[float], None]) -> None:
        self._schedule = schedule
        self._pump = pump
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, submit: Submit, seq: int, now: float) -> None:
        """It leaves at the end of the slot in which it came: when in the slot that was, nobody outside can tell.

        Where a rule delays it, so much later.
        """
        most = submit.slot_ms * 1_000_000 + COMMIT_ALLOWANCE if submit.paced else 0
        start = slot_start(submit.received, submit.slot_ms) if submit.paced else submit.received
        most += submit.delay_ms * 1_000_000
        wait = min(max(start + most - time.time_ns(), 0), most) / 1e9
        self._schedule.hold(submit.host, seq, now + wait)
        self._arm()

    def found(self, delayed: Iterable[tuple[str, int, int]]) -> None:
        """What an earlier run, or a commit whose end is not known, left on disk for later (``Store.delayed``)."""
        now, wall = time.monotonic(), time.time_ns()
        for host, seq, until in delayed:
            wait = min(max(until + COMMIT_ALLOWANCE - wall, 0) / 1e9, MOST_DELAY_MS / 1000)
            found = self._schedule.hosts.get(host)
            if found is not None and seq not in found.held and seq not in found.flying:
                self._schedule.hold(host, seq, now + wait)
        self._arm()

    def stop(self) -> None:
        """Let nothing more go."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        due = self._schedule.next_release()
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(due - time.monotonic(), 0), self._released)

    def _released(self) -> None:
        self._timer = None
        now = time.monotonic()
        # also where no courier is there to take it: else this would come back at once, for ever
        self._schedule.release(now)
        self._pump(now)
        self._arm()
