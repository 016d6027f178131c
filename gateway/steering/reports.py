"""What the kernel counted and sampled, on its way to the ledger. It must never keep more than a bounded amount.

Counters wait as differences and samples as sums while the ledger is away, so nothing that was counted is lost; when more
different samples wait than ``MOST_SAMPLES``, further ones are left out, and the counters still tell how many there were.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.ipc.messages import Attempt, Counters, Message
from gateway.steering.layout import COUNTER, REASONS, Event

MOST_SAMPLES = 4096
ROWS_PER_MESSAGE = 5000
_BLOCK = REASONS * COUNTER.size
_BLOCK_OF = struct.Struct(f"<{REASONS * 2}Q")


@dataclass
class _Sample:
    count: int
    first: int
    last: int


class Reports:
    """Counter snapshots and events in, messages out. ``read`` gives all counters, ``names`` who has which slot."""

    def __init__(self, read: Callable[[], bytes], slots: int) -> None:
        self._read = read
        self._slots = slots
        self._old = read()
        self._rows: dict[tuple[str, int], tuple[int, int]] = {}
        self._samples: dict[tuple[str, int, str, str, int], _Sample] = {}
        # CLOCK_MONOTONIC to the time of day; a step of the clock meanwhile shifts a sample by as much
        self._epoch = time.time_ns() - time.monotonic_ns()
        self.totals: dict[int, int] = {}  # packets by reason code, since the start

    def collect(self, names: Mapping[int, str]) -> None:
        """Take up what was counted since the last time. Call it before a slot changes hands."""
        new = self._read()
        if new == self._old:
            return
        for start in range(0, len(new), _BLOCK):
            block, before = new[start : start + _BLOCK], self._old[start : start + _BLOCK]
            if block == before:
                continue
            name = names.get(start // _BLOCK % self._slots, "unknown")
            now, then = _BLOCK_OF.unpack(block), _BLOCK_OF.unpack(before)
            for reason in range(REASONS):
                packets, volume = now[2 * reason] - then[2 * reason], now[2 * reason + 1] - then[2 * reason + 1]
                if packets or volume:
                    self.add(name, reason, packets, volume)
        self._old = new

    def add(self, name: str, reason: int, packets: int, volume: int) -> None:
        """Count so many more packets and bytes."""
        old = self._rows.get((name, reason), (0, 0))
        self._rows[name, reason] = (old[0] + packets, old[1] + volume)
        self.totals[reason] = self.totals.get(reason, 0) + packets

    def sample(self, device: str, event: Event) -> None:
        """Take up one sampled drop of ``device`` (id, or MAC where it has none)."""
        key = (device, event.reason, event.protocol, event.destination, event.port)
        moment = event.time + self._epoch
        old = self._samples.get(key)
        if old is not None:
            old.count += 1
            old.last = moment
        elif len(self._samples) < MOST_SAMPLES:
            self._samples[key] = _Sample(1, moment, moment)

    def take(self) -> list[Message]:
        """Everything that waits, as messages for the ledger; it waits no longer."""
        rows = [(name, reason, packets, volume) for (name, reason), (packets, volume) in self._rows.items()]
        messages: list[Message] = [
            Counters(tuple(rows[start : start + ROWS_PER_MESSAGE])) for start in range(0, len(rows), ROWS_PER_MESSAGE)
        ]
        for (device, reason, protocol, destination, port), seen in self._samples.items():
            messages.append(Attempt(device, reason, protocol, destination, port, seen.count, seen.first, seen.last, "kernel"))
        self._rows.clear()
        self._samples.clear()
        return messages
