"""The later steps of the file's shape (``migrations.STEPS``): commitments, erasing, ages, search. Steps only, no code.

None of them reads or rewrites a record: what was written before keeps its bytes, and is checked by the rule of its time.
"""

from __future__ import annotations

GROWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0010-commitments",
        (
            # Both NULL in records of version 1; in an erased record the salt alone (chain.py).
            "ALTER TABLE records ADD COLUMN salt BLOB",
            "ALTER TABLE records ADD COLUMN commitment BLOB",
            # What the payload, or an answer, could hide; 0 in records of version 1, which do not say.
            "ALTER TABLE records ADD COLUMN bits INTEGER NOT NULL DEFAULT 0",
            # What the owner wants erased. seq: of the record that says so; before: ns since the epoch; looked: how far it is.
            """CREATE TABLE erasures (
                seq INTEGER PRIMARY KEY, device TEXT NOT NULL, before INTEGER NOT NULL, looked INTEGER NOT NULL DEFAULT 0,
                erased INTEGER NOT NULL DEFAULT 0, removed INTEGER NOT NULL DEFAULT 0) STRICT""",
            # Messages that still waited for their vendor then: they are erased once they have ended.
            """CREATE TABLE erased_later (
                seq INTEGER PRIMARY KEY, erasure INTEGER NOT NULL) STRICT""",
            # How often what was refused, without a look at every record (`mudroom drops`).
            "CREATE INDEX records_refused ON records (device, reason, at) WHERE kind = 'refusal'",
            "DROP TRIGGER records_stay",
            """CREATE TRIGGER records_stay BEFORE UPDATE ON records
                WHEN OLD.commitment IS NULL OR OLD.salt IS NULL OR NEW.salt IS NOT NULL
                OR NEW.seq IS NOT OLD.seq OR NEW.kind IS NOT OLD.kind OR NEW.previous IS NOT OLD.previous
                OR NEW.hash IS NOT OLD.hash OR NEW.commitment IS NOT OLD.commitment
                OR NEW.at IS NOT OLD.at - OLD.at % 86400000000000 OR NEW.received <> 0
                OR NEW.id <> '' OR NEW.device <> '' OR NEW.vendor <> '' OR NEW.host <> '' OR NEW.type <> ''
                OR NEW.original <> x'' OR NEW.outgoing <> x'' OR NEW.status <> 0 OR NEW.reason <> -1
                OR NEW.detail <> '' OR NEW.pointers <> '' OR NEW.bits <> 0
                OR EXISTS (SELECT 1 FROM outbox WHERE host = OLD.host AND seq = OLD.seq)
                OR EXISTS (SELECT 1 FROM inbox WHERE seq = OLD.seq)
                OR NOT EXISTS (SELECT 1 FROM erasures WHERE device = OLD.device)
                BEGIN SELECT RAISE(ABORT, 'a record is never changed but to be erased'); END""",
        ),
    ),
    (
        "0011-search",
        (
            "CREATE VIRTUAL TABLE search USING fts5(terms, content='', contentless_delete=1, detail=none, tokenize='ascii')",
            # upto: what is indexed; key: of the terms' hashes (index.py).
            "CREATE TABLE search_state (id INTEGER PRIMARY KEY CHECK (id = 1), upto INTEGER NOT NULL, key BLOB NOT NULL) STRICT",
            # Of each run of indexed records the earliest and latest time, for clocks may have been set.
            """CREATE TABLE search_times (
                "first" INTEGER PRIMARY KEY, "last" INTEGER NOT NULL, earliest INTEGER NOT NULL,
                latest INTEGER NOT NULL) STRICT""",
        ),
    ),
    (
        "0012-ages",
        (
            # Days on which the clock was right, each with the last record that was there when the day was first seen.
            "CREATE TABLE ages (day INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT",
        ),
    ),
    (
        "0013-rare",
        (
            # What is neither message, answer nor refusal is rare, and is looked for by its kind: without this, past every record.
            "CREATE INDEX records_rare ON records (kind, seq) WHERE kind NOT IN ('message', 'answer', 'refusal')",
        ),
    ),
)
