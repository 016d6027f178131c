"""What goes into the ledger's file in one transaction, and what is read back of it. Plain data; nothing here knows the file."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass, field

from gateway.ipc.messages import Refused, Submit
from gateway.ledger import mailbox, space

AttemptKey = tuple[str, int, str, str, int, str]  # device, reason, protocol, destination, port, layer


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one message's way, to be recorded: the vendor's answer, or why there will be none."""

    seq: int  # the message's
    id: str
    device: str
    vendor: str
    host: str
    type: str
    status: int
    reason: int
    detail: str
    original: bytes
    outgoing: bytes
    bits: int = 0  # what it could carry to the device


@dataclass(slots=True)
class Note:
    """Something else for the record, that no device's quota counts. ``seq``: given by the commit; 0 where there was no room."""

    kind: str
    id: str
    device: str
    host: str
    type: str
    original: bytes = b""
    outgoing: bytes = b""
    status: int = 0
    reason: int = -1
    detail: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Deferral:
    """A try that failed. ``next_at``: nanoseconds since the epoch, for the owner's eyes only."""

    host: str
    seq: int
    reason: int
    next_at: int


@dataclass(slots=True)
class Tally:
    """How often something was tried, and when first and last (nanoseconds since the epoch)."""

    count: int
    first: int
    last: int


@dataclass(slots=True)
class Batch:
    """What goes into one transaction."""

    submits: list[Submit] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    deferrals: list[Deferral] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    mail: list[mailbox.Work] = field(default_factory=list)
    attempts: dict[AttemptKey, Tally] = field(default_factory=dict)
    counters: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A committed message that waits to be sent."""

    seq: int
    id: str
    device: str
    vendor: str
    host: str
    type: str
    body: bytes


def count(tallies: dict[AttemptKey, Tally], key: AttemptKey, at: int) -> None:
    """One more, at ``at``."""
    tally = tallies.get(key)
    if tally is None:
        tallies[key] = Tally(1, at, at)
    else:
        tally.count += 1
        tally.last = at


def submit_size(submit: Submit) -> int:
    """Bytes that a device's quota counts."""
    return len(submit.original) + len(submit.outgoing) + len(submit.rules) + sum(map(len, submit.withheld))


def cost(batch: Batch) -> int:
    """Bytes that the batch's records take at the most."""
    bodies = sum(space.cost(submit_size(s)) for s in batch.submits)
    bodies += sum(space.cost(len(r.original)) for r in batch.refusals)
    bodies += sum(space.cost(len(n.original) + len(n.outgoing)) for n in batch.notes)
    bodies += sum(work.cost for work in batch.mail)
    return bodies + sum(space.cost(len(a.original) + len(a.outgoing)) for a in batch.answers)


def size(batch: Batch) -> int:
    """How many operations."""
    parts: tuple[Sized, ...] = (
        batch.submits, batch.refusals, batch.answers, batch.deferrals, batch.notes, batch.mail, batch.attempts, batch.counters,
    )  # fmt: skip
    return sum(len(part) for part in parts)


def singly(batch: Batch) -> Iterator[Batch]:
    """The same operations, one in each batch, in the same order."""
    for submit in batch.submits:
        yield Batch(submits=[submit])
    for refused in batch.refusals:
        yield Batch(refusals=[refused])
    for answer in batch.answers:
        yield Batch(answers=[answer])
    for deferral in batch.deferrals:
        yield Batch(deferrals=[deferral])
    for note in batch.notes:
        yield Batch(notes=[note])
    for work in batch.mail:
        yield Batch(mail=[work])
    for key, tally in batch.attempts.items():
        yield Batch(attempts={key: tally})
    for counter, sums in batch.counters.items():
        yield Batch(counters={counter: sums})
