"""Notices from the record and the registry: what the owner's command, the pages and the timer all tell. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterable

from gateway.ledger.reader import Reader, Record
from gateway.ledger.scoring import refusal_of
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
    """By device, vendor and the refusal's sort; the newest first, as they came, in the newest's words.

    Not by its words: a vendor that numbers them would have a notice for each message.
    """
    found: dict[tuple[str, str, str], Declined] = {}
    for record in records:
        sort, why = _why(record)
        key = record.device, record.vendor, sort
        before = found.get(key)
        count, words = (1 + before.count, before.why) if before else (1, why)
        found[key] = Declined(record.device, record.vendor, words, count, record.at, sort)
    return list(found.values())


def _why(record: Record) -> tuple[str, str]:
    """A label of our own for it, and what the vendor said."""
    if record.reason is Reason.VENDOR_ANSWER:
        return record.reason.label, (record.detail or Reason.VENDOR_ANSWER.words)[:MOST_WORDS]
    label, _ = refusal_of(record.outgoing)
    try:
        problem = json.loads(record.outgoing)
        return label, str(problem.get("title") or problem.get("type") or record.status)[:MOST_WORDS]
    except (ValueError, AttributeError, RecursionError):
        return label, (record.detail or f"status {record.status}")[:MOST_WORDS]
