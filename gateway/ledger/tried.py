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

    ``places``: where it wanted to go, the most frequent first; ``more_places`` further ones were noted ``more_count`` times.
    """

    device: str
    reason: Reason
    layer: str
    count: int = 0
    first: int = 0
    last: int = 0
    places: list[AttemptCount] = field(default_factory=list)
    more_places: int = 0
    more_count: int = 0


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


_SUMS = (
    "SELECT device, reason, sum(CASE WHEN layer <> 'kernel' THEN count ELSE 0 END), min(first), max(last), count(*), sum(count)"
    " FROM attempts {} GROUP BY device, reason"
)
_PLACES = (
    "SELECT device, reason, protocol, destination, port, layer, count, first, last FROM attempts WHERE device = ? AND reason = ?"
    " ORDER BY count DESC, last DESC, protocol, destination, port, layer LIMIT ?"
)


def summed(reader: Reader, device: str | None, rows: int, places: int) -> tuple[list[Tried], list[Tried]]:
    """As ``tried``, but the last tried first: ``rows`` of them with at most ``places`` places each, and the others without.

    SQLite adds up in the order of the table's key, and places are read only for what is shown: a crowded record has a hundred
    thousand of them. All of it is of one moment, so that what is left out is never less than nothing. Raises LedgerError.
    """
    reader.rows("BEGIN")
    try:
        found = _sums(reader, device)
        for row in found[:rows]:
            if row.more_places:
                row.places = [
                    AttemptCount(name, row.reason, *rest)
                    for name, _, *rest in reader.rows(_PLACES, row.device, row.reason.code, places)
                ]
                row.more_places -= len(row.places)
                row.more_count -= sum(place.count for place in row.places)
    finally:
        reader.rows("ROLLBACK")
    return found[:rows], found[rows:]


def _sums(reader: Reader, device: str | None) -> list[Tried]:
    found: dict[tuple[str, Reason], Tried] = {}
    for packets in reader.counters(device):
        if packets.reason and not packets.reason.passes:
            key = packets.device, packets.reason
            found[key] = Tried(*key, "kernel", packets.packets)
    values = () if device is None else (device,)
    for name, code, count, first, last, more, noted in reader.rows(
        _SUMS.format("" if device is None else "WHERE device = ?"), *values
    ):
        try:
            key = name, Reason.from_code(code)
        except KeyError:
            continue  # a newer version's
        row = found.setdefault(key, Tried(*key, "door"))
        row.count += count
        row.first, row.last, row.more_places, row.more_count = first, last, more, noted
    for refused in reader.refusal_counts(device):
        if refused.reason:
            key = refused.device, refused.reason
            row = found.setdefault(key, Tried(*key, "judge"))
            row.count += refused.count
            row.last = max(row.last, refused.last)
    return sorted(found.values(), key=lambda row: (-row.last, row.device, -row.count, row.reason.code))
