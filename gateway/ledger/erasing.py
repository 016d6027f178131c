"""Erasing what a device said, at the owner's word: in short steps, each of which finds where the last one ended.

An erased record keeps its number, kind and day, and the commitment that the chain runs over; its contents, its salt and its exact
time are overwritten. A record of version 1, which has no salt, is removed as for want of room. What asked for it is itself
a record ("erasure"), and stays.

This module must never erase a message that waits for its vendor: it is sent as promised, and erased once it has ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from gateway.ledger import space
from gateway.ledger.chain import DAY

KIND = "erasure"
KEPT = (KIND, "deed")  # kinds of records of what the owner did: they stay
SPAN = 1024  # records looked at in one step
AT_ONCE = 256  # of them erased
FOREVER = 2**63 - 1

_WAITS = (  # for its vendor, or in the inbox for its device
    "(EXISTS (SELECT 1 FROM outbox o WHERE o.host = r.host AND o.seq = r.seq)"
    " OR EXISTS (SELECT 1 FROM inbox i WHERE i.seq = r.seq))"
)
# A step further back than any one message: its answer, or what came of a look at a manifest, has the same id.
_SAME = (
    "SELECT seq, hash, commitment IS NULL, salt IS NULL FROM records"
    " WHERE (seq = ?1 OR (id = ?2 AND id <> '')) AND device = ?3 ORDER BY seq"
)
_BLANK = (
    "UPDATE records SET id = '', device = '', vendor = '', host = '', type = '', received = 0, at = at - at % ?, original = x'',"
    " outgoing = x'', status = 0, reason = -1, detail = '', pointers = '', bits = 0, salt = NULL WHERE seq = ?"
)


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the owner asked for, as the "erasure" record holds it. ``before``: ns since the epoch; 0: all up to now."""

    device: str
    before: int


class Noted(Protocol):
    """What ``begin`` needs of a note; ``batch.Note`` is one."""

    kind: str
    outgoing: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did for the erasure that record ``note`` asked for. ``passed``: everything was looked at once."""

    note: int
    device: str
    erased: int  # in all so far
    removed: int  # in all so far
    waiting: int  # erased when they have ended
    passed: bool
    changed: bool  # whether this step erased or removed anything


def begin(database: sqlite3.Connection, notes: Iterable[tuple[Noted, int]]) -> None:
    """In the transaction that records ``notes`` (with their seqs; 0: not recorded): note what has to be erased."""
    for note, seq in notes:
        if note.kind == KIND and seq:
            wish = msgspec.json.decode(note.outgoing, type=Wish)
            database.execute(
                "INSERT INTO erasures (seq, device, before) VALUES (?, ?, ?)", (seq, wish.device, wish.before or FOREVER)
            )


def due(database: sqlite3.Connection) -> bool:
    """Whether something is left to look at."""
    return bool(database.execute("SELECT EXISTS (SELECT 1 FROM erasures WHERE looked < seq)").fetchone()[0])


def step(database: sqlite3.Connection, today: int) -> Step | None:
    """The next step; None where there is nothing to do now. ``today``: the first day whose sums quotas and budgets still need."""
    row = database.execute(
        "SELECT seq, device, before, looked, erased, removed FROM erasures WHERE looked < seq ORDER BY seq LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    note, device, before, looked, erased, removed = row
    last = min(looked + SPAN, note - 1)
    found = database.execute(
        f"SELECT seq, id, {_WAITS} FROM records r WHERE seq > ? AND seq <= ? AND device = ? AND at < ? AND kind NOT IN (?, ?)"  # noqa: S608
        " ORDER BY seq LIMIT ?",
        (looked, last, device, before, *KEPT, AT_ONCE),
    ).fetchall()
    changed = False
    for seq, id, waits in found:
        if waits:
            database.execute("INSERT OR IGNORE INTO erased_later VALUES (?, ?)", (seq, note))
            continue
        blanked, gone = _erase(database, seq, id, device)
        erased, removed, changed = erased + blanked, removed + gone, changed or bool(blanked or gone)
    if len(found) == AT_ONCE:
        last = found[-1][0]
    passed = last >= note - 1
    database.execute(
        "UPDATE erasures SET looked = ?, erased = ?, removed = ? WHERE seq = ?", (note if passed else last, erased, removed, note)
    )
    waiting = 0
    if passed:
        _forget_sums(database, device, before, today)
        (waiting,) = database.execute("SELECT count(*) FROM erased_later WHERE erasure = ?", (note,)).fetchone()
        _end(database)
    return Step(note, device, erased, removed, waiting, passed, changed)


def later(database: sqlite3.Connection) -> int:
    """Erase some of what waited and has ended; returns how many messages were looked at (none: nothing ended)."""
    rows = database.execute(
        "SELECT e.seq, r.id, r.device FROM erased_later e LEFT JOIN records r USING (seq)"  # noqa: S608
        f" WHERE r.seq IS NULL OR NOT {_WAITS} LIMIT ?",
        (AT_ONCE,),
    ).fetchall()
    for seq, id, device in rows:
        if id is not None:  # else it made room meanwhile
            _erase(database, seq, id, device)
        database.execute("DELETE FROM erased_later WHERE seq = ?", (seq,))
    _end(database)
    return len(rows)


def waiting(database: sqlite3.Connection) -> int:
    """How many messages are erased once they have ended."""
    return int(database.execute("SELECT count(*) FROM erased_later").fetchone()[0])


def _erase(database: sqlite3.Connection, seq: int, id: str, device: str) -> tuple[int, int]:
    """One message with all that has its id; returns how many records were blanked, and how many removed."""
    blanked = removed = 0
    for number, digest, old, done in database.execute(_SAME, (seq, id, device)).fetchall():
        if old:
            space.take(database, number, number, digest)
            removed += 1
        elif not done:
            database.execute(_BLANK, (DAY, number))
            blanked += 1
    return blanked, removed


def _forget_sums(database: sqlite3.Connection, device: str, before: int, today: int) -> None:
    """What was counted of the device. Today's sums stay: they are its quota and its budget, which nobody gets twice."""
    database.execute("DELETE FROM attempts WHERE device = ? AND last < ?", (device, before))
    days = min(before // DAY, today)
    for table in ("days", "leaks", "polls"):
        database.execute(f"DELETE FROM {table} WHERE device = ? AND day < ?", (device, days))  # noqa: S608
    if before == FOREVER:
        database.execute("DELETE FROM counters WHERE device = ?", (device,))


def _end(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM erasures WHERE looked >= seq AND seq NOT IN (SELECT erasure FROM erased_later)")
