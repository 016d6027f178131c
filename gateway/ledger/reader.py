"""Reading the ledger, for the owner's command and for tests: with the ledger's process running or without it.

It opens the file read-only and must never write to it. Every list is newest first.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from gateway.ledger.chain import FIELDS, GENESIS, link
from gateway.ledger.leaks import COLUMNS, Spent, total
from gateway.reasons import Reason


class LedgerError(OSError):
    """The ledger's file cannot be read. Says why and what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the record. ``received`` and ``at``: arrival and writing, in nanoseconds since the epoch."""

    seq: int
    kind: str
    id: str
    device: str
    vendor: str
    host: str
    type: str
    received: int
    at: int
    original: bytes
    outgoing: bytes
    status: int
    reason: Reason | None
    detail: str
    pointers: tuple[str, ...]
    hash: bytes


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message with its answer. ``answer`` is None while it waits; ``tries``: failed ones, 0 once it is answered."""

    message: Record
    answer: Record | None
    tries: int
    last_failure: Reason | None

    @property
    def state(self) -> str:
        """ "waiting", "delivered", or the label of the reason why it was not taken."""
        if self.answer is None:
            return "waiting"
        return self.answer.reason.label if self.answer.reason else "delivered"


@dataclass(frozen=True, slots=True)
class AttemptCount:
    """Something that was dropped before it was a message. ``first`` and ``last``: nanoseconds since the epoch."""

    device: str
    reason: Reason | None
    protocol: str
    destination: str
    port: int
    layer: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """Refused messages of a device for one reason. ``last``: nanoseconds since the epoch."""

    device: str
    reason: Reason | None
    count: int
    last: int


@dataclass(frozen=True, slots=True)
class PacketCount:
    """Packets of a device (id or MAC) that met one verdict."""

    device: str
    reason: Reason | None
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits for its vendor. ``next_at``: nanoseconds since the epoch, 0 where it was not tried yet."""

    seq: int
    id: str
    device: str
    host: str
    at: int
    tries: int
    next_at: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class LeakDay:
    """What one message type of a device spent in one day (days since the epoch): whole bits of payloads, bits of presence."""

    day: int
    device: str
    type: str
    spent: Spent

    @property
    def bits(self) -> int:
        """Both together."""
        return total({self.type: self.spent})


@dataclass(frozen=True, slots=True)
class Verification:
    """``records``: how many links hold; ``broken``: the first seq that does not, and ``why``; None where all hold.

    ``since``: the oldest record from which on none is missing but ``removed`` ones, which made room.
    """

    records: int
    head: bytes
    broken: int | None
    why: str
    since: int = 1
    removed: int = 0


# The columns are a constant of ours; every value is bound.
_COLUMNS = "seq, kind, id, device, vendor, host, type, received, at, original, outgoing, status, reason, detail, pointers, hash"
_NEWEST = f"SELECT {_COLUMNS} FROM records WHERE kind = ?1 AND (?2 IS NULL OR device = ?2) ORDER BY seq DESC LIMIT ?3"  # noqa: S608
_BY_ID = f"SELECT {_COLUMNS} FROM records WHERE id = ?1 AND kind = ?2 AND id <> ''"  # noqa: S608  # the words of the index
_AFTER = f"SELECT {_COLUMNS} FROM records WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
_CHAIN = f"SELECT {', '.join(FIELDS)}, previous, hash FROM records WHERE seq > ? ORDER BY seq LIMIT 1000"  # noqa: S608


