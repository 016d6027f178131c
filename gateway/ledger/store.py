"""The ledger's file: one SQLite database, written by one thread of one process, a batch in one transaction.

``Store.commit`` returns only when the batch is on disk, and changes nothing, in the file or in memory, when it raises. It must
never tell a seq that is not committed, and never write a record without its chain link.

Power cut at any time: with WAL and ``synchronous=FULL`` SQLite calls fsync(2) on the -wal file at each commit before it
returns, on the -wal file before a checkpoint copies from it, and on the database after; making the -wal file it syncs the
folder too. What ``EXTRA`` adds concerns rollback journals only (sqlite.org/pragma.html#pragma_synchronous). At the next
start SQLite replays the -wal file's whole transactions; a torn last one fails its checksum and was never acknowledged.

The record is bounded (space.py). When no finished record is left to make room, messages and refusals are refused and
counted; ends of messages are still written, for each lets a message go.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.ipc.messages import Refused, Submit
from gateway.ledger import attempts, erasing, index, leaks, mailbox, space
from gateway.ledger.batch import Answer, AttemptKey, Batch, Note, Tally, Waiting, cost, count, singly, size, submit_size
from gateway.ledger.chain import FIELDS, GENESIS, SALT_BYTES, Fields, commitment, link_commitment
from gateway.ledger.migrations import migrate
from gateway.notifying import notify
from gateway.reasons import Reason

DAYS_KEPT = 62  # of the quotas' sums
LOAD_BYTES = 4 * 1024 * 1024  # message bodies read back at once
MOST_RULES = 65_536  # characters of what the owner's rules decided in one message
MOST_DELAY_MS = 86_400_000  # gateway.policy.rule.MAX_DELAY
ATTEMPTS_KEPT = 10_000  # rows of attempts that no want of room takes before their time
LOOK_SECONDS = 1.0  # how old the knowledge of the disk's free space may be
STILL = "EXTEND_TIMEOUT_USEC=120000000"  # sd_notify(3): not the unit's TimeoutStartSec, but so long after the last of these
STILL_SECONDS = 5.0  # between two of them
BUSY_MS = 5000  # how long somebody else may hold the file
UNBOUNDED = space.Bounds(2**62, 0)
_DAY = 86_400 * 10**9
_MAX_INT = 2**63 - 1  # SQLite's integers

_RECORD = (
    f"INSERT INTO records ({', '.join(FIELDS)}, previous, hash, salt, commitment, bits)"  # noqa: S608
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)


def _still(monotonic: Callable[[], float]) -> Callable[[], None]:
    """Says now and then that the start goes on: a large record is brought to a new shape, which on a slow disk takes long."""
    due = monotonic()

    def say() -> None:
        nonlocal due
        if (now := monotonic()) >= due:
            due = now + STILL_SECONDS
            notify(STILL)

    return say


class StoreError(OSError):
    """The file cannot take a commit. Says why."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """A device's share; see ``config.Ledger``."""

    messages_per_day: int
    bytes_per_day: int
    refusals_per_day: int
    queue_per_device: int


@dataclass(slots=True)
class _Usage:
    messages: int = 0
    bytes: int = 0
    refusals: int = 0


@dataclass(slots=True)
class _Draft:
    """What a transaction will have changed in memory once it is committed."""

    seq: int
    head: bytes
    day: int
    at: int
    room: int
    freed: int = _MAX_INT  # the first record that waited and no longer does
    records: list[tuple[object, ...]] = field(default_factory=list)
    outbox: list[tuple[object, ...]] = field(default_factory=list)
    usage: dict[str, _Usage] = field(default_factory=dict)
    leaks: dict[str, leaks.Account] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)
    over: dict[AttemptKey, Tally] = field(default_factory=dict)
    attempts: attempts.Draft = field(default_factory=attempts.Draft)


