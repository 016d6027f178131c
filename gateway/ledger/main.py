"""The ledger's process: takes messages from the doors, has them on disk, and only then lets the courier send them.

It must never hand a message to the courier, nor tell a door "accepted", before its commit has returned.

Everything that arrives while a commit is under way goes into the next one (group commit). A message is answered once:
with the vendor's own answer if that is on disk within the message's wait, otherwise with 202. When the file cannot be
written, each message is refused with LEDGER_UNAVAILABLE and the process says that it is not ready, until a commit works.
When the record has no room left, the oldest finished records make some, in steps between commits; where there are none,
messages are refused with RECORD_FULL and the process says so, until messages have ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway import service
from gateway.config import Config
from gateway.ipc import channel as ipc
from gateway.ipc.channel import Channel
from gateway.ipc.handouts import HandedOut, Handout
from gateway.ipc.messages import (
    AskErase,
    AskFetch,
    AskInbox,
    AskStatus,
    Attempt,
    Counters,
    Deed,
    Deferred,
    Deliver,
    Delivered,
    EntryRefused,
    Fetched,
    Polled,
    Refused,
    Status,
    Submit,
)
from gateway.ledger import answers
from gateway.ledger.batch import Answer, Deferral, Note
from gateway.ledger.deeds import Deeds
from gateway.ledger.expiring import Expiring
from gateway.ledger.fetching import Fetches
from gateway.ledger.handouts import Handouts
from gateway.ledger.holding import Holding
from gateway.ledger.inbox import Inbox
from gateway.ledger.mailbox import Work
from gateway.ledger.pending import MOST_TALLIES, Pending
from gateway.ledger.schedule import MAX_RETRY_AFTER, WINDOW_PER_HOST, Flight, Schedule
from gateway.ledger.space import Bounds
from gateway.ledger.store import Quotas, Store
from gateway.ledger.tending import Tending
from gateway.ledger.writer import Writer
from gateway.notifying import notify
from gateway.reasons import Reason
from gateway.registry import RegistryFile
from gateway.rules import Quarantine, RulesFolder

log = logging.getLogger(__name__)

SWEEP_SECONDS = 0.1  # how exact a message's wait is
IDLE_SWEEP_SECONDS = 1.0  # how often the disk is tried again, attempts are written and old messages looked for
SPARE_SECONDS = 30.0  # beyond what the courier may take at the very most
UNWRITTEN_ANSWER_SECONDS = 5.0  # a message whose answer could not be committed is sent again after this

FromDoor = Submit | Refused | Attempt | Handout | HandedOut | AskInbox | EntryRefused
FromCourier = Delivered | Deferred | Fetched | Polled
Incoming = FromDoor | FromCourier | Counters | AskFetch | AskErase | Deed | AskStatus
ALLOWED: dict[str, tuple[type, ...]] = {
    "door": (Submit, Refused, Attempt, Handout, HandedOut, AskInbox, EntryRefused),
    "names": (Attempt, Counters),
    "enrolment": (Attempt,),
    "courier": (Delivered, Deferred, Fetched, Polled),
    "root": (Submit, Refused, Attempt, Counters, AskFetch, AskErase, Deed, AskStatus),  # steering runs as root
}


@dataclass(slots=True)
class Waiter:
    """A door that waits for the vendor's answer to one message."""

    channel: Channel
    ref: int
    deadline: float  # monotonic