class Reader:
    """The open file. A context manager; every method raises LedgerError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise LedgerError(f"{path}: no such file; has the ledger ever run? It makes the file at its first start")
        with self._errors():
            self._database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
            try:
                self._database.execute("PRAGMA query_only = ON")
                self._database.execute("SELECT seq FROM records LIMIT 1").fetchone()
            except sqlite3.Error:
                self._database.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def messages(self, limit: int = 100, *, device: str | None = None) -> list[MessageRecord]:
        """The newest messages with their answers."""
        return [self._answered(_record(row)) for row in self._all(_NEWEST, "message", device, limit)]

    def message(self, id: str) -> MessageRecord | None:
        """The message with this id; None where there is none."""
        rows = self._all(_BY_ID, id, "message")
        return self._answered(_record(rows[0])) if rows else None

    def _answered(self, message: Record) -> MessageRecord:
        answers = self._all(_BY_ID, message.id, "answer")
        tried = self._all("SELECT tries, reason FROM outbox WHERE host = ? AND seq = ?", message.host, message.seq)
        tries, reason = tried[0] if tried else (0, -1)
        return MessageRecord(message, _record(answers[0]) if answers else None, tries, _reason(reason))

    def refusals(self, limit: int = 100, *, device: str | None = None) -> list[Record]:
        """The newest refused messages that were kept whole; further ones are counted in ``attempts``."""
        return [_record(row) for row in self._all(_NEWEST, "refusal", device, limit)]

    def fetches(self, limit: int = 100, *, device: str | None = None) -> list[tuple[Record, Record | None]]:
        """The newest looks at vendors' manifests, each with what came of it; None where that is not on record."""
        found = []
        for row in self._all(_NEWEST, "fetch", device, limit):
            asked = _record(row)
            came = self._all(_BY_ID, asked.id, "fetched")
            found.append((asked, _record(came[0]) if came else None))
        return found

    def refusal_counts(self, device: str | None = None) -> list[RefusalCount]:
        """How many refused messages were kept whole, by device and reason."""
        rows = self._all(
            "SELECT device, reason, COUNT(*), MAX(at) FROM records WHERE kind = 'refusal' AND (?1 IS NULL OR device = ?1)"
            " GROUP BY device, reason",
            device,
        )
        return [RefusalCount(name, _reason(reason), count, last) for name, reason, count, last in rows]

    def records(self, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records in the order in which they were written, from seq ``after`` + 1 on."""
        return [_record(row) for row in self._all(_AFTER, after, limit)]

    def attempts(self, device: str | None = None, limit: int = 1000) -> list[AttemptCount]:
        """What was dropped before it was a message, last seen first."""
        rows = self._all(
            "SELECT device, reason, protocol, destination, port, layer, count, first, last FROM attempts"
            " WHERE ?1 IS NULL OR device = ?1 ORDER BY last DESC LIMIT ?2",
            device,
            limit,
        )
        return [AttemptCount(device, _reason(reason), *rest) for device, reason, *rest in rows]

    def counters(self, device: str | None = None) -> list[PacketCount]:
        """The kernel's counters."""
        rows = self._all(
            "SELECT device, reason, packets, bytes FROM counters WHERE ?1 IS NULL OR device = ?1 ORDER BY device, reason", device
        )
        return [PacketCount(name, _reason(reason), packets, size) for name, reason, packets, size in rows]

    def leaks(self, device: str | None = None, days: int = 7) -> list[LeakDay]:
        """What was spent of leak budgets in the newest ``days`` days on record, newest first."""
        if not self._has("leaks"):
            return []  # written by a version that charged nothing
        rows = self._all(
            f"SELECT day, device, {COLUMNS} FROM leaks WHERE (?1 IS NULL OR device = ?1)"  # noqa: S608
            " AND day > (SELECT max(day) FROM leaks) - ?2 ORDER BY day DESC, device, type",
            device,
            days,
        )
        return [LeakDay(day, name, type_, Spent(*numbers)) for day, name, type_, *numbers in rows]

    def queue(self, limit: int = 1000) -> list[Queued]:
        """Messages that wait for their vendor, oldest first."""
        rows = self._all("SELECT seq, id, device, host, at, tries, next_at, reason FROM outbox ORDER BY seq LIMIT ?", limit)
        return [Queued(*(*row[:-1], _reason(row[-1]))) for row in rows]

    def deeds(self, limit: int = 100) -> list[Record]:
        """What the owner decided on the pages: ``type`` is what, ``host`` by whom."""
        return [_record(row) for row in self._all(_NEWEST, "deed", None, limit)]

    def version(self) -> int:
        """A number that another process's commit changes, for as long as this is open (SQLite, PRAGMA data_version)."""
        rows = self._all("PRAGMA data_version")
        return int(rows[0][0])

    def head(self) -> tuple[int, bytes]:
        """The last record's seq and hash; keep it elsewhere to notice a ledger that was cut short."""
        rows = self._all("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, GENESIS)

    def verify(self, newest: int | None = None) -> Verification:
        """Walk the chain, all of it or its ``newest`` records. Raises LedgerError.

        A cut-off end cannot be seen here: compare ``head`` with one noted earlier.
        """
        previous, seq, held, gone, since = GENESIS, 0, 0, 0, 1
        if newest is not None:
            for start, told in self._all(
                "SELECT seq, previous FROM (SELECT seq, previous FROM records ORDER BY seq DESC LIMIT ?) ORDER BY seq LIMIT 1",
                newest,
            ):
                previous, seq, since = told, start - 1, start
        # in pieces: one long read would keep the ledger from shortening its write-ahead log
        while rows := self._all(_CHAIN, seq):
            for number, *fields, told, digest in rows:
                if number != seq + 1:
                    removed = self._removed(seq + 1)
                    if removed is None:
                        return Verification(held, previous, seq + 1, f"record {seq + 1} is missing", since, gone)
                    gone += removed[0] - seq
                    since = removed[0] + 1 if not held else since
                    seq, previous = removed
                    break  # what made room meanwhile may reach beyond the rows at hand: read on from there
                if told != previous:
                    return Verification(held, previous, number, "it does not follow the record before it", since, gone)
                if link(previous, (number, *fields)) != digest:
                    return Verification(held, previous, number, "its content is not what was recorded", since, gone)
                previous, seq, held = digest, number, held + 1
        return Verification(held, previous, None, "", since, gone)

    def _removed(self, seq: int) -> tuple[int, bytes] | None:
        """The end of the run of removed records in which ``seq`` lies, and its hash."""
        if not self._has("removed"):
            return None  # written by a version that removed nothing
        rows = self._all(
            'SELECT "last", hash FROM removed WHERE "first" <= ? AND "last" >= ? ORDER BY "first" DESC LIMIT 1', seq, seq
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def oldest(self) -> int:
        """When the oldest record that is still there was made (nanoseconds since the epoch); 0 where there is none."""
        rows = self._all("SELECT at FROM records ORDER BY seq LIMIT 1")
        return rows[0][0] if rows else 0

    def _has(self, table: str) -> bool:
        return bool(self._all("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", table))

    def _all(self, statement: str, *values: Any) -> list[Any]:
        with self._errors():
            return self._database.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: {error}; it is readable by root and the ledger's own user") from error


def _reason(code: int) -> Reason | None:
    try:
        return Reason.from_code(code)
    except KeyError:
        return None  # none, or a newer version's


def _record(row: Any) -> Record:
    code, detail, pointers, digest = row[12:]
    pointed = tuple(msgspec.json.decode(pointers)) if pointers else ()
    return Record(*(*row[:12], _reason(code), detail, pointed, digest))
