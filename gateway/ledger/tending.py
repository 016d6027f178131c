"""What the ledger does between commits: erase at the owner's word, let go what is too old, index what is new.

One short step at a time, in the writer's thread like everything that touches the file, and the next one only when the last has
ended: a commit that waits is never behind more than one. This module must never hold up a commit for the sake of the index.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gateway.ipc.channel import Channel
from gateway.ipc.messages import AskErase, Erased
from gateway.ledger import ages, erasing, index
from gateway.ledger.batch import Note
from gateway.ledger.leaks import Days
from gateway.ledger.store import Store
from gateway.ledger.writer import Writer

log = logging.getLogger(__name__)

LATER_SECONDS = 30.0  # how often it is looked for what may be erased now, or has become too old
SCRUB_SECONDS = 1.0  # how often the write-ahead log is tried again while somebody reads in it
LAG = 8192  # records that are not indexed yet: beyond it the index gets its turn however busy the ledger is
BUSY_SECONDS = 0.2  # for which the index waits after a message
REST_SECONDS = 10.0  # after a step that failed
UNABLE = "the record could not take it; `mudroom status` says why"


@dataclass(frozen=True, slots=True)
class Done:
    """What one step did. ``again``: the next one is due at once; ``scrubbed``: whether the write-ahead log was emptied."""

    again: bool = False
    erasure: erasing.Step | None = None
    scrubbed: bool = False


class Tender:
    """The thread's side: decides which step is due, and takes it. ``keep_days``: 0 keeps records of any age."""

    def __init__(self, store: Store, keep_days: int, measured: Path) -> None:
        self._store = store
        self._keep_days = keep_days
        self._measured = measured
        self._hashing: index.Hashing | None = None
        self._days: Days | None = None
        self._erasing = True  # an earlier run may have left something
        self._scrub = False
        self._later_due = self._scrub_due = 0.0
        self._aged = 0  # nothing up to this seq can go for its age
        self.waiting = 0  # messages that are erased once they have ended
        self.indexed = 0
        self.aged = 0  # records, in this run

    def wish(self) -> None:
        """An erasure was recorded."""
        self._erasing = True

    def due(self, *, idle: bool) -> bool:
        """Whether a step may have something to do: a look at numbers, from the other thread."""
        lag = self._store.head[0] - self.indexed
        if self._erasing or self._scrub or time.monotonic() >= self._later_due:
            return True
        return not self._store.short and lag > (0 if idle else LAG)

    def step(self, *, idle: bool) -> Done:
        """The next step. Raises StoreError."""
        now = time.monotonic()
        if self._store.index_damaged:
            log.warning("the index of the record is damaged; it is made anew")
            self._store.step(index.reset)
            self._store.index_damaged = False
            self.indexed = 0
        if self._erasing:
            return self._erase()
        if self._scrub and now >= self._scrub_due:
            self._scrub_due = now + SCRUB_SECONDS
            self._scrub = not self._store.scrub()
            return Done(again=True, scrubbed=not self._scrub)
        if now >= self._later_due:
            return self._look(now)
        store = self._store
        if store.short or store.head[0] - self.indexed <= (0 if idle else LAG):
            return Done()
        return self._index()

    def _erase(self) -> Done:
        today = self._store.first_day_needed

        def work(database: sqlite3.Connection) -> erasing.Step | None:
            step = erasing.step(database, today)
            if step is not None and step.passed and step.erased + step.removed:
                index.reset(database)
            return step

        step = self._store.step(work)
        self._erasing = step is not None
        if step is None:
            return Done(again=True)
        if step.passed:
            self._later_due = 0.0
            self._store.recount()
            self._scrub = not self._store.scrub()
        return Done(again=True, erasure=step, scrubbed=step.passed and not self._scrub)

    def _look(self, now: float) -> Done:
        """Now and then: what waited and has ended, what became too old."""

        def work(database: sqlite3.Connection) -> tuple[int, int, int]:
            waited = erasing.waiting(database)
            ended = erasing.later(database) if waited else 0
            left = erasing.waiting(database) if ended else waited
            if ended and not left:
                index.reset(database)
            return ended, left, index.upto(database)

        ended, self.waiting, self.indexed = self._store.step(work)
        self._scrub = self._scrub or ended > 0
        again = ended > 0 or self._age()
        if not again:
            self._later_due = now + LATER_SECONDS
        return Done(again=True)

    def _age(self) -> bool:
        """Whether another step is due."""
        if not self._keep_days or not ages.right(self._measured):
            return False
        days, wall, now = self._days, time.time_ns(), time.monotonic()
        if days is None:
            days = self._days = Days(now)
            days.found(self._store.look(ages.newest))
        keep, head, after = self._keep_days, self._store.head[0], self._aged

        def work(database: sqlite3.Connection) -> tuple[int, int]:
            ages.note(database, days, wall, now)
            upto = min(ages.oldest_kept(database, keep), head - 1)
            if upto <= after:
                return after, 0
            gone = ages.remove(database, after, upto)
            index.forget(database, gone.runs)
            return gone.looked, gone.records

        looked, removed = self._store.step(work)
        self.aged += removed
        self._scrub = self._scrub or removed > 0
        again = looked > after
        self._aged = looked if again else 0  # what waited may have ended: from the beginning, the next time
        return again

    def _index(self) -> Done:
        hashing = self._hashing
        if hashing is None:
            hashing = self._hashing = index.Hashing(self._store.step(index.key))

        def work(database: sqlite3.Connection) -> tuple[int, int]:
            return index.step(database, hashing), index.upto(database)

        done, self.indexed = self._store.step(work)
        return Done(again=done > 0)


