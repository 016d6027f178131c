"""The inbox on disk: what came, what waits for which device, and the days' schedules. A piece of work is part of one transaction.

It must never let an entry wait that has no record, nor take one away without a record of its end. What a vendor's numbers
were is kept here and told to no device; what a device took is kept here and told to no vendor.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from gateway.ipc.messages import Polled
from gateway.ledger.space import cost
from gateway.reasons import Reason
from gateway.standard.inbox import MOST_ENTRIES, TYPE

PLAN, ANSWER, ENTRY, END = "inbox-plan", "inbox-answer", "inbox", "inbox-end"  # kinds of records
MOST_WAITING = 64  # entries of one pair and host
MOST_BYTES = 262_144  # of them together
MOST_ANSWER = 65_536  # bytes of entries in one answer to a device, but for a single one
DAYS_KEPT = 62  # of schedules
DETAIL = 512


@dataclass(frozen=True, slots=True)
class Place:
    """One pair of device and vendor at one of its hosts. ``pair``: the pseudonym."""

    device: str
    pair: str
    vendor: str
    host: str


@dataclass(frozen=True, slots=True)
class Line:
    """A record to be made. ``needed``: also where there is no room, for it lets something go."""

    kind: str
    id: str
    place: Place
    type: str
    original: bytes = b""
    outgoing: bytes = b""
    status: int = 0
    reason: int = -1
    detail: str = ""
    pointers: tuple[str, ...] = ()
    needed: bool = False


class Scribe(Protocol):
    """The open transaction's way to the records."""

    @property
    def at(self) -> int:
        """Its time, ns since the epoch."""

    def record(self, line: Line) -> int:
        """The record's seq; 0 where there is no room."""

    def freed(self, seq: int) -> None:
        """The record ``seq`` waits no more, and may make room one day."""

    def heard(self, device: str, type_: str, bits: int) -> None:
        """Count what a vendor could tell a device."""


class Work(Protocol):
    """What one batch of the ledger does to the inbox. ``kept``: whether it is on disk, once the batch is."""

    kept: bool

    @property
    def cost(self) -> int:
        """Bytes that its records take at the most."""

    def write(self, database: sqlite3.Connection, scribe: Scribe) -> None:
        """Do it in the open transaction; sets ``kept``."""


@dataclass(slots=True)
class Plan:
    """A day's schedule, on record before its first question leaves. ``period`` and ``phase``: ns; asked at each multiple of the
    period since the epoch, and ``phase`` later."""

    place: Place
    day: int
    period: int
    phase: int
    kept: bool = False

    @property
    def cost(self) -> int:
        return cost(200)

    def write(self, database: sqlite3.Connection, scribe: Scribe) -> None:
        place, self.kept = self.place, True
        key = (self.day, place.pair, place.host)
        known = database.execute("SELECT period, phase FROM polls WHERE day = ? AND pair = ? AND host = ?", key).fetchone()
        if known == (self.period, self.phase):
            return
        detail = f"asked every {self.period / 1e9:g} s of day {self.day}, {self.phase / 1e9:.3f} s after each multiple"
        if not scribe.record(Line(PLAN, "", place, TYPE, detail=detail)):
            self.kept = False
            return
        database.execute(
            "INSERT INTO polls (day, pair, host, device, period, phase) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT DO UPDATE SET period = excluded.period, phase = excluded.phase",
            (*key, place.device, self.period, self.phase),
        )


@dataclass(slots=True)
class Asked:
    """How often it was asked since the last commit. ``first``, ``last``: ns since the epoch; ``status``, ``reason``: the last."""

    place: Place
    day: int
    first: int
    last: int
    times: int = 0
    status: int = 0
    reason: int = -1
    kept: bool = False

    @property
    def cost(self) -> int:
        return 0

    def write(self, database: sqlite3.Connection, scribe: Scribe) -> None:
        database.execute(
            'UPDATE polls SET "first" = CASE "first" WHEN 0 THEN ?1 ELSE "first" END, "last" = ?2, asked = asked + ?3,'
            " status = ?4, reason = ?5 WHERE day = ?6 AND pair = ?7 AND host = ?8",
            (self.first, self.last, self.times, self.status, self.reason, self.day, self.place.pair, self.place.host),
        )
        self.kept = True


