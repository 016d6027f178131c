"""Reading the ledger, for the owner's command and for tests: with the ledger's process running or without it.

It opens the file read-only and must never write to it. Every list is newest first.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from gateway.ledger import verifying
from gateway.ledger.chain import GENESIS
from gateway.ledger.leaks import COLUMNS, Spent, total
from gateway.ledger.searching import Search, Wanted
from gateway.ledger.verifying import Verification
from gateway.reasons import Reason
from gateway.standard.bits import whole
from gateway.standard.slots import presence


class LedgerError(OSError):
    """The ledger's file cannot be read. Says why and what to do."""


class Stopped(Exception):
    """The walk was no longer wanted."""


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
    bits: int = 0


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
            return "waiting" if self.message.id else "erased"
        return self.answer.reason.label if self.answer.reason else "delivered"


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """What a vendor sent to a device. ``end``: None while it waits, and for what was refused at once."""

    entry: Record
    end: Record | None

    @property
    def state(self) -> str:
        """ "waiting", "taken", or the label of the reason why the device does not get it."""
        last = self.end or self.entry
        return last.reason.label if last.reason else "taken" if self.end else "waiting"


@dataclass(frozen=True, slots=True)
class PollDay:
    """A day's questions for one inbox. ``first``, ``last``: ns since the epoch; ``period``: ns; ``status``, ``reason``: the last.

    ``occupied``: questions that brought entries; ``entries``: of them, those that were for the device.
    """

    day: int
    device: str
    host: str
    period: int
    first: int
    last: int
    asked: int
    status: int
    reason: Reason | None
    occupied: int
    entries: int

    @property
    def bits(self) -> int:
        """What the vendor could say by when it sent how many: one answer for each time in the schedule, whether asked or not."""
        slots = max(self.asked, (self.last - self.first) // self.period + 1 if self.asked else 0, self.occupied)
        return whole(presence(self.occupied, self.entries - self.occupied, slots)) if slots else 0


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


PAGE = 256  # records read at once
STRETCH = 2_000  # records looked through before whoever replays them is asked again

# The columns are a constant of ours; every value is bound.
MOST_REFUSAL = 16_384  # bytes of a judged refusal, which has no more
_COLUMNS = (
    "seq, kind, id, device, vendor, host, type, received, at, original, outgoing, status, reason, detail, pointers, hash, bits"
)
_NEWEST = f"SELECT {_COLUMNS} FROM records WHERE kind = ?1 AND (?2 IS NULL OR device = ?2) ORDER BY seq DESC LIMIT ?3"  # noqa: S608
# Of kinds that are rare; in the words of the index records_rare, which is used for no others.
_RARE = _NEWEST.replace("WHERE", "WHERE kind NOT IN ('message', 'answer', 'refusal') AND", 1)
_BY_ID = f"SELECT {_COLUMNS} FROM records WHERE id = ?1 AND kind = ?2 AND id <> ''"  # noqa: S608  # the words of the index
_DECLINED = (
    f"SELECT {_COLUMNS.replace('original, outgoing', f"x'', substr(outgoing, 1, {MOST_REFUSAL})")} FROM records"  # noqa: S608
    " WHERE seq IN (SELECT seq FROM records WHERE kind = 'answer' ORDER BY seq DESC LIMIT ?1) AND reason IN (?2, ?3)"
    " ORDER BY seq DESC"
)
_AFTER = f"SELECT {_COLUMNS} FROM records WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
_RULED = (
    f"SELECT {_COLUMNS} FROM records WHERE seq BETWEEN ? AND ? AND device <> ''"  # noqa: S608  # else it is erased
    " AND (kind = 'message' OR kind = 'refusal' AND reason BETWEEN 180 AND 185) ORDER BY seq DESC LIMIT ?"
)


class Reader:
    """The open file. A context manager; every method raises LedgerError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise LedgerError(f"{path}: no such file; has the ledger ever run? It makes the file at its first start")
        with self._errors():
            self._database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
            try:
                for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
                    self._database.execute(f"PRAGMA {pragma}")
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
        return [self._answered(record) for record in self.search(Wanted("message", device), limit)]

    def search(self, wanted: Wanted, limit: int = 100) -> list[Record]:
        """The newest records that are meant."""
        found: list[Record] = []
        with self._errors():
            for page in self._pages(Search(wanted, _COLUMNS), limit):
                found += page
                if len(found) >= limit:
                    break
        return found[:limit]

    def page(
        self, wanted: Wanted, edge: int, limit: int, *, oldest_first: bool = False, seconds: float | None = None
    ) -> tuple[list[Record], int | None]:
        """One bounded look beyond seq ``edge``: what was found, and the next edge, None at the end. Raises TooLongError, too."""
        with self._errors():
            found = Search(wanted, _COLUMNS, oldest_first=oldest_first).page(self._database, edge, limit, seconds)
        return [_record(row) for row in found.rows], found.edge

    def glance(self, wanted: Wanted, limit: int, at_once: int) -> Iterator[Record | None]:
        """The newest records that are meant, read ``at_once`` at a time; a None at the end says that there may be more.

        It ends after ``limit`` records, or where ten thousand in a row that might have been meant held fewer than ``at_once``.
        """
        search = Search(wanted, _COLUMNS)
        edge: int | None = search.start
        left = limit
        with self._errors():
            while edge is not None and left > 0:
                asked = min(at_once, left)
                page = search.page(self._database, edge, asked)
                yield from map(_record, page.rows)
                edge, left = page.edge, left - len(page.rows)
                if len(page.rows) < asked:
                    break
        if edge is not None:
            yield None

    def walk(self, wanted: Wanted) -> Iterator[Record]:
        """All records that are meant, oldest first, some at a time: what is read in between may make room meanwhile."""
        with self._errors():
            for page in self._pages(Search(wanted, _COLUMNS, oldest_first=True), PAGE):
                yield from page

    def _pages(self, search: Search, limit: int) -> Iterator[list[Record]]:
        edge: int | None = search.start
        while edge is not None:
            page = search.page(self._database, edge, limit)
            yield [_record(row) for row in page.rows]
            edge = page.edge

    def answered(self, message: Record) -> MessageRecord:
        """A message with its answer."""
        return self._answered(message)

    def message(self, id: str) -> MessageRecord | None:
        """The message with this id; None where there is none."""
        rows = self._all(_BY_ID, id, "message")
        return self._answered(_record(rows[0])) if rows else None

    def _answered(self, message: Record) -> MessageRecord:
        answers = self._all(_BY_ID, message.id, "answer")
        tried = self._all("SELECT tries, reason FROM outbox WHERE host = ? AND seq = ?", message.host, message.seq)
        tries, reason = tried[0] if tried else (0, -1)
        return MessageRecord(message, _record(answers[0]) if answers else None, tries, _reason(reason))

    def to_replay(self, since: int, limit: int = 100_000, at_once: int = 500) -> Iterator[Record]:
        """Messages, and those that the owner's rules refused, recorded since ``since`` (ns since the epoch), newest first.

        ``at_once``: how many are in memory.
        """
        found = (record for _, record in self.replaying(since, at_once) if record is not None)
        yield from islice(found, limit)

    def replaying(self, since: int, at_once: int) -> Iterator[tuple[int, Record | None]]:
        """The same, each with how far back was looked (ns since the epoch); without a record after a stretch that held none.

        So whoever has no more time can end it, however much of what is not replayed a device has put on record.
        """
        last, looked = self.head()[0], time.time_ns()
        while edge := self._all("SELECT seq, at, device FROM records WHERE seq <= ? ORDER BY seq DESC LIMIT 1", last):
            last, at, device = edge[0]
            if device:  # else it is erased, and of its time only the day is left
                if at < since:
                    return
                looked = at
            rows = self._all(_RULED, last - STRETCH + 1, last, at_once)
            for row in rows:
                record = _record(row)
                if record.at < since:
                    return
                looked = record.at
                yield looked, record
            if not rows:
                yield looked, None
            last = rows[-1][0] - 1 if len(rows) == at_once else last - STRETCH

    def record(self, seq: int) -> Record | None:
        """The record with this number; None where there is none."""
        return next((found for found in self.records(seq - 1, 1) if found.seq == seq), None)

    def refusals(self, limit: int = 100, *, device: str | None = None) -> list[Record]:
        """The newest refused messages that were kept whole; further ones are counted in ``attempts``."""
        return self.search(Wanted("refusal", device), limit)

    def fetches(self, limit: int = 100, *, device: str | None = None) -> list[tuple[Record, Record | None]]:
        """The newest looks at vendors' manifests and software, each with what came of it; None where that is not on record."""
        return self._pairs("fetch", "fetched", limit, device)

    def handouts(self, limit: int = 100, *, device: str | None = None) -> list[tuple[Record, Record | None]]:
        """The newest times that a device took its software, each with how it ended; None where that is not on record."""
        return self._pairs("handout", "handed", limit, device)

    def _pairs(self, begun: str, ended: str, limit: int, device: str | None) -> list[tuple[Record, Record | None]]:
        found = []
        for row in self._all(_RARE, begun, device, limit):
            first = _record(row)
            second = self._all(_BY_ID, first.id, ended)
            found.append((first, _record(second[0]) if second else None))
        return found

    def declined(self, limit: int = 1000) -> list[Record]:
        """Those of the newest messages' ends that say that a vendor refused; without its own bytes, which may be long."""
        return [_record(row) for row in self._all(_DECLINED, limit, Reason.VENDOR_REFUSED.code, Reason.VENDOR_ANSWER.code)]

    def inbox(self, limit: int = 100, *, device: str | None = None) -> list[InboxRecord]:
        """The newest of what vendors sent to devices, and what became of it."""
        entries = [_record(row) for row in self._all(_RARE, "inbox", device, limit)]
        ends = [self._all(_BY_ID, entry.id, "inbox-end") for entry in entries]
        return [InboxRecord(entry, _record(end[0]) if end else None) for entry, end in zip(entries, ends, strict=True)]

    def polls(self, device: str | None = None, days: int = 7) -> list[PollDay]:
        """The questions for inboxes in the newest ``days`` days on record, newest first."""
        if not self._has("polls"):
            return []  # written by a version that asked nobody
        rows = self._all(
            'SELECT day, device, host, period, "first", "last", asked, status, reason, occupied, entries FROM polls'
            " WHERE (?1 IS NULL OR device = ?1) AND day > (SELECT max(day) FROM polls) - ?2 ORDER BY day DESC, device, host",
            device,
            days,
        )
        return [PollDay(*(*row[:8], _reason(row[8]), *row[9:])) for row in rows]

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

    def deeds(self, limit: int = 100, *, device: str | None = None) -> list[Record]:
        """What the owner decided or took out: ``type`` is what, ``host`` by whom."""
        return [_record(row) for row in self._all(_RARE, "deed", device, limit)]

    def version(self) -> int:
        """A number that another process's commit changes, for as long as this is open (SQLite, PRAGMA data_version)."""
        rows = self._all("PRAGMA data_version")
        return int(rows[0][0])

    def head(self) -> tuple[int, bytes]:
        """The last record's seq and hash; keep it elsewhere to notice a ledger that was cut short."""
        rows = self._all("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, GENESIS)

    def verify(
        self, newest: int | None = None, anchors: Mapping[int, bytes] | None = None, stop: Event | None = None
    ) -> Verification:
        """Walk the chain, all of it or its ``newest`` records. Raises LedgerError, and Stopped once ``stop`` is set.

        A cut-off end cannot be seen but by ``anchors``: heads that were kept elsewhere, hash by seq.
        """

        def read(statement: str, *values: Any) -> list[Any]:
            if stop is not None and stop.is_set():
                raise Stopped
            return self._all(statement, *values)

        return verifying.verify(read, newest, anchors)

    def oldest(self) -> int:
        """When the oldest record that is still there was made (nanoseconds since the epoch); 0 where there is none."""
        rows = self._all("SELECT at FROM records ORDER BY seq LIMIT 1")
        return rows[0][0] if rows else 0

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """For this room's own statements; every value is bound."""
        return self._all(statement, *values)

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
            if type(error) is sqlite3.DatabaseError:
                raise LedgerError(
                    f"{self.path}: {error}: the file is damaged; `mudroom ledger verify` says from where"
                ) from error
            raise LedgerError(f"{self.path}: {error}; it is readable by root and the ledger's own user") from error


def _reason(code: int) -> Reason | None:
    try:
        return Reason.from_code(code)
    except KeyError:
        return None  # none, or a newer version's


def _record(row: Any) -> Record:
    code, detail, pointers, digest, bits = row[12:]
    pointed = tuple(msgspec.json.decode(pointers)) if pointers else ()
    return Record(*(*row[:12], _reason(code), detail, pointed, digest, bits))