class Tending:
    """The event loop's side."""

    def __init__(self, writer: Writer, store: Store, keep_days: int, measured: Path) -> None:
        self._writer = writer
        self._store = store
        self._tender = Tender(store, keep_days, measured)
        self._working = False
        self._wishes: dict[str, tuple[Channel, AskErase]] = {}  # by the note's id, until it is on disk
        self._askers: dict[int, tuple[Channel, AskErase]] = {}  # by the note's seq, until all was looked at
        self._busy = 0.0  # monotonic: until then messages come, and the index waits
        self._rest = 0.0  # monotonic: no step before it, after one that failed
        self.fault = ""
        self._stopped = False

    def stop(self) -> None:
        """Take no further step."""
        self._stopped = True

    def ask(self, channel: Channel, asked: AskErase) -> Note:
        """The owner's wish, to be recorded."""
        id = secrets.token_hex(16)
        self._wishes[id] = (channel, asked)
        wish = erasing.Wish(asked.device, min(max(asked.before, 0), erasing.FOREVER))
        return Note(erasing.KIND, id, asked.device, "", "", outgoing=msgspec.json.encode(wish))

    def recorded(self, note: Note) -> None:
        """``note`` is on disk (or, without a seq, had no room there)."""
        found = self._wishes.pop(note.id, None)
        if found is None:
            return
        channel, asked = found
        if not note.seq:
            channel.send(Erased(asked.ref, 0, 0, 0, 0, False, "the record is full: nothing was erased"))
            return
        self._askers[note.seq] = found
        self._tender.wish()
        self.tend()

    def not_recorded(self, note: Note) -> None:
        """The disk did not take ``note``."""
        found = self._wishes.pop(note.id, None)
        if found is not None:
            found[0].send(Erased(found[1].ref, 0, 0, 0, 0, False, UNABLE))

    def gone(self, channel: Channel) -> None:
        """Who asked has left; what was asked is done all the same."""
        self._askers = {seq: asker for seq, asker in self._askers.items() if asker[0] is not channel}

    def tend(self, *, busy: bool = False) -> None:
        """Take a step where one is due and none under way. ``busy``: messages were committed just now."""
        now = time.monotonic()
        if busy:
            self._busy = now + BUSY_SECONDS
        idle = now >= self._busy
        if not self._working and not self._stopped and now >= self._rest and self._tender.due(idle=idle):
            self._working = True
            self._writer.run(lambda: self._tender.step(idle=idle), self._done)

    def _done(self, result: Any) -> None:
        self._working = False
        if isinstance(result, Exception):
            self._rest = time.monotonic() + REST_SECONDS
            self.fault = str(result)
            log.error("the record could not be tended: %s", result)
            return
        self.fault = ""
        step: erasing.Step | None = result.erasure
        if step is not None and step.passed:
            log.warning(
                "erased what %s said: %d records, %d removed, %d messages wait for their end",
                step.device, step.erased, step.removed, step.waiting,
            )  # fmt: skip
            if asker := self._askers.pop(step.note, None):
                channel, asked = asker
                answer = Erased(asked.ref, step.note, step.erased, step.removed, step.waiting, result.scrubbed, "")
                channel.send(answer)
        if result.again:
            self.tend()

    def facts(self) -> dict[str, str]:
        """For `mudroom status`."""
        tender = self._tender
        facts = {"indexed up to": str(tender.indexed)}
        if tender.aged:
            facts["removed for their age"] = str(tender.aged)
        if tender.waiting:
            facts["to be erased when they have ended"] = str(tender.waiting)
        if self.fault:
            facts["not tended"] = self.fault
        return facts