@dataclass(slots=True)
class Arrived:
    """What a vendor host answered. ``received``: its highest number on disk, before and after."""

    place: Place
    day: int
    polled: Polled
    received: int
    kept: bool = False

    @property
    def cost(self) -> int:
        polled = self.polled
        return cost(len(polled.original)) + sum(2 * cost(len(entry.body)) for entry in polled.entries)

    def write(self, database: sqlite3.Connection, scribe: Scribe) -> None:
        place, polled = self.place, self.polled
        detail = polled.detail[:DETAIL]
        came = Line(ANSWER, polled.id, place, TYPE, polled.original, b"", polled.status, polled.reason, detail)
        if not scribe.record(came):
            return
        key = (place.pair, place.host)
        received, number = state(database, *key)
        taken = 0
        for entry in polled.entries:
            if entry.seq <= received:
                continue  # it is on record already
            id, good = secrets.token_hex(16), entry.reason == -1
            body = entry.body if good else b""
            detail = entry.detail[:DETAIL]
            seq = scribe.record(Line(ENTRY, id, place, entry.type, b"", body, 0, entry.reason, detail, entry.pointers))
            if not seq:
                break  # and asked for again, once there is room
            received = entry.seq
            if good:
                number += 1
                taken += 1
                database.execute(
                    "INSERT INTO inbox VALUES (?,?,?,?,?,?,?,?,?,?)",
                    (*key, number, place.device, place.vendor, entry.type, id, seq, scribe.at, entry.body),
                )
                scribe.heard(place.device, entry.type, entry.bits)
        database.execute("INSERT OR REPLACE INTO inbox_pairs VALUES (?,?,?,?)", (*key, received, number))
        database.execute(
            "UPDATE polls SET occupied = occupied + ?, entries = entries + ?, bytes = bytes + ?"
            " WHERE day = ? AND pair = ? AND host = ?",
            (taken > 0, taken, self.cost, self.day, *key),
        )
        self._make_room(database, scribe)
        self.received, self.kept = received, True

    def _make_room(self, database: sqlite3.Connection, scribe: Scribe) -> None:
        """The oldest entries make room. To stop asking instead would tell the vendor what the device fetches, and when."""
        key = (self.place.pair, self.place.host)
        rows = database.execute(
            "SELECT number, length(body) FROM inbox WHERE pair = ? AND host = ? ORDER BY number DESC", key
        ).fetchall()
        size = 0
        for place, (number, length) in enumerate(rows):
            size += length
            if place >= MOST_WAITING or (size > MOST_BYTES and place):
                ends = found(database, "pair = ? AND host = ? AND number <= ?", (*key, number))
                End(ends, Reason.INBOX_FULL.code, Reason.INBOX_FULL.words).write(database, scribe)
                return


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that waits for its device."""

    pair: str
    host: str
    number: int
    device: str
    vendor: str
    type: str
    id: str
    seq: int
    at: int


@dataclass(slots=True)
class End:
    """Entries wait no longer. ``reason``: -1 where the device took them."""

    entries: Collection[Waiting]
    reason: int = -1
    detail: str = "the device took it"
    kept: bool = False

    @property
    def cost(self) -> int:
        return len(self.entries) * cost(200)

    def write(self, database: sqlite3.Connection, scribe: Scribe) -> None:
        for entry in self.entries:
            gone = database.execute(
                "DELETE FROM inbox WHERE pair = ? AND host = ? AND number = ? AND id = ?",
                (entry.pair, entry.host, entry.number, entry.id),
            )
            if gone.rowcount:  # it may have ended meanwhile
                place = Place(entry.device, entry.pair, entry.vendor, entry.host)
                detail = self.detail[:DETAIL]
                scribe.freed(entry.seq)
                scribe.record(Line(END, entry.id, place, entry.type, reason=self.reason, detail=detail, needed=True))
        self.kept = True


@dataclass(slots=True)
class Forget:
    """Pairs that are no more leave nothing behind but records. ``pairs``: all that there are."""

    pairs: frozenset[str] = field(default_factory=frozenset)
    kept: bool = False

    @property
    def cost(self) -> int:
        return 0

    def write(self, database: sqlite3.Connection, scribe: Scribe) -> None:
        for (pair,) in database.execute("SELECT DISTINCT pair FROM inbox_pairs").fetchall():
            if pair not in self.pairs:
                database.execute("DELETE FROM inbox_pairs WHERE pair = ?", (pair,))
        self.kept = True


def state(database: sqlite3.Connection, pair: str, host: str) -> tuple[int, int]:
    """The vendor's highest number on record, and the last one of ours; 0 where there is none."""
    row = database.execute("SELECT received, number FROM inbox_pairs WHERE pair = ? AND host = ?", (pair, host)).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def states(database: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """The vendors' highest numbers on record by pair and host."""
    return {(pair, host): received for pair, host, received in database.execute("SELECT pair, host, received FROM inbox_pairs")}


def found(database: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[Waiting]:
    """Entries that wait, oldest first, bodies left out. ``where``: words of ours."""
    columns = "pair, host, number, device, vendor, type, id, seq, at"
    rows = database.execute(f"SELECT {columns} FROM inbox WHERE {where} ORDER BY pair, host, number", values)  # noqa: S608
    return [Waiting(*row) for row in rows]


def next_bodies(database: sqlite3.Connection, pair: str, host: str) -> tuple[tuple[int, bytes], ...]:
    """What a device gets in one answer: number and entry, oldest first."""
    rows = database.execute(
        "SELECT number, body FROM inbox WHERE pair = ? AND host = ? ORDER BY number LIMIT ?", (pair, host, MOST_ENTRIES)
    ).fetchall()
    size = 0
    given: list[tuple[int, bytes]] = []
    for number, body in rows:
        size += len(body)
        if given and size > MOST_ANSWER:
            break
        given.append((number, body))
    return tuple(given)


def bytes_of_day(database: sqlite3.Connection, day: int) -> dict[tuple[str, str], int]:
    """What the record of one day's answers takes, by pair and host."""
    return {(p, h): size for p, h, size in database.execute("SELECT pair, host, bytes FROM polls WHERE day = ?", (day,))}


def forget_days(database: sqlite3.Connection, today: int) -> None:
    """Schedules of long ago go."""
    database.execute("DELETE FROM polls WHERE day < ?", (today - DAYS_KEPT,))
