"""The few numbers of the record that a monitor reads again and again. Reads only, and never walks the records.

Counts of refused messages that are kept whole are looked up by device and reason as ``tried`` does, so that both tell the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from gateway.ledger.reader import Reader
from gateway.reasons import Reason

DAY = 86_400 * 10**9
_ATTEMPTS = "SELECT device, reason, sum(count) FROM attempts WHERE layer <> 'kernel' GROUP BY device, reason"
_TODAY = "SELECT device, messages, refusals FROM days WHERE day = (SELECT max(day) FROM days) AND day >= ?"
_ROOM = 'SELECT (SELECT coalesce(max(seq), 0) FROM records), coalesce(sum("last" - "first" + 1), 0) FROM removed'


@dataclass(slots=True)
class Sums:
    """``messages``, ``refusals``, ``bits``: of the newest day on record, where that is today. ``drops``: by a reason's label."""

    messages: int = 0
    refusals: int = 0
    waiting: int = 0
    bits: int = 0
    drops: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def sums(reader: Reader, known: dict[str, str], today: int) -> dict[str, Sums]:
    """By device: ``known`` tells the id of each id and hardware address; all others are one, called "". Raises LedgerError."""
    found: dict[str, Sums] = defaultdict(Sums)
    for device, messages, refusals in reader.rows(_TODAY, today):
        row = found[known.get(device, "")]
        row.messages += messages
        row.refusals += refusals
    for device, count in reader.rows("SELECT device, count(*) FROM outbox GROUP BY device"):
        found[known.get(device, "")].waiting += count
    for leak in reader.leaks(None, 1):
        if leak.day >= today:
            found[known.get(leak.device, "")].bits += leak.bits
    for device, code, count in reader.rows(_ATTEMPTS):
        found[known.get(device, "")].drops[_label(code)] += count
    for packets in reader.counters():
        if packets.reason is None or not packets.reason.passes:
            found[known.get(packets.device, "")].drops[packets.reason.label if packets.reason else OTHER] += packets.packets
    for refused in reader.refusal_counts():
        found[known.get(refused.device, "")].drops[refused.reason.label if refused.reason else OTHER] += refused.count
    return found


def room(reader: Reader) -> tuple[int, int]:
    """How many records were ever made, and how many are still there. Raises LedgerError."""
    ever, gone = reader.rows(_ROOM)[0]
    return ever, max(ever - gone, 0)


OTHER = "other"  # a newer version's reason


def _label(code: int) -> str:
    try:
        return Reason.from_code(code).label
    except (KeyError, ValueError):
        return OTHER
