"""What each device spent of its day's leak budget. It must never give a day's bits twice, whatever the clock does.

Pure: the store brings times and keeps the rows. The account of a device is the bits of its payloads, as the door charged them,
and the bits of presence (``gateway.standard.slots``) for each message type.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from gateway.ipc.messages import Submit
from gateway.standard.bits import whole
from gateway.standard.slots import DAY_MS, presence, slot_start

DAY = DAY_MS * 1_000_000  # nanoseconds
WHOLE_DAY = 24 * 3600.0  # monotonic seconds
KEPT = 62  # days
MOST_ANSWER = 8 * 1024 * 1024  # bits: config.Courier.max_answer
MOST_SLOT_MS = 3_600_000
COLUMNS = "type, messages, occupied, slots, last, bits, answers, answer_bits"


class Days:
    """Which day it is for budgets: a number that only grows, whatever the clock does, and no faster than days pass.

    In a run of E hours an honest clock begins E/24 days and one more, and one at the start. No more than that are begun,
    however far the clock is set forward. Where it was set back behind the day on record, 24 hours of running make the next.
    """

    def __init__(self, monotonic: float) -> None:
        self.day = -1
        self._start = self._turned = monotonic
        self._turns = 0

    def found(self, day: int) -> None:
        """The record's newest day."""
        self.day = max(self.day, day)

    def turn(self, wall: int, monotonic: float) -> bool:
        """``wall``: ns since the epoch. Whether a new day began."""
        today = wall // DAY
        if today > self.day and self._turns < 2 + int((monotonic - self._start) / WHOLE_DAY):
            self.day = today
        elif today < self.day and monotonic - self._turned >= WHOLE_DAY:
            self.day += 1
        else:
            return False
        self._turns += 1
        self._turned = monotonic
        return True


@dataclass(frozen=True, slots=True)
class Spent:
    """One message type of one device in one day. ``last``: start of the slot that held the last message, in ms since midnight."""

    messages: int = 0
    occupied: int = 0
    slots: int = 0
    last: int = -1
    bits: int = 0
    answers: int = 0
    answer_bits: int = 0

    @property
    def presence(self) -> float:
        """Bits for when it was sent, and when not."""
        return presence(self.occupied, self.messages - self.occupied, self.slots) if self.slots else 0.0


Account = dict[str, Spent]  # by message type


def total(account: Account) -> int:
    """Bits that a device spent."""
    return whole(sum(spent.bits + spent.presence for spent in account.values()))


def charge(account: Account, submit: Submit) -> bool:
    """Charge a message; False, and nothing changed, where that is beyond the budget."""
    spent = account.get(submit.type) or Spent()
    # by the time of day alone: right too where the clock is behind the day on record
    start = slot_start(submit.received, submit.slot_ms) % DAY // 1_000_000
    if start != spent.last:
        # since midnight, or since the last one: slots may have become longer or shorter meanwhile, the clock may have been set
        first = spent.last < 0
        passed = start // submit.slot_ms + 1 if first else max((start - spent.last) // submit.slot_ms, 1)
        spent = replace(spent, occupied=spent.occupied + 1, last=start, slots=spent.slots + passed)
    spent = replace(spent, messages=spent.messages + 1, bits=spent.bits + submit.bits)
    if total(account | {submit.type: spent}) > submit.budget:
        return False
    account[submit.type] = spent
    return True


def heard(account: Account, type_: str, bits: int) -> None:
    """Count a vendor's answer to a message of ``type_``."""
    before = account.get(type_) or Spent()
    bits = min(max(bits, 0), MOST_ANSWER)  # a number that the file cannot hold would stop all records
    account[type_] = replace(before, answers=before.answers + 1, answer_bits=before.answer_bits + bits)


def load(database: sqlite3.Connection, day: int) -> dict[str, Account]:
    """The accounts of a day by device."""
    accounts: dict[str, Account] = {}
    for device, type_, *numbers in database.execute(f"SELECT device, {COLUMNS} FROM leaks WHERE day = ?", (day,)):  # noqa: S608
        accounts.setdefault(device, {})[type_] = Spent(*numbers)
    return accounts


def newest(database: sqlite3.Connection) -> int:
    """The newest day on record, -1 where there is none; rows of days long before it go."""
    (day,) = database.execute("SELECT coalesce(max(day), -1) FROM leaks").fetchone()
    database.execute("DELETE FROM leaks WHERE day <= ?", (day - KEPT,))
    return int(day)


def write(database: sqlite3.Connection, day: int, before: dict[str, Account], after: dict[str, Account]) -> None:
    """In the open transaction: what changed. An account's entries are replaced, never changed, so a look at them tells."""
    rows = [
        (day, device, type_, s.messages, s.occupied, s.slots, s.last, s.bits, s.answers, s.answer_bits)
        for device, account in after.items()
        for type_, s in account.items()
        if s is not before.get(device, {}).get(type_)
    ]
    if rows:
        database.executemany("INSERT OR REPLACE INTO leaks VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
