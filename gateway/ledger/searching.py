"""Search in the record, for whoever reads it: by device, vendor, host, type, field, words and time.

What is not in the index yet is read as it is, so a search is right however far the index is. Each step is one short read of the
file as it was at one moment. What was typed is text and no query: FTS5 sees keyed hashes of terms alone (index.py).
This module must never write, nor name a record that it has not looked at.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

from gateway.ledger import index, terms

LOOKED_AT = 10_000  # records in one step
READ = 2 * 1024 * 1024  # bytes of bodies in one step: a second, where a device chose them so that they take long
FOREVER = 2**63 - 1
MOST_MATCHED = 8  # terms of bodies that the index is asked for: FTS5 walks their lists without a pause; a look tells the rest
PATIENCE = 4  # times a step's seconds, until SQLite is stopped
OPCODES = 10_000  # of SQLite's, between two looks at the clock


class TooLongError(Exception):
    """SQLite found nothing to look at in the time that a step has. Says what to do."""


@dataclass(frozen=True, slots=True)
class Field:
    """A place in the body (JSON Pointer), and what must stand there; None: anything."""

    pointer: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a record must have; all of it. Times: nanoseconds since the epoch, ``since`` included, ``until`` not."""

    kind: str = "message"
    device: str | None = None
    vendor: str | None = None
    host: str | None = None
    type: str | None = None
    fields: tuple[Field, ...] = ()
    text: str = ""
    since: int = 0
    until: int = FOREVER

    def head(self) -> list[str]:
        """The terms of what is beside the bodies."""
        told = (
            (terms.device, self.device), (terms.vendor, self.vendor), (terms.host, self.host), (terms.type_, self.type),
        )  # fmt: skip
        return [terms.kind(self.kind), *(term(name) for term, name in told if name is not None)]

    def body(self) -> list[frozenset[str]]:
        """The terms of the bodies; one of each set must be there."""
        return [*(_alternatives(field) for field in self.fields), *(frozenset({word}) for word in terms.words(self.text))]


def _alternatives(field: Field) -> frozenset[str]:
    """21 on a command line may mean the number or the text."""
    if field.value is None:
        return frozenset({terms.place(field.pointer)})
    try:
        read = json.loads(field.value)
    except ValueError:
        read = field.value
    meant = (field.value, field.value if isinstance(read, dict | list) else read)
    return frozenset(terms.value(field.pointer, value) for value in meant)


@dataclass(frozen=True, slots=True)
class Page:
    """What one step found, and from which seq the next goes on; None: there is no more."""

    rows: list[tuple[Any, ...]]
    edge: int | None


class Search:
    """One search. ``columns``: what is read of each record found, its seq first. Newest first, or ``oldest_first``."""

    def __init__(self, wanted: Wanted, columns: str, *, oldest_first: bool = False) -> None:
        self._wanted = wanted
        self._head = set(wanted.head())
        self._body = list(dict.fromkeys(wanted.body()))
        self._columns = columns
        self._ascending = oldest_first
        self._read = 0

    @property
    def start(self) -> int:
        """The first step's edge."""
        return 0 if self._ascending else FOREVER

    def page(self, database: sqlite3.Connection, edge: int, limit: int, seconds: float | None = None) -> Page:
        """At most ``limit`` records on the far side of seq ``edge``; in ``seconds``, or it ends at the record that it is at.

        Raises TooLongError where there was none to be at, and sqlite3.Error.
        """
        began = monotonic()
        late, stopped = (FOREVER, FOREVER) if seconds is None else (began + seconds, began + PATIENCE * seconds)
        database.execute("BEGIN")
        try:
            if seconds is not None:
                database.set_progress_handler(lambda: monotonic() > stopped, OPCODES)
            return self._page(database, edge, limit, late)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            raise TooLongError("this takes too long: say a device, a vendor or a time besides") from error
        finally:
            database.set_progress_handler(None, 0)
            database.execute("COMMIT")

    def _page(self, database: sqlite3.Connection, edge: int, limit: int, late: float) -> Page:
        rows: list[tuple[Any, ...]] = []
        seq = edge
        self._read = 0
        for looked, (seq, row) in enumerate(self._candidates(database, edge), 1):
            if row is not None:
                rows.append(row)
            if len(rows) >= limit or looked >= LOOKED_AT or self._read >= READ or monotonic() > late:
                return Page(rows, seq)
        return Page(rows, None)

    def _candidates(self, database: sqlite3.Connection, edge: int) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
        """(seq, row) of each record that was looked at; without a row where it is not meant."""
        upto = index.upto(database)
        indexed = self._indexed(database, edge, upto) if upto else iter(())
        if self._ascending:
            yield from indexed
            yield from self._rest(database, edge, upto)
        else:
            yield from self._rest(database, edge, upto)
            yield from indexed

    def _rest(self, database: sqlite3.Connection, edge: int, upto: int) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
        first, last = (max(edge, upto) + 1, FOREVER) if self._ascending else (upto + 1, edge - 1)
        order = "ASC" if self._ascending else "DESC"
        for row in database.execute(
            f"SELECT at, {terms.COLUMNS}, {self._columns} FROM records"  # noqa: S608
            f" WHERE seq BETWEEN ? AND ? AND kind = ? ORDER BY seq {order}",
            (first, last, self._wanted.kind),
        ):
            yield self._judged(row)

    def _indexed(self, database: sqlite3.Connection, edge: int, upto: int) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
        wanted = self._wanted
        first, last = (
            (1, upto) if (wanted.since, wanted.until) == (0, FOREVER) else index.span(database, wanted.since, wanted.until)
        )
        first, last = (max(first, edge + 1), last) if self._ascending else (first, min(last, edge - 1))
        order = "ASC" if self._ascending else "DESC"
        found = database.execute(
            f"SELECT rowid FROM search WHERE search MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid {order}",  # noqa: S608
            (self._match(index.Hashing(index.key(database))), first, last),
        )
        one = f"SELECT at, {terms.COLUMNS}, {self._columns} FROM records WHERE seq = ?"  # noqa: S608
        for (seq,) in found:
            row = database.execute(one, (seq,)).fetchone()
            yield (seq, None) if row is None else self._judged(row)

    def _match(self, hashing: index.Hashing) -> str:
        parts = [f'"{hashing(term)}"' for term in self._head]
        for alternatives in sorted(self._body, key=lambda told: -max(map(len, told)))[:MOST_MATCHED]:  # long ones are rare ones
            several = " OR ".join(f'"{name}"' for name in (*(hashing(term) for term in alternatives), index.MORE))
            parts.append(f"({several})")
        return " AND ".join(parts)

    def _judged(self, row: tuple[Any, ...]) -> tuple[int, tuple[Any, ...] | None]:
        """The last word: whether this record is meant."""
        at, *rest = row
        record, shown = terms.Searched(*rest[: len(terms.Searched._fields)]), tuple(rest[len(terms.Searched._fields) :])
        meant = (
            record.device != ""  # else it is erased
            and self._wanted.since <= at < self._wanted.until
            and self._head <= set(terms.head(record))
            and self._says(record)
        )
        return shown[0], shown if meant else None

    def _says(self, record: terms.Searched) -> bool:
        missing = list(self._body)
        if not missing:
            return True
        self._read += len(record.original) + len(record.outgoing)
        for term in terms.body(record):
            missing = [alternatives for alternatives in missing if term not in alternatives]
            if not missing:
                return True
        return False