class Ledger:
    """The event loop's side. ``uids``: role by uid."""

    def __init__(self, config: Config, store: Store, roles: dict[int, str]) -> None:
        self._config = config
        self._store = store
        self._roles = roles
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(self._loop)
        self._schedule = Schedule(config.courier.backoff_first_seconds, config.courier.backoff_most_seconds)
        # A message may wait at the courier behind all the others of its host, each taking its whole time.
        turns = WINDOW_PER_HOST / config.courier.connections_per_pair + 1
        self._flight_seconds = turns * (config.courier.connect_seconds + config.courier.answer_seconds) + SPARE_SECONDS
        self._pending = Pending()
        self._fetches = Fetches()
        self._tending = Tending(self._writer, store, config.ledger.keep_days, config.paths.clock_measured)
        self._deeds = Deeds()
        self._handouts = Handouts()
        self._inbox = Inbox(
            RegistryFile(config.paths.registry),
            store,
            self._writer,
            self._mail,
            lambda: self._courier,
            seconds=config.courier.inbox_seconds,
            keep_seconds=config.courier.give_up_seconds,
            answer_seconds=config.courier.connect_seconds + config.courier.answer_seconds + SPARE_SECONDS,
            quarantine=Quarantine(RulesFolder(config.paths.rules)),
        )
        self._waiters: dict[str, Waiter] = {}
        self._doors: set[Channel] = set()
        self._courier: Channel | None = None
        self._writing = False
        self._idle = asyncio.Event()  # set while no commit is under way
        self._idle.set()
        self._flush_planned = False
        self._timer: asyncio.TimerHandle | None = None
        self._holding = Holding(self._schedule, self._pump)
        self._expiring = Expiring(store, self._writer, self._schedule, config.courier.give_up_seconds, self._unreadable)
        self._over: dict[str, int] = {}  # device: the day in which its leak budget was spent
        self._making_room = False
        self.fault = ""  # why nothing can be recorded now
        self.full = False  # nothing can be removed to make room
        self.counts = {"messages": 0, "answers": 0, "refusals": 0, "deferrals": 0, "commits": 0, "failed commits": 0}

    def start(self, hosts: dict[str, int], delayed: Iterable[tuple[str, int, int]] = ()) -> None:
        """Begin with the messages that an earlier run left: number by host, and those that a rule holds (``Store.delayed``)."""
        for host, number in hosts.items():
            self._schedule.queued(host, number)
        self._holding.found(delayed)
        self._writer.start()
        self._inbox.start()
        self._tending.tend()
        self._arm(IDLE_SWEEP_SECONDS)

    async def stop(self) -> None:
        """Commit what came, tell who waits, end."""
        self._inbox.stop()
        self._tending.stop()
        self._flush()
        await self._idle.wait()
        self._holding.stop()
        if self._timer is not None:
            self._timer.cancel()
        for id in list(self._waiters):
            self._accept(id)
        await self._writer.stop()
        for channel in (*self._doors, *([self._courier] if self._courier else ())):
            channel.close()

    def channel(self) -> Channel:
        """One end of a new link."""
        return Channel(Incoming, self._receive, self._lost, self._made)

    # --- links ---

    def _made(self, channel: Channel) -> None:
        role = self._roles.get(channel.uid)
        if role == "courier":
            if self._courier is not None:
                log.warning("a second courier came; the first one is cut off")
                self._courier.close()
                self._courier_gone()
            self._courier = channel
            log.info("the courier is here")
            self._pump()
        else:
            self._doors.add(channel)
            if self._pending.full:
                channel.pause_reading()

    def _lost(self, channel: Channel) -> None:
        self._doors.discard(channel)
        self._fetches.gone(channel)
        self._tending.gone(channel)
        self._deeds.gone(channel)
        self._handouts.gone(channel)
        if channel is self._courier:
            log.warning("the courier is gone; messages wait on disk")
            self._courier = None
            self._courier_gone()

    def _courier_gone(self) -> None:
        self._schedule.courier_lost()
        self._fetches.courier_lost()
        self._inbox.courier_lost()
        for id in list(self._waiters):
            flight = self._schedule.flights.get(id)
            if flight is None or not flight.answered:
                self._accept(id)

    def _receive(self, channel: Channel, message: Any) -> None:  # a case for each message
        role = self._roles.get(channel.uid, "")
        if not isinstance(message, ALLOWED.get(role, ())):
            log.error("uid %d (%s) sent a %s, which is not for it; cut off", channel.uid, role, type(message).__name__)
            channel.close()
            return
        pending = self._pending
        match message:
            case Submit() if not message.slot_ms and role != "root":
                log.error("uid %d (%s) sent a message that says nothing of its slot; cut off", channel.uid, role)
                channel.close()
            case Submit():
                pending.submit(channel, message)
                self._wake()
            case Delivered():
                if channel is self._courier:
                    self._delivered(message)
            case Refused():
                pending.refuse(message)
                self._wake()
            case Attempt():
                key = (message.device, message.reason, message.protocol, message.destination, message.port, message.layer)
                pending.tally(key, message.count, message.first, message.last)
            case Counters():
                for device, reason, packets, size in message.rows:
                    pending.add(device, reason, packets, size)
            case Deferred():
                if channel is self._courier:
                    self._deferred(message)
            case AskFetch():
                self._note(self._fetches.ask(channel, message))
            case AskErase():
                self._note(self._tending.ask(channel, message))
            case Deed():
                self._note(self._deeds.ask(channel, message))
            case Fetched():
                if channel is self._courier:
                    self._note(self._fetches.came(message))
            case Handout():
                self._note(self._handouts.begin(channel, message))
            case HandedOut():
                self._note(self._handouts.end(channel, message))
            case AskInbox() | EntryRefused():
                self._inbox.asked(channel, message)
            case Polled():
                if channel is self._courier:
                    self._inbox.polled(message)
            case AskStatus():
                channel.send(self.status())
        if pending.full:
            for door in self._doors:
                door.pause_reading()

    def _note(self, note: Note | None) -> None:
        if note is not None:
            self._pending.note(note)
            self._wake()

    def _mail(self, work: Work) -> None:
        self._pending.mail(work)
        self._wake()

    # --- the disk ---

    def _wake(self) -> None:
        if not self._flush_planned and not self._writing:
            self._flush_planned = True
            self._loop.call_soon(self._flush)  # whatever else this turn of the loop brings belongs to the same commit

    def _flush(self) -> None:
        self._flush_planned = False
        if self._writing:
            return
        pending, self._pending = self._pending, Pending()
        self._writing = True
        self._idle.clear()
        self._writer.run(lambda: self._store.commit(pending.batch), lambda result: self._committed(pending, result))

    def _committed(self, pending: Pending, result: list[int | Reason] | Exception) -> None:
        self._writing = False
        if isinstance(result, Exception):
            self._commit_failed(pending, result)
        else:
            self._recovered()
            counts, batch = self.counts, pending.batch
            counts["commits"] += 1
            counts["messages"] += len(batch.submits)
            counts["answers"] += len(batch.answers)
            counts["refusals"] += len(batch.refusals)
            counts["deferrals"] += len(batch.deferrals)
            now = time.monotonic()
            for channel, submit, seq in zip(pending.doors, batch.submits, result, strict=True):
                self._recorded(channel, submit, seq, now)
            if batch.submits:
                self._say_full(Reason.RECORD_FULL in result)
            self._make_room()
            self._tending.tend(busy=bool(batch.submits))
            for note in batch.notes:
                self._fetches.recorded(note, self._courier)
                self._tending.recorded(note)
                self._deeds.recorded(note)
                self._handouts.recorded(note)
            for work in batch.mail:
                self._inbox.recorded(work)
            for flight, delivered in pending.flights:
                if self._schedule.flights.get(flight.id) is flight:
                    self._schedule.finished(flight, now)
                waiter = self._waiters.pop(flight.id, None)
                if waiter is not None:
                    waiter.channel.send(answers.answered(waiter.ref, flight.id, delivered))
            self._pump(now)
        if self._pending.urgent:
            self._flush()
        else:
            self._idle.set()
        if not self._pending.full:
            for door in self._doors:
                door.resume_reading()

    def _recorded(self, channel: Channel, submit: Submit, seq: int | Reason, now: float) -> None:
        if isinstance(seq, Reason):
            channel.send(answers.refused(submit.ref, seq))
            if seq is Reason.LEAK_BUDGET:
                self._say_over(submit)
            return
        schedule = self._schedule
        schedule.queued(submit.host)
        if submit.paced or submit.delay_ms:
            self._holding.hold(submit, seq, now)
        courier = self._courier
        if courier is None or submit.wait_ms <= 0 or schedule.backing_off(submit.host):
            channel.send(answers.accepted(submit.ref, submit.id))
        else:
            self._waiters[submit.id] = Waiter(channel, submit.ref, now + submit.wait_ms / 1000)
            self._arm(SWEEP_SECONDS)
        if courier is not None and not courier.congested and schedule.goes_straight(submit.host, submit.id):
            schedule.sent(Flight(seq, submit.id, submit.device, submit.vendor, submit.host, submit.type, now))
            courier.send(Deliver(submit.id, submit.device, submit.vendor, submit.host, submit.type, submit.outgoing))

    def _say_over(self, submit: Submit) -> None:
        day = self._store.day
        if self._over.get(submit.device) != day:
            self._over = {device: of for device, of in self._over.items() if of == day}
            if len(self._over) < MOST_TALLIES:
                self._over[submit.device] = day
            log.warning("%s has spent its leak budget of %d bits for this day", submit.device, submit.budget)

    def _commit_failed(self, pending: Pending, error: Exception) -> None:
        self.counts["failed commits"] += 1
        self.fault = str(error)
        log.critical("nothing can be recorded, so nothing leaves: %s", error)
        notify(f"STATUS=NOT READY: {error}")
        for channel, submit in zip(pending.doors, pending.batch.submits, strict=True):
            channel.send(answers.refused(submit.ref, Reason.LEDGER_UNAVAILABLE))
        for note in pending.batch.notes:
            self._fetches.not_recorded(note)
            self._tending.not_recorded(note)
            self._deeds.not_recorded(note)
            self._handouts.not_recorded(note)
        for work in pending.batch.mail:
            work.kept = False
            self._inbox.recorded(work)
        now = time.monotonic()
        for flight, _ in pending.flights:
            if self._schedule.flights.get(flight.id) is flight:
                self._schedule.returned(flight, now, UNWRITTEN_ANSWER_SECONDS)
            self._accept(flight.id)  # the message itself is on disk
        self._pending.keep_counts(pending.batch)

    def _say_full(self, full: bool) -> None:
        if full != self.full:
            self.full = full
            if full:
                log.critical("the record is full of messages that wait for their vendors: new ones are refused")
                notify("STATUS=NOT READY: the record is full")
            else:
                log.warning("the record has room again")
                notify("STATUS=recording")

    def _make_room(self) -> None:
        """A step beside the commits, while the record is short of room."""
        if not self._making_room and not self.fault and self._store.short:
            self._making_room = True
            self._writer.run(self._store.make_room, self._made_room)

    def _made_room(self, result: Any) -> None:
        self._making_room = False
        if isinstance(result, Exception):
            log.error("no room could be made in the record: %s", result)
        elif result:
            self._making_room = True
            self._writer.run(self._store.make_room, self._made_room)
        elif not self._store.short:
            self._say_full(False)

    def _recovered(self) -> None:
        if self.fault:
            log.warning("records are written again")
            self.fault = ""
            notify("STATUS=recording")
            # A commit that failed may have reached the disk all the same (fsync(2) can fail late): count anew what waits there.
            self._writer.run(lambda: (self._store.hosts(), self._store.delayed()), self._recounted)

    def _recounted(self, result: Any) -> None:
        if isinstance(result, Exception):
            self._unreadable(result)
            return
        hosts, delayed = result
        self._schedule.recount(hosts)
        self._holding.found(delayed)
        self._pump()

    def _unreadable(self, error: Exception) -> None:
        self.fault = str(error)
        log.critical("the ledger cannot be read: %s", error)

    # --- the courier ---

    def _delivered(self, message: Delivered) -> None:
        flight = self._schedule.flights.get(message.id)
        if flight is None or flight.answered:
            return
        flight.answered = True
        self._pending.flights.append((flight, message))
        self._pending.batch.answers.append(
            Answer(
                flight.seq,
                flight.id,
                flight.device,
                flight.vendor,
                flight.host,
                flight.type,
                message.status,
                message.reason,
                message.detail,
                message.original,
                message.answer,
                message.bits,
            )
        )
        self._wake()

    def _deferred(self, message: Deferred) -> None:
        flight = self._schedule.flights.get(message.id)
        if flight is None or flight.answered:
            return
        wait = self._schedule.deferred(flight, time.monotonic(), min(float(message.retry_after), MAX_RETRY_AFTER))
        next_at = time.time_ns() + int(wait * 1e9)
        self._pending.batch.deferrals.append(Deferral(flight.host, flight.seq, message.reason, next_at))
        self._accept(flight.id)
        log.info("%s: %s, tried again in %.1f s (%s)", flight.host, flight.id, wait, message.detail)
        self._arm(SWEEP_SECONDS)

    def _pump(self, now: float | None = None) -> None:
        """Read waiting messages from disk for every host that may get some."""
        courier = self._courier
        if courier is None or courier.congested:
            return
        now = time.monotonic() if now is None else now
        for host, number in self._schedule.wanted(now):
            self._schedule.hosts[host].loading = True
            skip = self._schedule.skip(host)
            self._writer.run(
                lambda host=host, skip=skip, number=number: self._store.waiting(host, skip, number),  # type: ignore[misc]
                lambda result, host=host: self._loaded(host, result),  # type: ignore[misc]
            )

    def _loaded(self, name: str, result: Any) -> None:
        host = self._schedule.hosts[name]
        host.loading = False
        if isinstance(result, Exception):
            self._unreadable(result)
            return
        if self._courier is None:
            return
        now = time.monotonic()
        # messages that were released together: in an order that their device did not choose
        for waiting in sorted(result, key=lambda found: (found.device, found.type, found.seq)):
            if waiting.id in self._schedule.flights or waiting.seq in host.flying:
                continue
            self._schedule.sent(Flight(waiting.seq, waiting.id, waiting.device, waiting.vendor, waiting.host, waiting.type, now))
            self._courier.send(Deliver(waiting.id, waiting.device, waiting.vendor, waiting.host, waiting.type, waiting.body))
        if result:
            self._pump(now)  # a slot may have ended meanwhile; without a result the disk has nothing more, whatever is counted

    # --- time ---

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= self._loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """The one timer: waits that ended, hosts to be probed, counts to be written, a disk to be tried again."""
        self._timer = None
        now = time.monotonic()
        for id in [id for id, waiter in self._waiters.items() if waiter.deadline <= now]:
            self._accept(id)
        self._call_back_lost_flights(now)
        if self.full:
            self._make_room()
        if not self.fault:
            self._tending.tend()
        batch = self._pending.batch
        if not self._writing and (self.fault or batch.attempts or batch.counters or batch.deferrals):
            self._flush()
        self._expiring.look(now)
        self._pump(now)
        due = self._schedule.due(now) if self._courier is not None else None
        quiet = IDLE_SWEEP_SECONDS if due is None else min(max(due, SWEEP_SECONDS), IDLE_SWEEP_SECONDS)
        self._arm(SWEEP_SECONDS if self._waiters else quiet)

    def _call_back_lost_flights(self, now: float) -> None:
        """A message of which the courier has said nothing for longer than it may take is sent again, with the same id."""
        before = now - self._flight_seconds
        for flight in [f for f in self._schedule.flights.values() if f.sent < before and not f.answered]:
            log.error("the courier said nothing of %s for %.0f s; it is sent again", flight.id, self._flight_seconds)
            self._schedule.returned(flight, now, 0.0)

    def _accept(self, id: str) -> None:
        waiter = self._waiters.pop(id, None)
        if waiter is not None:
            waiter.channel.send(answers.accepted(waiter.ref, id))

    # --- for people ---

    def status(self) -> Status:
        """What `mudroom status` shows."""
        schedule = self._schedule
        facts = {name: str(number) for name, number in self.counts.items()}
        facts["bytes"] = str(self._store.space.used)
        facts["bytes of room"] = str(self._store.room)
        facts["removed to make room"] = str(self._store.removed)
        facts["waiting"] = str(sum(host.queued for host in schedule.hosts.values()))
        facts["at the courier"] = str(len(schedule.flights))
        facts |= self._tending.facts()
        if over := sorted(device for device, day in self._over.items() if day == self._store.day):
            facts["leak budget spent"] = ", ".join(over[:16]) + (", …" if len(over) > 16 else "")
        seq, digest = self._store.head
        facts["head"] = f"{seq} {digest.hex()}"
        facts |= {name: str(number) for name, number in self._inbox.counts.items()}
        facts["courier"] = "connected" if self._courier is not None else "absent"
        facts["hosts in back-off"] = ", ".join(sorted(name for name, host in schedule.hosts.items() if host.failures)) or "none"
        fault = self.fault or self._store.damaged
        if fault:
            facts["fault"] = fault
        elif self.full:
            facts["fault"] = "the record is full of messages that wait for their vendors; new ones are refused"
        return Status("ledger", not fault and not self.full, facts)


