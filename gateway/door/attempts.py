"""What was dropped before it was a message, gathered for half a second and bounded, so that a flood becomes a number.

Equal attempts become one report with a count. Where a device varies its attempts faster than reports may grow, the rest
is reported under the reason alone, without a destination. Nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from gateway.ipc.messages import Attempt
from gateway.reasons import Reason

GATHER_SECONDS = 0.5
MAX_KINDS_PER_DEVICE = 32  # different attempts of one device in one report
MAX_KINDS = 512  # different attempts of all devices in one report

Key = tuple[str, int, str, str, int]


class Attempts:
    """Gathers for one worker. ``send``: takes each report."""

    def __init__(self, send: Callable[[Attempt], object], now: Callable[[], int] = time.time_ns) -> None:
        self._send = send
        self._now = now
        self._gathered: dict[Key, list[int]] = {}  # count, first, last
        self._per_device: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, device: str, reason: Reason, protocol: str, destination: str, port: int) -> None:
        """One more drop. ``device``: id, or MAC, or empty where neither is known."""
        now = self._now()
        key = (device, reason.code, protocol, destination, port)
        kept = self._gathered.get(key)
        if kept is None and (self._per_device[device] >= MAX_KINDS_PER_DEVICE or len(self._gathered) >= MAX_KINDS):
            key = (device if self._per_device[device] else "", reason.code, protocol, "", 0)
            kept = self._gathered.get(key)
        if kept is not None:
            kept[0] += 1
            kept[2] = now
            return
        self._gathered[key] = [1, now, now]
        self._per_device[device] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Send what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered = self._gathered, {}
        self._per_device.clear()
        for (device, reason, protocol, destination, port), (count, first, last) in gathered.items():
            self._send(Attempt(device, reason, protocol, destination, port, count, first, last, "door"))
