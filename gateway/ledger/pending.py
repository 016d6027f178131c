"""What the ledger's next commit will hold, and whom to tell. Bounded: where it is full, the doors wait."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.ipc.channel import Channel
from gateway.ipc.messages import Delivered, Refused, Submit
from gateway.ledger.attempts import MORE
from gateway.ledger.batch import AttemptKey, Batch, Note, Tally
from gateway.ledger.mailbox import Work
from gateway.ledger.schedule import Flight

MOST_PENDING = 1024  # operations that wait for the next commit; beyond it nothing more is read from the doors
MOST_PENDING_BYTES = 16 * 1024 * 1024
MOST_TALLIES = 4096  # different attempts between two commits; further ones are counted without their destination


@dataclass(slots=True)
class Pending:
    """What the next commit will hold, and whom to tell."""

    doors: list[Channel] = field(default_factory=list)  # beside batch.submits
    batch: Batch = field(default_factory=Batch)
    flights: list[tuple[Flight, Delivered]] = field(default_factory=list)  # beside batch.answers
    size: int = 0  # bytes

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for it."""
        batch = self.batch
        return bool(batch.submits or batch.answers or batch.refusals or batch.notes or batch.mail)

    @property
    def full(self) -> bool:
        """Whether the doors must wait."""
        return len(self.doors) + len(self.batch.refusals) >= MOST_PENDING or self.size >= MOST_PENDING_BYTES

    def submit(self, door: Channel, message: Submit) -> None:
        """A message, and the door that waits for its record."""
        self.doors.append(door)
        self.batch.submits.append(message)
        self.size += len(message.original) + len(message.outgoing)

    def refuse(self, message: Refused) -> None:
        """A message that the door refused."""
        self.batch.refusals.append(message)
        self.size += len(message.original)

    def note(self, note: Note) -> None:
        """Something else for the record."""
        self.batch.notes.append(note)
        self.size += len(note.original) + len(note.outgoing)

    def mail(self, work: Work) -> None:
        """Something for a device's inbox."""
        self.batch.mail.append(work)
        self.size += work.cost

    def tally(self, key: AttemptKey, count: int, first: int, last: int) -> None:
        """``count`` attempts between two times, in ns since the epoch."""
        tallies = self.batch.attempts
        if key not in tallies and len(tallies) >= MOST_TALLIES:
            device, reason, protocol, _, _, layer = key
            key = (device, reason, protocol, MORE, 0, layer)
            if key not in tallies and len(tallies) >= 2 * MOST_TALLIES:
                key = (MORE, reason, protocol, MORE, 0, layer)
        found = tallies.get(key)
        if found is None:
            tallies[key] = Tally(count, first, last)
        else:
            found.count += count
            found.first, found.last = min(found.first, first), max(found.last, last)

    def add(self, device: str, reason: int, packets: int, size: int) -> None:
        """Dropped packets, by device and reason."""
        sums = self.batch.counters
        if (device, reason) not in sums and len(sums) >= MOST_TALLIES:
            device = MORE
        before = sums.get((device, reason), (0, 0))
        sums[device, reason] = (before[0] + packets, before[1] + size)

    def keep_counts(self, failed: Batch) -> None:
        """Of a batch that failed: refusals shrink to counts, counts wait. Both stay bounded, however long the disk is away."""
        for refused in failed.refusals:
            key = (refused.device, refused.reason, "message", refused.host, 443, "ledger")
            self.tally(key, 1, refused.received, refused.received)
        for key, tally in failed.attempts.items():
            self.tally(key, tally.count, tally.first, tally.last)
        for (device, reason), (packets, size) in failed.counters.items():
            self.add(device, reason, packets, size)
