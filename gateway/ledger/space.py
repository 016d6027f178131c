"""How much room the record has, and how the oldest finished records make more of it.

SQLite's file does not shrink: what is removed becomes free pages that new records use. So the record's size is its pages in
use, and its room is the smaller of what ``bytes_most`` leaves and what free pages and the disk (less its reserve) offer.

A removed run of records leaves one row in ``removed``: first and last seq and the last one's hash, from which the chain goes
on. This module must never remove a message that waits for its vendor or its device, nor the newest record (the chain's head).
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass

RECORD_BYTES = 900  # of a record beside its bodies: fields, hashes, salt, indexes, outbox row
PAGE_BYTES = 4096
SMALL = 3000  # bodies that stay in the row's own page
LEAST_MARK = 512 * 1024
MARK_PART = 40  # making room begins with 1/40 (2.5 %) left, and ends with 2/40
RECORDS_AT_ONCE = 256
ATTEMPTS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Bounds:
    """See ``config.Ledger``; bytes."""

    bytes_most: int
    disk_reserve: int


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes: ``used`` by the record, ``spare`` in its file (free pages), ``disk`` free to its user."""

    used: int
    spare: int
    disk: int

    def room(self, bounds: Bounds) -> int:
        """Bytes that may be added; not negative."""
        growth = max(self.disk - bounds.disk_reserve, 0)
        return max(min(bounds.bytes_most - self.used, self.spare + growth), 0)

    def mark(self) -> int:
        """Room below which more is made; twice as much is the aim."""
        return max((self.used + self.spare) // MARK_PART, LEAST_MARK)


@dataclass(frozen=True, slots=True)
class Removal:
    """One step's work: the last seq that was ``looked`` at, how many records went, when the last of them was made, and which
    ``runs`` of seqs went (first and last)."""

    looked: int
    records: int
    at: int
    runs: tuple[tuple[int, int], ...] = ()


def cost(body: int) -> int:
    """Bytes that a record with ``body`` bytes takes at the most."""
    return RECORD_BYTES + body + (PAGE_BYTES if body > SMALL else 0)


def measure(database: sqlite3.Connection, folder: str) -> Space:
    """The file's pages and the disk as they are now. Raises OSError or sqlite3.Error."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    disk = os.statvfs(folder)
    return Space((pages - free) * size, free * size, disk.f_bavail * disk.f_frsize)


def remove(database: sqlite3.Connection, after: int, head: int) -> Removal:
    """Look at the oldest records after seq ``after``, remove the finished ones, in the open transaction.

    ``head``: the newest seq, which stays.
    """
    rows = database.execute(
        "SELECT seq, hash, at, EXISTS (SELECT 1 FROM outbox o WHERE o.host = r.host AND o.seq = r.seq)"
        " OR EXISTS (SELECT 1 FROM inbox i WHERE i.seq = r.seq) FROM records r"
        " WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?",
        (after, head, RECORDS_AT_ONCE),
    ).fetchall()
    runs: list[tuple[int, int, bytes]] = []  # first, last, hash of the last
    count, at = 0, 0
    for seq, digest, made, waits in rows:
        if waits:
            continue
        if runs and runs[-1][1] == seq - 1:
            runs[-1] = (runs[-1][0], seq, digest)
        else:
            runs.append((seq, seq, digest))
        count, at = count + 1, made
    for first, last, digest in runs:
        take(database, first, last, digest)
    return Removal(rows[-1][0] if rows else head, count, at, tuple((first, last) for first, last, _ in runs))


def take(database: sqlite3.Connection, first: object, last: object, digest: object) -> None:
    """Remove a run of finished records, the last one's hash noted first. The file's triggers refuse what must stay."""
    _note(database, first, last, digest)
    database.execute("DELETE FROM records WHERE seq BETWEEN ? AND ?", (first, last))


def _note(database: sqlite3.Connection, first: object, last: object, digest: object) -> None:
    """One row for each run without a gap: what touches a known run on either side becomes one with it."""
    before = database.execute('SELECT "first" FROM removed WHERE "last" = ? - 1', (first,)).fetchone()
    behind = database.execute('SELECT "last", hash FROM removed WHERE "first" = ? + 1', (last,)).fetchone()
    if before:
        database.execute('DELETE FROM removed WHERE "first" = ?', before)
        (first,) = before
    if behind:
        database.execute('DELETE FROM removed WHERE "last" = ?', (behind[0],))
        last, digest = behind
    database.execute("INSERT INTO removed VALUES (?, ?, ?)", (first, last, digest))


def forget_attempts(database: sqlite3.Connection, before: int) -> int:
    """Remove attempts that were last made before ``before`` (nanoseconds since the epoch); returns how many."""
    key = "device, reason, protocol, destination, port, layer"
    done = database.execute(
        f"DELETE FROM attempts WHERE ({key}) IN (SELECT {key} FROM attempts WHERE last < ? ORDER BY last LIMIT ?)",  # noqa: S608
        (before, ATTEMPTS_AT_ONCE),
    )
    return done.rowcount
