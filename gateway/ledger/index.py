"""The index that search looks into: written after the records, in the ledger's spare moments, up to a seq that it names.

SQLite's FTS5 keeps for each term which records hold it. A term is kept as 40 bits of a keyed hash, so a long one costs no more
than a short one; two that meet cost a look at a record, for a search looks at each record before it names it. A record with more
than ``MOST_TERMS`` terms is looked at in every search for a body's terms.

This module must never be needed for anything but speed: what is not indexed yet, search reads itself.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

from gateway.ledger import terms

AT_ONCE = 64  # records in one step: two milliseconds
STEP_BYTES = 1024 * 1024  # of bodies in one step
MOST_TERMS = 256
MORE = "more"  # instead of a hash: a record with more terms than are kept
_KEPT = 8192  # hashes that may come again
_SHORT = 48  # characters


@dataclass(slots=True)
class Hashing:
    """Terms as the index keeps them. ``key``: the file's own."""

    key: bytes
    _known: dict[str, str] = field(default_factory=dict)

    def __call__(self, term: str) -> str:
        known = self._known.get(term)
        if known is None:
            known = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=5, key=self.key).hexdigest()
            if len(term) <= _SHORT:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[term] = known
        return known


def key(database: sqlite3.Connection) -> bytes:
    """The file's key; made at the first call, in the open transaction."""
    row = database.execute("SELECT key FROM search_state").fetchone()
    if row is None:
        row = (secrets.token_bytes(16),)
        database.execute("INSERT INTO search_state (id, upto, key) VALUES (1, 0, ?)", row)
    return bytes(row[0])


def upto(database: sqlite3.Connection) -> int:
    """The last seq that the index covers."""
    row = database.execute("SELECT upto FROM search_state").fetchone()
    return row[0] if row else 0


def step(database: sqlite3.Connection, hashing: Hashing) -> int:
    """Index the next records, in the open transaction; returns how many were looked at."""
    done = upto(database)
    rows = database.execute(
        f"SELECT seq, at, {terms.COLUMNS} FROM records WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608
        (done, AT_ONCE),
    )
    first, last, earliest, latest = done + 1, done, 2**63 - 1, 0
    number = size = 0
    found: list[tuple[int, str]] = []
    for seq, at, *columns in rows:
        record = terms.Searched(*columns)
        number, last = number + 1, seq
        if record.kind in terms.KINDS and record.device:
            found.append((seq, " ".join(_hashes(record, hashing))))
            earliest, latest = min(earliest, at), max(latest, at)
        size += len(record.original) + len(record.outgoing)
        if size > STEP_BYTES:
            break
    rows.close()
    if not number:
        return 0
    if found:
        database.executemany("INSERT INTO search (rowid, terms) VALUES (?, ?)", found)
        database.execute("INSERT INTO search_times VALUES (?, ?, ?, ?)", (first, last, earliest, latest))
    database.execute("UPDATE search_state SET upto = ?", (last,))
    return number


def _hashes(record: terms.Searched, hashing: Hashing) -> set[str]:
    head = {hashing(term) for term in terms.head(record)}
    try:
        below = terms.body(record)
        found = {hashing(term) for term in islice(below, MOST_TERMS)}
        return head | found if next(below, None) is None else {MORE, *head}
    except Exception:  # a refused message may be anything: it must not keep the others out of the index
        return {MORE, *head}


def forget(database: sqlite3.Connection, runs: Iterable[tuple[int, int]]) -> None:
    """Runs of records (first seq, last seq) that are removed, at the end of the transaction that removes them."""
    database.executemany("DELETE FROM search WHERE rowid BETWEEN ? AND ?", runs)
    # spans of time in which no record is left
    database.execute('DELETE FROM search_times WHERE "last" < (SELECT min(seq) FROM records)')


def reset(database: sqlite3.Connection) -> None:
    """Begin anew, so that nothing is left of what was erased: entries of a record are only marked as gone until pages merge."""
    database.execute("INSERT INTO search (search) VALUES ('delete-all')")
    database.execute("DELETE FROM search_times")
    database.execute("UPDATE search_state SET upto = 0")


def span(database: sqlite3.Connection, since: int, until: int) -> tuple[int, int]:
    """First and last seq of the indexed records among which those with a time in [since, until) are; (1, 0): there are none."""
    wanted = 'SELECT min("first"), max("last") FROM search_times WHERE latest >= ? AND earliest < ?'
    first, last = database.execute(wanted, (since, until)).fetchone()
    return (1, 0) if first is None else (first, last)
