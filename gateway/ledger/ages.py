"""How old records are, in days on which the box ran and its clock was known to be right: never by a clock that anybody may set.

Each such day is noted once, when it is first seen, with the last record that was there. What was there as many noted days ago as
are to be kept, and one more, may go. So a clock that jumps ten years ahead ages the record by one day; at each start of the
ledger that is two days at most, then one more in 24 hours (``leaks.Days``). Days on which the box was off do not count, and
times in records are not looked at. This module must never let a record go too early; two days too late is allowed.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from gateway.ledger import space
from gateway.ledger.leaks import Days

MEASURED_SECONDS = 1800.0  # root looks every ten minutes (gateway/box/clock.py)
KEPT = 40_000  # rows


def right(measured: Path, now: float | None = None) -> bool:
    """Whether the clock was measured against time servers within half an hour. ``measured``: root touches it."""
    now = time.time() if now is None else now
    try:
        return abs(now - measured.stat().st_mtime) < MEASURED_SECONDS
    except OSError:
        return False


def newest(database: sqlite3.Connection) -> int:
    """The newest day noted, -1 where there is none."""
    return int(database.execute("SELECT coalesce(max(day), -1) FROM ages").fetchone()[0])


def note(database: sqlite3.Connection, days: Days, wall: int, monotonic: float) -> bool:
    """In the open transaction, by a right clock only: note the day where it is a new one."""
    if not days.turn(wall, monotonic):
        return False
    database.execute("INSERT OR IGNORE INTO ages SELECT ?, coalesce(max(seq), 0) FROM records", (days.day,))
    database.execute("DELETE FROM ages WHERE day <= (SELECT day FROM ages ORDER BY day DESC LIMIT 1 OFFSET ?)", (KEPT,))
    return True


def oldest_kept(database: sqlite3.Connection, days: int) -> int:
    """The last seq that may go where records are kept for ``days``; 0 where none may."""
    row = database.execute("SELECT seq FROM ages ORDER BY day DESC LIMIT 1 OFFSET ?", (days + 1,)).fetchone()
    return row[0] if row else 0


def remove(database: sqlite3.Connection, after: int, upto: int) -> space.Removal:
    """One step of removing what is finished between the seqs ``after`` and ``upto``, in the open transaction."""
    return space.remove(database, after, upto + 1)