def roles() -> dict[int, str]:
    """Role by uid. Raises LookupError where a user is missing."""
    return {0: "root", **{service.uid_of(role): role for role in ("door", "names", "enrolment", "courier")}}


async def serve(config: Config, stop: asyncio.Event, known: Callable[[], dict[int, str]] = roles) -> None:
    """Run until ``stop`` is set. Raises StoreError where the file cannot be opened at all."""
    limits = config.ledger
    quotas = Quotas(limits.messages_per_day, limits.bytes_per_day, limits.refusals_per_day, limits.queue_per_device)
    store = Store(config.paths.ledger, quotas, Bounds(limits.bytes_most, limits.disk_reserve))
    uids = known()
    store.open()
    try:
        ledger = Ledger(config, store, uids)
        ledger.start(store.hosts(), store.delayed())
        path = config.paths.socket("ledger")
        path.parent.mkdir(parents=True, exist_ok=True)
        server = await ipc.serve(path, ledger.channel, uids)
        log.info("recording to %s, last record %d, hash %s", store.path, store.head[0], store.head[1].hex())
        service.ready("recording")
        await stop.wait()
        server.close()
        await ledger.stop()
        log.info("ends with record %d, hash %s", store.head[0], store.head[1].hex())  # the journal is not the ledger's to rewrite
    finally:
        store.close()
