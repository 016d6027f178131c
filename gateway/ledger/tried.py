"""What devices tried and could not: the kernel's counts, the gateway's and the judge's, added up. Reads only.

Shared by the owner's command and the pages, so that both tell the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.ledger.reader import AttemptCount, Reader
from gateway.reasons import Reason

MOST_ATTEMPTS = 100_000


@dataclass(slots=True)
class Tried:
    """One device and one reason. ``first`` and ``last``: ns since the epoch, 0 where the kernel only counted.

    ``places``: where it wanted to go, the most frequent first.
    """

    device: str
    reason: Reason
    layer: str
    count: int = 0
    first: int = 0
    last: int = 0
    places: list[AttemptCount] = field(default_factory=list)


def tried(reader: Reader, device: str | None = None) -> list[Tried]:
    """By device, and the most frequent first. The kernel counts packets exactly and samples destinations. Raises LedgerError."""
    rows: dict[tuple[str, Reason], Tried] = {}

    def row(name: str, reason: Reason, layer: str) -> Tried:
        return rows.setdefault((name, reason), Tried(name, reason, layer))

    for packets in reader.counters(device):
        if packets.reason and not packets.reason.passes:
            row(packets.device, packets.reason, "kernel").count += packets.packets
    for attempt in reader.attempts(device, limit=MOST_ATTEMPTS):
        if attempt.reason is None:
            continue
        found = row(attempt.device, attempt.reason, attempt.layer)
        if attempt.layer != "kernel":
            found.count += attempt.count
        found.last = max(found.last, attempt.last)
        found.first = min(found.first or attempt.first, attempt.first)
        found.places.append(attempt)
    for refused in reader.refusal_counts(device):
        if refused.reason:
            found = row(refused.device, refused.reason, "judge")
            found.count += refused.count
            found.last = max(found.last, refused.last)
    for found in rows.values():
        found.places.sort(key=lambda place: -place.count)
    return sorted(rows.values(), key=lambda found: (found.device, -found.count))
