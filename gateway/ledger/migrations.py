"""The shape of the ledger's file, as named steps that are applied once each, in order.

A step is never changed after a release: add a new one. This module must never drop or rewrite a record.
Records go only to make room, of age, or because their owner erased them: what went is noted first (space.py, erasing.py).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from gateway.ledger.grown import GROWN

OPCODES = 10_000  # of SQLite's machine; fewer than a thousand records' worth
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001-records",
        (
            """CREATE TABLE records (
                seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, device TEXT NOT NULL, vendor TEXT NOT NULL,
                host TEXT NOT NULL, type TEXT NOT NULL, received INTEGER NOT NULL, at INTEGER NOT NULL,
                original BLOB NOT NULL, outgoing BLOB NOT NULL, status INTEGER NOT NULL,
                reason INTEGER NOT NULL, detail TEXT NOT NULL, pointers TEXT NOT NULL,
                previous BLOB NOT NULL, hash BLOB NOT NULL) STRICT""",
            # One message and one answer for each id; also the way from a message to its answer.
            "CREATE UNIQUE INDEX records_id ON records (id, kind) WHERE id <> ''",
            """CREATE TRIGGER records_stay BEFORE UPDATE ON records
                BEGIN SELECT RAISE(ABORT, 'a record is never changed'); END""",
            """CREATE TRIGGER records_remain BEFORE DELETE ON records
                BEGIN SELECT RAISE(ABORT, 'a record is never deleted'); END""",
        ),
    ),
    (
        "0002-outbox",
        (
            # A row stands here from the message's commit until its answer's commit: what a crash leaves is sent again.
            """CREATE TABLE outbox (
                host TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, device TEXT NOT NULL, at INTEGER NOT NULL,
                tries INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL DEFAULT 0, reason INTEGER NOT NULL DEFAULT -1,
                PRIMARY KEY (host, seq)) STRICT, WITHOUT ROWID""",
        ),
    ),
    (
        "0003-counts",
        (
            """CREATE TABLE attempts (
                device TEXT NOT NULL, reason INTEGER NOT NULL, protocol TEXT NOT NULL, destination TEXT NOT NULL,
                port INTEGER NOT NULL, layer TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
                PRIMARY KEY (device, reason, protocol, destination, port, layer)) STRICT, WITHOUT ROWID""",
            """CREATE TABLE counters (
                device TEXT NOT NULL, reason INTEGER NOT NULL, packets INTEGER NOT NULL, bytes INTEGER NOT NULL,
                PRIMARY KEY (device, reason)) STRICT, WITHOUT ROWID""",
            """CREATE TABLE days (
                day INTEGER NOT NULL, device TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
                refusals INTEGER NOT NULL, PRIMARY KEY (day, device)) STRICT, WITHOUT ROWID""",
        ),
    ),
    (
        "0004-room",
        (
            # Runs of records that made room: the chain goes on from the last one's hash.
            """CREATE TABLE removed (
                "first" INTEGER PRIMARY KEY, "last" INTEGER NOT NULL UNIQUE, hash BLOB NOT NULL) STRICT""",
            "DROP TRIGGER records_remain",
            """CREATE TRIGGER records_remain BEFORE DELETE ON records
                WHEN NOT EXISTS (SELECT 1 FROM removed WHERE "first" = (
                    SELECT max("first") FROM removed WHERE "first" <= OLD.seq) AND "last" >= OLD.seq)
                OR EXISTS (SELECT 1 FROM outbox WHERE host = OLD.host AND seq = OLD.seq)
                BEGIN SELECT RAISE(ABORT, 'a record is never deleted but to make room'); END""",
        ),
    ),
    (
        "0005-leaks",
        (
            """CREATE TABLE leaks (
                day INTEGER NOT NULL, device TEXT NOT NULL, type TEXT NOT NULL, messages INTEGER NOT NULL,
                occupied INTEGER NOT NULL, slots INTEGER NOT NULL, last INTEGER NOT NULL, bits INTEGER NOT NULL,
                answers INTEGER NOT NULL, answer_bits INTEGER NOT NULL, PRIMARY KEY (day, device, type)) STRICT, WITHOUT ROWID""",
        ),
    ),
    (
        "0006-inbox",
        (
            # What waits for a device, from its record's commit until the commit of its end. ``id``: of both records.
            """CREATE TABLE inbox (
                pair TEXT NOT NULL, host TEXT NOT NULL, number INTEGER NOT NULL, device TEXT NOT NULL, vendor TEXT NOT NULL,
                type TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,
                PRIMARY KEY (pair, host, number)) STRICT, WITHOUT ROWID""",
            # received: the vendor's highest number on record; number: the last one of ours.
            """CREATE TABLE inbox_pairs (
                pair TEXT NOT NULL, host TEXT NOT NULL, received INTEGER NOT NULL, number INTEGER NOT NULL,
                PRIMARY KEY (pair, host)) STRICT, WITHOUT ROWID""",
            # The schedule of a day, there before its first question leaves, and what came of it. first, last, at: ns since the
            # epoch; period, phase: ns.
            """CREATE TABLE polls (
                day INTEGER NOT NULL, pair TEXT NOT NULL, host TEXT NOT NULL, device TEXT NOT NULL, period INTEGER NOT NULL,
                phase INTEGER NOT NULL, "first" INTEGER NOT NULL DEFAULT 0, "last" INTEGER NOT NULL DEFAULT 0,
                asked INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0, reason INTEGER NOT NULL DEFAULT -1,
                occupied INTEGER NOT NULL DEFAULT 0, entries INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
                PRIMARY KEY (day, pair, host)) STRICT, WITHOUT ROWID""",
            "CREATE UNIQUE INDEX inbox_seq ON inbox (seq)",
            """CREATE TRIGGER records_wait BEFORE DELETE ON records
                WHEN EXISTS (SELECT 1 FROM inbox WHERE seq = OLD.seq)
                BEGIN SELECT RAISE(ABORT, 'a record of what waits for its device is never deleted'); END""",
        ),
    ),
    *GROWN,
)


class MigrationError(ValueError):
    """The file is not one that this version can write. Says what to do."""


def migrate(database: sqlite3.Connection, still: Callable[[], None] = lambda: None) -> list[str]:
    """Bring an open database (autocommit mode) to the newest shape; returns the names of the steps taken.

    ``still``: called every few seconds at the least while a step is at work, which takes as long as the record is large.

    Raises MigrationError where the file knows a step that we do not, sqlite3.Error where it cannot be written.
    """
    database.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT")
    done = {name for (name,) in database.execute("SELECT name FROM migrations")}
    unknown = done - {name for name, _ in STEPS}
    if unknown:
        raise MigrationError(
            f"the ledger's file was written by a newer version (step {min(unknown)}); install that version again"
        )
    database.set_progress_handler(still, OPCODES)
    try:
        return _take(database, done)
    finally:
        database.set_progress_handler(None, 0)


def _take(database: sqlite3.Connection, done: set[str]) -> list[str]:
    taken: list[str] = []
    for name, statements in STEPS:
        if name in done:
            continue
        database.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                database.execute(statement)
            database.execute("INSERT INTO migrations VALUES (?, ?)", (name, time.time_ns()))
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        taken.append(name)
    return taken