class Store:
    """The open file. Every method belongs to one thread at a time; none knows the event loop."""

    def __init__(
        self,
        path: Path,
        quotas: Quotas,
        bounds: space.Bounds = UNBOUNDED,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._name = str(path)
        self._folder = str(path.parent)
        self._quotas = quotas
        self._bounds = bounds
        self._clock = clock
        self._monotonic = monotonic
        self._days = leaks.Days(monotonic())
        self._leaks: dict[str, leaks.Account] = {}  # of this day, by device
        self._database: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._seq = 0
        self._head = GENESIS
        self._tip = (0, GENESIS)
        self._day = -1
        self._usage: dict[str, _Usage] = {}
        self._queued: dict[str, int] = {}
        self._attempts = attempts.Attempts()
        self._space = space.Space(0, 0, 0)  # as last measured
        self._room = 0  # since then, by estimate
        self._mark = 0
        self._look_due = 0.0  # monotonic
        self._settled = 0  # nothing up to this seq can be removed
        self.removed = 0  # records, in this run
        self.damaged = ""  # why nothing is written into this file any more
        self.index_damaged = False  # search's index alone: it can be made anew

    def open(self) -> None:
        """Open the file, making and migrating it where needed. Raises StoreError or MigrationError."""
        try:
            self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error, "; check the disk's space and health") from error

    def _failed(self, error: Exception, remedy: str = "") -> StoreError:
        """What to raise. A fresh connection reads the truth from the file; ``open`` runs at the next call."""
        self.close()
        code = getattr(error, "sqlite_errorcode", 0) if isinstance(error, sqlite3.Error) else 0
        if code == sqlite3.SQLITE_CORRUPT_VTAB:
            self.index_damaged = True
        elif code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            # For good, until somebody has looked: a page that only readers meet would be met again and again, and what is
            # recorded in between might be lost with it.
            self.damaged = f"{self.path}: {error}: the file is damaged, and takes nothing more; restore it from a backup"
            return StoreError(self.damaged)
        return StoreError(f"{self.path}: {error}{remedy}")

    def close(self) -> None:
        """Close the file; harmless when closed."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> None:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.parent.stat().st_mode & 0o077:
            self.path.parent.chmod(0o700)
        # made here, so that it is 0600 from its first moment; SQLite gives -wal and -shm the same mode
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        self.path.chmod(0o600)
        database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
        self._database = database
        found = self.path.stat()
        self._file = (found.st_dev, found.st_ino)
        (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":  # said, not raised, by SQLite
            raise OSError(f"the file system has no shared memory for a write-ahead log (journal mode {mode})")
        # secure_delete: what is erased or removed is overwritten in its page, not left there until the page is used again
        for pragma in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON", "secure_delete=ON"):
            database.execute(f"PRAGMA {pragma}")
        migrate(database, _still(self._monotonic))
        self._load()

    def _load(self) -> None:
        """Read what is kept in memory."""
        database = self._db
        row = database.execute("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1").fetchone()
        self._tip = self._seq, self._head = row or (0, GENESIS)
        self._day = -1
        self._usage = {}
        self._queued = dict(database.execute("SELECT device, count(*) FROM outbox GROUP BY device"))
        self._attempts.load(database)
        oldest = self._clock() // _DAY - DAYS_KEPT
        database.execute("DELETE FROM days WHERE day < ?", (oldest,))
        mailbox.forget_days(database, oldest + DAYS_KEPT)
        self._days.found(leaks.newest(database))
        self._leaks = leaks.load(database, self._days.day)
        self._settled = 0
        self._look()

    @property
    def _db(self) -> sqlite3.Connection:
        if self._database is None:
            self.open()
        if self._database is None:
            raise StoreError(f"{self.path}: closed")
        return self._database

    @property
    def head(self) -> tuple[int, bytes]:
        """The last committed record's seq and hash: of one moment, whichever thread asks."""
        return self._tip

    @property
    def day(self) -> int:
        """The day that leak budgets are counted in."""
        return self._days.day

    # --- room ---

    @property
    def short(self) -> bool:
        """Whether ``make_room`` has something to do."""
        return self._room < self._mark

    @property
    def space(self) -> space.Space:
        """As last measured."""
        return self._space

    @property
    def room(self) -> int:
        """Bytes that may be added, by estimate."""
        return max(self._room, 0)

    def make_room(self) -> bool:
        """One short step: remove some of the oldest finished records. Returns whether another step is due. Raises StoreError."""
        try:
            database = self._db
            self._look()
            if self._room >= 2 * self._mark:
                return False
            removed = self._remove(database)
            self._look()
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        return removed and self._room < 2 * self._mark

    def _look(self) -> None:
        self._space = space.measure(self._db, self._folder)
        self._room = self._space.room(self._bounds)
        self._mark = self._space.mark()
        self._look_due = time.monotonic() + LOOK_SECONDS

    def _remove(self, database: sqlite3.Connection) -> bool:
        """One transaction; whether anything went or more is to be looked at."""
        database.execute("BEGIN IMMEDIATE")
        try:
            step = space.remove(database, self._settled, self._seq)
            index.forget(database, step.runs)
            more = step.looked < self._seq
            # Attempts go with the records of their time; where no record is left to go, the oldest of them, if they are many.
            many = len(self._attempts) > ATTEMPTS_KEPT
            forgotten = space.forget_attempts(database, self._clock() + 1 if many and not more else step.at)
            if forgotten:
                rows = dict(database.execute("SELECT device, count(*) FROM attempts GROUP BY device"))
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self._settled = min(step.looked, self._seq - 1)
        self.removed += step.records
        if forgotten:
            self._attempts.have(rows.items())
        return bool(more or step.records or forgotten)

    def _have_room(self, database: sqlite3.Connection, needed: int) -> None:
        """Know the room to within a second; where ``needed`` bytes have none, make it now."""
        if self._room - needed < self._mark or time.monotonic() >= self._look_due:
            self._look()
            while self._room < needed and self._remove(database):
                self._look()

    # --- work beside commits ---

    def step[T](self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One short transaction of ``work``, which must not write records. Raises StoreError, and nothing was changed."""
        if self.damaged:
            raise StoreError(self.damaged)
        try:
            database = self._db
            database.execute("BEGIN IMMEDIATE")
            try:
                done = work(database)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        return done

    def look[T](self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What ``read`` finds in the open file, which it must not change. Raises StoreError."""
        return self._read(read)

    def scrub(self) -> bool:
        """Empty the write-ahead log; False where somebody reads in it, or it cannot be done now.

        What was overwritten in the file may stand in it until then.
        """
        try:
            database = self._db
            database.execute("PRAGMA busy_timeout=0")
            try:
                (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                database.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        return not busy

    def recount(self) -> None:
        """Count anew what an erasure removed from. Raises StoreError."""
        rows = self._read(lambda db: db.execute("SELECT device, count(*) FROM attempts GROUP BY device").fetchall())
        self._attempts.have(rows)
        self._settled = 0

    @property
    def first_day_needed(self) -> int:
        """The first day whose sums are still needed, for quotas or for leak budgets."""
        today = self._clock() // _DAY
        return min(today, self._days.day) if self._days.day >= 0 else today

    # --- writing ---

    def commit(self, batch: Batch) -> list[int | Reason]:
        """Write ``batch`` in one transaction and wait for the disk.

        Returns, for each of ``batch.submits``, its seq or the reason why it was refused. Values that the file cannot hold
        (an integer beyond 64 bits, an id that was used before) refuse their own message, not the batch.
        Raises StoreError where nothing was committed.
        """
        try:
            return self._commit(batch)
        except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, OverflowError, UnicodeError) as error:
            if size(batch) <= 1:
                raise StoreError(f"a value that cannot be recorded: {error}") from error
        results: list[int | Reason] = []
        for part in singly(batch):
            try:
                results += self._commit(part)
            except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, OverflowError, UnicodeError):
                results += [Reason.LEDGER_UNAVAILABLE for _ in part.submits]
                for work in part.mail:
                    work.kept = False
        return results

    def _commit(self, batch: Batch) -> list[int | Reason]:
        if self.damaged:
            raise StoreError(self.damaged)
        database = self._db
        try:
            found = os.stat(self._name)  # noqa: PTH116  # pathlib's costs three times as much, and this is every commit
            if (found.st_dev, found.st_ino) != self._file:
                raise StoreError(f"{self.path}: replaced while in use")  # noqa: TRY301
            at = self._clock()
            self._turn_day(at)
            self._have_room(database, cost(batch))
            database.execute("BEGIN IMMEDIATE")
            draft = _Draft(self._seq, self._head, self._day, at, self._room)
            results = [self._submit(draft, submit) for submit in batch.submits]
            for refused in batch.refusals:
                self._refuse(draft, refused)
            for answer in batch.answers:
                self._answer(draft, answer)
            noted = [self._note(draft, note) for note in batch.notes]
            for work in batch.mail:
                work.write(database, _Scribe(self, draft))
            self._write(database, draft, batch)
            erasing.begin(database, zip(batch.notes, noted, strict=True))
            database.execute("COMMIT")
        except (OSError, sqlite3.OperationalError, sqlite3.InternalError) as error:
            raise self._failed(error) from error
        except sqlite3.DatabaseError as error:
            if type(error) is sqlite3.DatabaseError:  # "database disk image is malformed", "file is not a database"
                raise self._failed(error) from error
            database.execute("ROLLBACK")
            raise
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self._seq, self._head, self._room = draft.seq, draft.head, draft.room
        self._tip = (draft.seq, draft.head)
        for note, seq in zip(batch.notes, noted, strict=True):
            note.seq = seq
        for answer in batch.answers:
            self._settled = min(self._settled, answer.seq - 1)  # that message may go now
        self._settled = min(self._settled, draft.freed - 1)
        self._usage.update(draft.usage)
        self._leaks.update(draft.leaks)
        self._attempts.take(draft.attempts)
        for device, number in draft.queued.items():
            left = self._queued.get(device, 0) + number
            if left > 0:
                self._queued[device] = left
            else:
                self._queued.pop(device, None)
        return results

    def _write(self, database: sqlite3.Connection, draft: _Draft, batch: Batch) -> None:
        if draft.records:
            database.executemany(_RECORD, draft.records)
        if draft.outbox:
            database.executemany("INSERT INTO outbox (host, seq, id, device, at, next_at) VALUES (?,?,?,?,?,?)", draft.outbox)
        if batch.answers:
            database.executemany("DELETE FROM outbox WHERE host = ? AND seq = ?", [(a.host, a.seq) for a in batch.answers])
        if batch.deferrals:
            database.executemany(
                "UPDATE outbox SET tries = tries + 1, reason = ?, next_at = ? WHERE host = ? AND seq = ?",
                [(d.reason, d.next_at, d.host, d.seq) for d in batch.deferrals],
            )
        if draft.usage:
            database.executemany(
                "INSERT OR REPLACE INTO days VALUES (?,?,?,?,?)",
                [(draft.day, device, u.messages, u.bytes, u.refusals) for device, u in draft.usage.items()],
            )
        leaks.write(database, self._days.day, self._leaks, draft.leaks)
        for tallies in (batch.attempts, draft.over):
            self._attempts.write(database, draft.attempts, tallies)
        self._attempts.count(database, draft.attempts, batch.counters)

    def _chain(self, draft: _Draft, *fields: object, bits: int = 0) -> int:
        seq = draft.seq + 1
        whole: Fields = (seq, *fields)  # type: ignore[assignment]
        salt = os.urandom(SALT_BYTES)
        committed = commitment(salt, whole, bits)
        digest = link_commitment(draft.head, seq, whole[1], whole[8], committed)
        draft.records.append((*whole, draft.head, digest, salt, committed, bits))
        draft.seq, draft.head = seq, digest
        return seq

    def _submit(self, draft: _Draft, submit: Submit) -> int | Reason:
        quotas, usage, size = self._quotas, self._use(draft, submit.device), submit_size(submit)
        queued = self._queued.get(submit.device, 0) + draft.queued.get(submit.device, 0)
        if (
            not submit.id
            or not 0 <= submit.received <= _MAX_INT
            or not 0 <= submit.bits <= _MAX_INT
            or not 0 <= submit.slot_ms <= leaks.MOST_SLOT_MS
            or not 0 <= submit.delay_ms <= MOST_DELAY_MS
            or len(submit.rules) > MOST_RULES
        ):
            return Reason.LEDGER_UNAVAILABLE
        if (
            usage.messages >= quotas.messages_per_day
            or usage.bytes + size > quotas.bytes_per_day
            or queued >= quotas.queue_per_device
        ):
            count(draft.over, (submit.device, Reason.QUOTA.code, "message", submit.host, 443, "ledger"), draft.at)
            return Reason.QUOTA
        if not self._fits(draft, size):
            count(draft.over, (submit.device, Reason.RECORD_FULL.code, "message", submit.host, 443, "ledger"), draft.at)
            return Reason.RECORD_FULL
        # last: what does not leave costs nothing
        if submit.slot_ms and not leaks.charge(self._account(draft, submit.device), submit):
            draft.room += space.cost(size)
            count(draft.over, (submit.device, Reason.LEAK_BUDGET.code, "message", submit.host, 443, "ledger"), draft.at)
            return Reason.LEAK_BUDGET
        seq = self._chain(
            draft, "message", submit.id, submit.device, submit.vendor, submit.host, submit.type, submit.received, draft.at,
            submit.original, submit.outgoing, 0, -1, submit.rules, _pointers(submit.withheld), bits=submit.bits,
        )  # fmt: skip
        next_at = min(submit.received + submit.delay_ms * 1_000_000, _MAX_INT) if submit.delay_ms else 0
        draft.outbox.append((submit.host, seq, submit.id, submit.device, draft.at, next_at))
        draft.queued[submit.device] = draft.queued.get(submit.device, 0) + 1
        usage.messages += 1
        usage.bytes += size
        return seq

    def _refuse(self, draft: _Draft, refused: Refused) -> None:
        quotas, usage, size = self._quotas, self._use(draft, refused.device), len(refused.original)
        within = usage.refusals < quotas.refusals_per_day and usage.bytes + size <= quotas.bytes_per_day
        if not within or not self._fits(draft, size):
            count(draft.over, (refused.device, refused.reason, "message", refused.host, 443, "ledger"), draft.at)
            return
        self._chain(
            draft, "refusal", "", refused.device, "", refused.host, refused.type, refused.received, draft.at,
            refused.original, b"", 0, refused.reason, refused.detail, _pointers(refused.pointers),
        )  # fmt: skip
        usage.refusals += 1
        usage.bytes += size

    def _answer(self, draft: _Draft, answer: Answer) -> None:
        self._chain(
            draft, "answer", answer.id, answer.device, answer.vendor, answer.host, answer.type, draft.at, draft.at,
            answer.original, answer.outgoing, answer.status, answer.reason, answer.detail, "",
            bits=min(max(answer.bits, 0), leaks.MOST_ANSWER),
        )  # fmt: skip
        draft.queued[answer.device] = draft.queued.get(answer.device, 0) - 1
        draft.room -= space.cost(len(answer.original) + len(answer.outgoing))  # never refused: it lets a message go
        # A vendor's answers use the device's share too: else a talkative vendor could fill the disk.
        self._use(draft, answer.device).bytes += len(answer.original) + len(answer.outgoing)
        if answer.bits:
            leaks.heard(self._account(draft, answer.device), answer.type, answer.bits)

    def _note(self, draft: _Draft, note: Note) -> int:
        if not self._fits(draft, len(note.original) + len(note.outgoing)):
            return 0
        return self._chain(
            draft, note.kind, note.id, note.device, "", note.host, note.type, draft.at, draft.at,
            note.original, note.outgoing, note.status, note.reason, note.detail, "",
        )  # fmt: skip

    @staticmethod
    def _fits(draft: _Draft, size: int) -> bool:
        needed = space.cost(size)
        if draft.room < needed:
            return False
        draft.room -= needed
        return True

    def _use(self, draft: _Draft, device: str) -> _Usage:
        usage = draft.usage.get(device)
        if usage is None:
            known = self._usage.get(device)
            usage = draft.usage[device] = _Usage(known.messages, known.bytes, known.refusals) if known else _Usage()
        return usage

    def _account(self, draft: _Draft, device: str) -> leaks.Account:
        account = draft.leaks.get(device)
        if account is None:
            account = draft.leaks[device] = dict(self._leaks.get(device, {}))
        return account

    def _turn_day(self, at: int) -> None:
        if self._days.turn(at, self._monotonic()):
            self._leaks = leaks.load(self._db, self._days.day)
        day = at // _DAY
        if day != self._day:
            rows = self._db.execute("SELECT device, messages, bytes, refusals FROM days WHERE day = ?", (day,))
            self._usage = {device: _Usage(*sums) for device, *sums in rows}
            self._day = day

    # --- reading back ---

    def hosts(self) -> dict[str, int]:
        """How many committed messages wait, by host. Raises StoreError."""
        return self._read(lambda db: dict(db.execute("SELECT host, count(*) FROM outbox GROUP BY host")))

    def delayed(self) -> list[tuple[str, int, int]]:
        """(host, seq, ns since the epoch) of messages that a rule of the owner's holds until then. Raises StoreError."""
        wanted = "SELECT host, seq, next_at FROM outbox WHERE tries = 0 AND next_at > ?"
        return self._read(lambda db: db.execute(wanted, (self._clock(),)).fetchall())

    def waiting(self, host: str, skip: Iterable[int], limit: int) -> list[Waiting]:
        """The oldest messages that wait for ``host`` and are not in ``skip`` (seqs). Raises StoreError."""
        omit = frozenset(skip)

        def read(database: sqlite3.Connection) -> list[Waiting]:
            found = database.execute("SELECT seq FROM outbox WHERE host = ? ORDER BY seq LIMIT ?", (host, limit + len(omit)))
            seqs = [seq for (seq,) in found if seq not in omit][:limit]
            messages: list[Waiting] = []
            size = 0
            for seq in seqs:
                row = database.execute(
                    "SELECT seq, id, device, vendor, host, type, outgoing FROM records WHERE seq = ?", (seq,)
                ).fetchone()
                messages.append(Waiting(*row))
                size += len(row[-1])
                if size > LOAD_BYTES:
                    break
            return messages

        return self._read(read)

    def overdue(self, host: str, skip: Iterable[int], before: int, limit: int = 256) -> list[Waiting]:
        """The messages for ``host`` committed before ``before`` (nanoseconds since the epoch), oldest first, bodies left out."""
        omit = frozenset(skip)

        def read(database: sqlite3.Connection) -> list[Waiting]:
            rows = database.execute(
                "SELECT r.seq, r.id, r.device, r.vendor, r.host, r.type, o.at FROM outbox o JOIN records r USING (seq)"
                " WHERE o.host = ? ORDER BY o.seq LIMIT ?",
                (host, limit + len(omit)),
            )
            return [Waiting(s, i, d, v, h, t, b"") for s, i, d, v, h, t, at in rows if s not in omit and at < before]

        return self._read(read)

    def _read[T](self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return read(self._db)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error


@dataclass(slots=True)
class _Scribe:
    """``mailbox.Scribe`` for one transaction."""

    store: Store
    draft: _Draft

    @property
    def at(self) -> int:
        return self.draft.at

    def record(self, line: mailbox.Line) -> int:
        draft, place, size = self.draft, line.place, len(line.original) + len(line.outgoing)
        if line.needed:
            draft.room -= space.cost(size)
        elif not self.store._fits(draft, size):
            return 0
        pointers = msgspec.json.encode(line.pointers).decode() if line.pointers else ""
        return self.store._chain(
            draft, line.kind, line.id, place.device, place.vendor, place.host, line.type, draft.at, draft.at,
            line.original, line.outgoing, line.status, line.reason, line.detail, pointers,
        )  # fmt: skip

    def freed(self, seq: int) -> None:
        self.draft.freed = min(self.draft.freed, seq)

    def heard(self, device: str, type_: str, bits: int) -> None:
        leaks.heard(self.store._account(self.draft, device), type_, bits)


def _pointers(pointers: tuple[str, ...]) -> str:
    return msgspec.json.encode(pointers).decode() if pointers else ""
