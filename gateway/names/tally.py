"""Attempts, added up until the ledger takes them. Values only; memory is bounded whatever devices send.

A flood of invented names must cost neither memory nor the ledger's space: each device has room for a few names between two
reports, what is beyond them is counted as one, and so are devices beyond the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.ipc.messages import Attempt
from gateway.reasons import Reason

MORE = "(more)"
NAMES_PER_DEVICE = 16
DEVICES = 256


@dataclass
class _Count:
    count: int
    first: int
    last: int


class Tally:
    """Counts by device, reason, transport and name since the last ``drain``."""

    def __init__(self, names_per_device: int = NAMES_PER_DEVICE, devices: int = DEVICES) -> None:
        self._names_per_device = names_per_device
        self._devices = devices
        self._rows: dict[str, dict[tuple[Reason, str], _Count]] = {}

    def add(self, device: str, reason: Reason, name: str, now: int) -> None:
        """Count one attempt of ``device`` (id, MAC or address) at ``now`` (nanoseconds since the epoch)."""
        if device not in self._rows and len(self._rows) >= self._devices:
            device = MORE
        rows = self._rows.setdefault(device, {})
        key = (reason, name)
        if key not in rows and len(rows) >= self._names_per_device:
            key = (reason, MORE)
        found = rows.get(key)
        if found is None:
            rows[key] = _Count(1, now, now)
        else:
            found.count += 1
            found.last = now

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._rows.values())

    def drain(self) -> list[Attempt]:
        """What was counted, for the ledger; counting starts anew."""
        rows, self._rows = self._rows, {}
        return [
            Attempt(
                device=device,
                reason=reason.code,
                protocol="dns",
                destination=name,
                port=53,
                count=found.count,
                first=found.first,
                last=found.last,
                layer="names",
            )
            for device, counts in rows.items()
            for (reason, name), found in counts.items()
        ]
