"""Notices from the record and the registry: what the owner's command, the pages and the timer all tell. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterable

from gateway.ledger.reader import Reader, Record
from gateway.notices import Declined, Notice, Tried, notices
from gateway.reasons import Reason
from gateway.registry import Home

MOST_ATTEMPTS = 20_000
MOST_WORDS = 200  # characters of what a vendor said


def look(reader: Reader, home: Home, *, now: float, seconds: float) -> list[Notice]:
    """The notices of the last ``seconds`` and of what holds ``now`` (since the epoch), newest first. Raises LedgerError."""
    tried = [
        Tried(row.device, row.reason, row.destination, row.count, row.first, row.last)
        for row in reader.attempts(limit=MOST_ATTEMPTS)
        if row.reason is not None
    ]
    return notices(home, tried, _grouped(reader.declined()), now=now, since=now - seconds)


def _grouped(records: Iterable[Record]) -> list[Declined]:
    """By device and by what the vendor said; the newest first, as they came."""
    found: dict[tuple[str, str, str], Declined] = {}
    for record in records:
        why = _why(record)
        before = found.get((record.device, record.vendor, why))
        count = 1 + (before.count if before else 0)
        found[record.device, record.vendor, why] = Declined(record.device, record.vendor, why, count, record.at)
    return list(found.values())


def _why(record: Record) -> str:
    if record.reason is Reason.VENDOR_ANSWER:
        return (record.detail or Reason.VENDOR_ANSWER.words)[:MOST_WORDS]
    try:
        problem = json.loads(record.outgoing)
        return str(problem.get("title") or problem.get("type") or record.status)[:MOST_WORDS]
    except (ValueError, AttributeError, RecursionError):
        return (record.detail or f"status {record.status}")[:MOST_WORDS]
