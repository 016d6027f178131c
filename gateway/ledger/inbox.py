"""What vendors have for devices: asked for on a schedule of its own, on record before a device can have it, kept until it has.

When a vendor host is asked, and what it is told, must never follow from anything that a device did or did not do: it follows
from the owner's registry and rules, the clock and what that host itself answered before. So a full inbox displaces its oldest
entry rather than keep the gateway from asking, and what a device took is told to nobody.

Nothing is asked on a day whose schedule is not on disk. A question holds the pair's pseudonym, the minute and the vendor's own
highest number on record, so that whoever reads the record knows every byte that left, though no question has a record alone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from gateway.ipc.channel import Channel
from gateway.ipc.messages import AskInbox, EntryRefused, InboxAnswer, Poll, Polled
from gateway.ledger import mailbox
from gateway.ledger.batch import Batch
from gateway.ledger.mailbox import Arrived, Asked, End, Forget, Place, Plan, Work
from gateway.ledger.store import Store
from gateway.ledger.writer import Writer
from gateway.policy.plan import RuledOut
from gateway.reasons import Reason
from gateway.registry import Home, RegistryError, RegistryFile
from gateway.rules import Quarantine
from gateway.standard.inbox import MOST_SEQ, to_device

log = logging.getLogger(__name__)

DAY = 86_400 * 10**9
LEAST_PERIOD = 10**8  # ns
LOOK_SECONDS = 1.0  # how often the registry is looked at and what waits too long is looked for
WRITE_SECONDS = 60.0  # how often the counts of questions are written
NONE_HERE = frozenset({404, 405, 410, 501})  # such a host has no inbox (RFC 9110)
REST_SECONDS = 6 * 3600  # before it is asked again
MOST_BACKOFF = 3600  # seconds
DAY_BYTES = 8 * 1024 * 1024  # that one host may send for one device in a day; then it is asked no more until the next
MOST_OUT = 256  # questions at the courier
MOST_ASKS = 256  # devices' questions that wait for the disk
MOST_BOXES = 4096
BUSY = "(being recorded)"


@dataclass(slots=True)
class Box:
    """One pair of device and vendor at one host that may send to the device. ``due``, ``rest``: ns since the epoch."""

    place: Place
    phase: int  # ns
    received: int = 0  # the vendor's highest number on disk
    due: int = 0  # the next time in the schedule
    rest: int = 0  # not asked before
    failures: int = 0
    out: str = ""  # the question at the courier
    sent: float = 0.0  # when that was (monotonic)
    day: int = 0  # whose schedule had it
    plans: dict[int, bool] = field(default_factory=dict)  # by day: whether it is on disk
    asked: Asked | None = None  # not written yet
    last: tuple[int, int] = (0, -1)  # status and reason of the last answer
    size: dict[int, int] = field(default_factory=dict)  # bytes that came, by day


@dataclass(frozen=True, slots=True)
class _Sweep:
    """What the disk says that no longer may wait, and why."""

    gone: list[mailbox.Waiting]
    old: list[mailbox.Waiting]


class Inbox:
    """The event loop's side. ``record``: puts work into the next commit; ``courier``: its link, if it is there."""

    def __init__(
        self,
        registry: RegistryFile,
        store: Store,
        writer: Writer,
        record: Callable[[Work], None],
        courier: Callable[[], Channel | None],
        *,
        seconds: float,
        keep_seconds: float,
        answer_seconds: float,
        quarantine: Quarantine | None = None,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._registry = registry
        self._store = store
        self._writer = writer
        self._record = record
        self._courier = courier
        self._period = max(int(seconds * 1e9), LEAST_PERIOD) if seconds else 0
        self._keep = int(keep_seconds * 1e9)
        self._answer_seconds = answer_seconds
        self._wall = wall
        self._quarantine = quarantine
        self._shut: Container[str] = ()  # devices that the owner's rules shut out as they are
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._boxes: dict[tuple[str, str], Box] = {}  # by pair and host
        self._seen: Home | None = None  # the registry at the last look
        self._used: Home | None = None  # the one that the boxes are made of
        self._swept_for: Home | None = None
        self._sweeping = False
        self._sweep_due = 0.0
        self._write_due = 0.0
        self._asks: deque[tuple[Channel, AskInbox | EntryRefused]] = deque()
        self._answering = False
        self._began = time.monotonic()
        self._found = store.head[0]  # the last record of earlier runs
        self._received: dict[tuple[str, str], int] = {}
        self._sizes: dict[tuple[str, str], dict[int, int]] = {}  # of this run's first day
        self._stopped = False
        self.counts = {"inbox questions": 0, "inbox entries": 0}

    def start(self) -> None:
        """Begin with what an earlier run left. Raises StoreError."""
        self._received = self._store.look(mailbox.states)
        today = self._wall() // DAY
        self._sizes = {key: {today: size} for key, size in self._store.look(lambda db: mailbox.bytes_of_day(db, today)).items()}
        self._tick()

    def stop(self) -> None:
        """Ask no more; what was counted goes into the last commit."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._write_counts()

    # --- the schedule ---

    def _tick(self) -> None:
        """The inbox's own timer. Nothing that a device does winds it."""
        self._timer = None
        try:
            self._look()
            now = self._wall()
            self._shut = self._shut_out(now)
            for box in self._boxes.values():
                self._turn(box, now)
            self._tend()
        except Exception:  # the schedule must go on, whatever one turn of it ran into
            log.exception("a turn of the inbox's schedule failed")
        if not self._stopped:
            dues = [box.due for box in self._boxes.values()] if self._period else []
            wait = min((min(dues) - self._wall()) / 1e9 if dues else LOOK_SECONDS, LOOK_SECONDS)
            self._timer = self._loop.call_later(max(wait, 0.001), self._tick)

    def _look(self) -> None:
        """Follow the registry; without one, nobody is asked."""
        try:
            home = self._registry.current()
        except RegistryError as error:
            if self._boxes:
                log.error("no vendor is asked for what it has: %s", error)
            self._write_counts()
            self._boxes, self._used, self._seen = {}, None, None
            return
        if home is not self._used:
            self._used = home
            self._write_counts()
            self._boxes = {key: self._boxes.get(key) or self._made(place) for key, place in places(home).items()}
        # seen twice, it came from a file: an absent one is a new and empty registry each time, and says nothing of ended pairs
        if home is self._seen and home is not self._swept_for and not self._sweeping:
            self._sweep(home)
        self._seen = home

    def _shut_out(self, now: int) -> Container[str]:
        """By the rules, the registry and the clock, never by what a device said: its vendor notices when it is not asked."""
        if self._quarantine is None or self._used is None:
            return ()
        try:
            return self._quarantine.by_rule(self._used, now)
        except RuledOut:  # the log has it; where nobody knows the rules, nobody is asked
            return {device.id for device in self._used.registry.devices}

    def _made(self, place: Place) -> Box:
        # A phase of its own for each pair and host, the same after a restart; nothing that two vendors could compare.
        phase = int.from_bytes(sha256(f"inbox {place.pair} {place.host}".encode()).digest()[:8]) % (self._period or 1)
        key = (place.pair, place.host)
        return Box(place, phase, self._received.get(key, 0), size=dict(self._sizes.get(key, {})))

    def _turn(self, box: Box, now: int) -> None:
        if not self._period:
            return
        upcoming = (now - box.phase) // self._period * self._period + box.phase + self._period
        if not box.due or box.due > upcoming:  # new here, or the clock was set back
            box.due = upcoming
        box.rest = min(box.rest, now + REST_SECONDS * 10**9)
        for day in {now // DAY, upcoming // DAY}:
            if day not in box.plans:
                box.plans = {known: kept for known, kept in box.plans.items() if known >= day - 1} | {day: False}
                self._record(Plan(box.place, day, self._period, box.phase))
        if now >= box.due:
            # one that is late by a whole period is not made up for: at its time nobody could ask
            due, box.due = box.due, upcoming
            if now - due < self._period:
                self._ask(box, due)

    def _ask(self, box: Box, due: int) -> None:
        courier, day = self._courier(), due // DAY
        if box.out and box.out != BUSY and time.monotonic() - box.sent > self._answer_seconds:
            box.out = ""  # the courier said nothing for longer than it may take
        out = sum(1 for other in self._boxes.values() if other.out)
        if (
            courier is None
            or box.place.device in self._shut
            or box.out
            or due < box.rest
            or not box.plans.get(day)
            or box.size.get(day, 0) >= DAY_BYTES
            or out >= MOST_OUT
        ):
            return
        box.out, box.sent, box.day = secrets.token_hex(16), time.monotonic(), day
        created = due // 10**9 // 60 * 60
        place = box.place
        if box.asked is not None and box.asked.day != day:
            self._write_count(box)
        if box.asked is None:
            box.asked = Asked(place, day, due, due)
        box.asked.last = due
        box.asked.times += 1
        self.counts["inbox questions"] += 1
        courier.send(Poll(box.out, place.device, place.pair, place.host, box.received, created))

    def polled(self, message: Polled) -> None:
        """The courier's answer."""
        box = next((box for box in self._boxes.values() if box.out == message.id), None)
        if box is None or message.id == BUSY:
            return
        box.out = ""
        if not _sane(message):
            log.error("the courier said of %s what no vendor can answer", box.place.host)
            self._failed(box)
            return
        box.last = (message.status, message.reason)
        if message.status in NONE_HERE:
            box.rest = self._wall() + REST_SECONDS * 10**9
        elif message.original:
            box.out = BUSY
            self._record(Arrived(box.place, box.day, message, box.received))
        elif message.reason == -1:
            box.failures = 0
        else:
            self._failed(box, message.retry_after)

    def _failed(self, box: Box, retry_after: int = 0) -> None:
        """Some of the schedule's times are left out; the others stay as they are."""
        box.failures += 1
        wait = min(self._period / 1e9 * 2.0 ** min(box.failures, 32), MOST_BACKOFF)
        box.rest = self._wall() + int(max(wait, min(retry_after, MOST_BACKOFF)) * 1e9)

    def courier_lost(self) -> None:
        """What was under way has no answer any more; it is asked again when the schedule has it."""
        for box in self._boxes.values():
            if box.out != BUSY:
                box.out = ""

    # --- commits ---

    def recorded(self, work: Work) -> None:
        """A commit that held ``work`` is done; ``work.kept`` says whether it is on disk."""
        if isinstance(work, Plan):
            box = self._boxes.get((work.place.pair, work.place.host))
            if box is not None:
                if work.kept:
                    box.plans[work.day] = True
                else:
                    box.plans.pop(work.day, None)  # and tried again
        elif isinstance(work, Arrived):
            self._arrived(work)
        elif isinstance(work, Asked) and not work.kept:
            box = self._boxes.get((work.place.pair, work.place.host))
            if box is not None and box.asked is None:
                box.asked = work
            elif box is not None and box.asked is not None and box.asked.day == work.day:
                box.asked.first, box.asked.times = work.first, box.asked.times + work.times

    def _arrived(self, work: Arrived) -> None:
        key = (work.place.pair, work.place.host)
        box = self._boxes.get(key)
        if work.kept:
            self._received[key] = work.received
            self.counts["inbox entries"] += sum(entry.reason == -1 for entry in work.polled.entries)
        if box is None or box.out != BUSY:
            return
        box.out = ""
        if not work.kept:
            self._failed(box)  # not acknowledged either, so it is not lost
            return
        box.received = work.received
        box.size = {day: size for day, size in box.size.items() if day >= work.day}
        box.size[work.day] = box.size.get(work.day, 0) + work.cost
        if work.polled.reason == -1:
            box.failures = 0
        else:
            self._failed(box, work.polled.retry_after)

    def _write_counts(self) -> None:
        for box in self._boxes.values():
            self._write_count(box)

    def _write_count(self, box: Box) -> None:
        if box.asked is not None:
            box.asked.status, box.asked.reason = box.last
            self._record(box.asked)
            box.asked = None

    def _tend(self) -> None:
        now = time.monotonic()
        if now >= self._write_due:
            self._write_due = now + WRITE_SECONDS
            self._write_counts()
        if now >= self._sweep_due and self._swept_for is not None and not self._sweeping:
            self._sweep(self._swept_for)

    # --- what may wait no longer ---

    def _sweep(self, home: Home) -> None:
        """In the writer's thread: entries of pairs that are no more, and of those that waited too long."""
        self._sweeping, self._sweep_due = True, time.monotonic() + WRITE_SECONDS
        allowed = frozenset(places(home))
        before = self._wall() - self._keep
        # what came in this run is no older than the run, whatever a clock that was set meanwhile makes of it
        newest = self._found if time.monotonic() - self._began < self._keep / 1e9 else None
        pairs = frozenset(device.pseudonym for device in home.registry.devices if device.pseudonym)

        def work() -> _Sweep:
            waiting = self._store.look(lambda database: mailbox.found(database, "1", ()))
            gone = [entry for entry in waiting if (entry.pair, entry.host) not in allowed]
            old = [e for e in waiting if e.at < before and (newest is None or e.seq <= newest) and (e.pair, e.host) in allowed]
            mail: list[Work] = [Forget(pairs)]
            if gone:
                mail.append(End(gone, Reason.INBOX_WITHDRAWN.code, Reason.INBOX_WITHDRAWN.words))
            if old:
                mail.append(End(old, Reason.INBOX_EXPIRED.code, Reason.INBOX_EXPIRED.words))
            if len(mail) > 1 or not pairs.issuperset(pair for pair, _ in self._store.look(mailbox.states)):
                self._store.commit(Batch(mail=mail))
            return _Sweep(gone, old)

        self._writer.run(work, lambda result: self._swept(home, result))

    def _swept(self, home: Home, result: Any) -> None:
        self._sweeping = False
        if isinstance(result, Exception):
            log.error("what may wait no longer could not be taken away: %s", result)
            return
        self._swept_for = home
        pairs = {device.pseudonym for device in home.registry.devices}
        self._received = {key: received for key, received in self._received.items() if key[0] in pairs}
        if result.gone or result.old:
            log.warning("%d entries for devices withdrawn, %d given up", len(result.gone), len(result.old))

    # --- devices ---

    def asked(self, channel: Channel, message: AskInbox | EntryRefused) -> None:
        """A device wants what waits for it, or its door found that something of it does not conform any more."""
        if len(self._asks) < MOST_ASKS:
            self._asks.append((channel, message))
            self._answer_next()
        elif isinstance(message, AskInbox):
            channel.send(InboxAnswer(message.ref, Reason.LEDGER_UNAVAILABLE.code, ()))

    def _answer_next(self) -> None:
        if self._answering or not self._asks:
            return
        self._answering = True
        channel, message = self._asks.popleft()
        self._writer.run(lambda: answer_to(self._store, message), lambda result: self._answered(channel, message, result))

    def _answered(self, channel: Channel, message: AskInbox | EntryRefused, result: Any) -> None:
        self._answering = False
        if isinstance(result, Exception):
            log.error("the inbox of %s cannot be read or written: %s", message.device, result)
            result = InboxAnswer(message.ref, Reason.LEDGER_UNAVAILABLE.code, ()) if isinstance(message, AskInbox) else None
        if result is not None:
            channel.send(result)
        self._answer_next()


def _sane(message: Polled) -> bool:
    """Whether its numbers are ones that the file can hold: a courier that was taken over shall not stop all records."""
    codes = (message.reason, *(entry.reason for entry in message.entries))
    seqs = all(0 < entry.seq <= MOST_SEQ for entry in message.entries)
    return seqs and 0 <= message.status <= 599 and all(-1 <= code < 2**16 for code in codes)


def places(home: Home) -> dict[tuple[str, str], Place]:
    """Every pair and host that the registry lets send to a device, by pseudonym and host."""
    found: dict[tuple[str, str], Place] = {}
    for device in home.registry.devices:
        manifest = home.manifest_of(device)
        if manifest is None or not device.pseudonym:
            continue
        for host in manifest.hosts:
            if len(found) < MOST_BOXES and to_device(manifest, host):
                found[device.pseudonym, host] = Place(device.id, device.pseudonym, manifest.vendor.name, host)
    return found


def answer_to(store: Store, message: AskInbox | EntryRefused) -> InboxAnswer | None:
    """In the writer's thread: what the door is told, if anything. Raises StoreError."""
    if isinstance(message, AskInbox):
        return taken(store, message)
    values = (message.pair, message.host, message.number, message.device)
    where = "pair = ? AND host = ? AND number = ? AND device = ?"
    if ends := store.look(lambda database: mailbox.found(database, where, values)):
        store.commit(Batch(mail=[End(ends, message.reason, message.detail)]))
    return None


def taken(store: Store, message: AskInbox) -> InboxAnswer:
    """In the writer's thread: end what the device acknowledges, then say what waits. Raises StoreError."""
    key = (message.pair, message.host)
    _, number = store.look(lambda database: mailbox.state(database, *key))
    if not 0 <= message.received <= number:
        return InboxAnswer(message.ref, Reason.INBOX_RECEIVED.code, ())
    if message.received:
        where, values = "pair = ? AND host = ? AND number <= ? AND device = ?", (*key, message.received, message.device)
        ends = store.look(lambda database: mailbox.found(database, where, values))
        if ends:
            store.commit(Batch(mail=[End(ends)]))
    return InboxAnswer(message.ref, -1, store.look(lambda database: mailbox.next_bodies(database, *key)))
