"""The record, vendor by vendor: what was sent, withheld, refused and tried. Reads only, and never all of the record.

Messages and bits of each day come from the days' sums (leaks), which the ledger keeps anyway. What the bodies hold is counted in
each vendor's newest messages, found by the index: at most ``LOOKED_AT`` of all vendors together, so that a million messages on
record take no longer than ten thousand. What was beyond a bound is said. It must never tell a value or a device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.ipc.scores import Denied, Scores, TypeSeen, VendorSeen
from gateway.ledger.leaks import DAY, Spent, total
from gateway.ledger.reader import LeakDay, MessageRecord, Reader, Record
from gateway.ledger.searching import Wanted
from gateway.ledger.tried import summed
from gateway.reasons import Reason
from gateway.standard.problem import TYPE_PREFIX, VENDOR_TYPES
from gateway.standard.withholding import EACH, ROOT

DAYS = 30
LOOKED_AT = 4_000  # messages of all vendors together
NAMES_FROM = 1_000  # newest messages in which vendors are found that no device has any more
MOST_EACH = 1_000
MOST_VENDORS = 64
MOST_PLACES = 4_096  # pointers of all vendors together
MOST_TYPES, MOST_HOSTS, MOST_NEEDS = 64, 32, 64  # of one vendor
MOST_WORD = 256  # characters
MOST_TEXT = 1024 * 1024  # bytes of all names and pointers: a frame of the steward's holds four times that
MOST_BYTES = 32 * 1024 * 1024  # of bodies read for one answer
MOST_BELOW = 4_096  # members of one payload
AT_ONCE = 32  # records in memory
_decode = msgspec.json.Decoder().decode


def look(reader: Reader, owners: Mapping[str, str], now: int) -> Scores:
    """``owners``: the vendor of each device's id and hardware address; ``now``: ns since the epoch. Raises LedgerError."""
    since = (now // DAY - DAYS + 1) * DAY
    room = _Room(MOST_BYTES, MOST_PLACES, MOST_TEXT)
    names = list(dict.fromkeys(owners.values()))
    names += [name for name in _found(reader, since, room) if name not in names]
    room.more |= len(names) > MOST_VENDORS
    names = names[:MOST_VENDORS]
    each = min(LOOKED_AT // max(len(names), 1), MOST_EACH)
    tallies = {name: Tally(name, room) for name in names}
    for tally in tallies.values():
        _newest(reader, tally, since, each, room)
    for row in summed(reader, None, 0, 0)[1]:
        if (owned := tallies.get(owners.get(row.device, ""))) is not None:
            owned.attempt(row.reason, row.count, row.first)
    _spent(tallies, owners, reader.leaks(days=DAYS), since // DAY)
    oldest = reader.oldest() // DAY
    return Scores(0, since // DAY, oldest if oldest > since // DAY else 0, tuple(t.seen() for t in tallies.values()), room.more)


@dataclass(slots=True)
class _Room:
    """What is left of the bounds that all vendors share."""

    bytes: int
    places: int
    text: int
    more: bool = False

    def keep(self, word: str) -> bool:
        """Whether one more name or pointer may be kept."""
        self.places -= 1
        self.text -= len(word.encode("utf-8", "surrogatepass"))
        fits = self.places >= 0 and self.text >= 0
        self.more |= not fits
        return fits

    def take(self, record: Record) -> bool:
        """Whether one more body may be read."""
        self.bytes -= len(record.original) + len(record.outgoing)
        return self.bytes >= 0


def _found(reader: Reader, since: int, room: _Room) -> list[str]:
    """Names in the newest messages."""
    names: dict[str, None] = {}
    for record in reader.glance(Wanted(since=since), NAMES_FROM, AT_ONCE):
        if record is None or not room.take(record):
            break
        if record.vendor:
            names[record.vendor[:MOST_WORD]] = None
    return list(names)


def _newest(reader: Reader, tally: Tally, since: int, each: int, room: _Room) -> None:
    for record in reader.glance(Wanted(vendor=tally.name, since=since), each, AT_ONCE):
        if record is None or not room.take(record):
            room.more |= record is not None
            tally.whole = False
            return
        if record.vendor == tally.name:  # the search does not tell capitals from small letters
            tally.message(reader.answered(record))


def _spent(tallies: Mapping[str, Tally], owners: Mapping[str, str], rows: Iterable[LeakDay], since: int) -> None:
    """Each device's days, rounded up once each, as the ledger holds them against its budget."""
    days: dict[tuple[str, int], dict[str, Spent]] = {}
    for row in rows:
        if row.day >= since:
            days.setdefault((row.device, row.day), {})[row.type] = row.spent
    for (device, day), account in days.items():
        if (tally := tallies.get(owners.get(device, ""))) is not None:
            messages, bits = tally.days.get(day, (0, 0))
            tally.days[day] = (messages + sum(spent.messages for spent in account.values()), bits + total(account))


@dataclass(slots=True)
class _Type:
    messages: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """One vendor's counts while they are counted. ``whole``: whether all its messages of these days were looked at."""

    name: str
    room: _Room
    looked_at: int = 0
    first: int = 0
    whole: bool = True
    answered: int = 0
    odd: int = 0
    tried_first: int = 0
    hosts: dict[str, None] = field(default_factory=dict)
    types: dict[str, _Type] = field(default_factory=dict)
    denied: dict[str, tuple[int, Counter[str]]] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    days: dict[int, tuple[int, int]] = field(default_factory=dict)

    def message(self, found: MessageRecord) -> None:
        """One of its messages, with the vendor's answer to it."""
        record, answer = found.message, found.answer
        day = record.received // DAY
        self.looked_at += 1
        self.first = min(self.first or day, day)
        host = record.host[:MOST_WORD]
        if host not in self.hosts and len(self.hosts) < MOST_HOSTS and self.room.keep(host):
            self.hosts[host] = None
        name = record.type[:MOST_WORD]
        if name not in self.types and (len(self.types) >= MOST_TYPES or not self.room.keep(name)):
            self.room.more = True
        else:
            kind = self.types.setdefault(name, _Type())
            kind.messages += 1
            self._count(kind.sent, places(payload_of(record.outgoing)))
            self._count(kind.withheld, (place[:MOST_WORD] for place in record.pointers))
        if answer is not None:
            self.answered += answer.reason not in {Reason.EXPIRED, Reason.VENDOR_UNREACHABLE}
            if answer.reason is Reason.VENDOR_REFUSED:
                self._refused(answer.outgoing)
            elif answer.reason is Reason.VENDOR_ANSWER:
                self.odd += 1

    def _refused(self, body: bytes) -> None:
        label, pointers = refusal_of(body)
        count, needs = self.denied.get(label, (0, Counter()))
        self._count(needs, pointers, MOST_NEEDS)
        self.denied[label] = (count + 1, needs)

    def attempt(self, reason: Reason, count: int, first: int) -> None:
        """What one of its devices tried. ``first``: ns since the epoch, 0: nobody noted when."""
        self.tried[reason.label] += count
        if first:
            self.tried_first = min(self.tried_first or first // DAY, first // DAY)

    def _count(self, counter: Counter[str], found: Iterable[str], most: int = MOST_PLACES) -> None:
        for place in found:
            if place not in counter and (len(counter) >= most or not self.room.keep(place)):
                self.room.more = True
                continue
            counter[place] += 1

    def seen(self) -> VendorSeen:
        """As it is told."""
        return VendorSeen(
            self.name, self.looked_at, self.first, self.whole, tuple(self.hosts),
            tuple(
                TypeSeen(name, kind.messages, tuple(kind.sent.most_common()), tuple(kind.withheld.most_common()))
                for name, kind in self.types.items()
            ),
            self.answered,
            tuple(
                Denied(label, count, tuple(needs.most_common()))
                for label, (count, needs) in sorted(self.denied.items(), key=lambda item: -item[1][0])
            ),
            self.odd, tuple(self.tried.most_common()), self.tried_first,
            tuple((day, *sums) for day, sums in sorted(self.days.items())),
        )  # fmt: skip


def payload_of(body: bytes) -> Any:
    """An envelope's payload; None where there is none."""
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document.get("payload") if isinstance(document, dict) else None


def places(payload: Any) -> set[str]:
    """Pointers of the members that hold something themselves, and are not only groups or lists of others."""
    found: set[str] = set()
    for place in _below(payload):
        found.add(place)
        if len(found) >= MOST_BELOW:
            break
    return found


def _below(payload: Any) -> Iterator[str]:
    waiting = [(ROOT, payload)] if payload is not None else []
    while waiting:
        pointer, found = waiting.pop()
        if isinstance(found, dict):
            waiting += [
                (f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"[:MOST_WORD], below) for key, below in found.items()
            ]
        elif isinstance(found, list):
            waiting += [(f"{pointer}/{EACH}"[:MOST_WORD], below) for below in found]
        else:
            yield pointer


def refusal_of(body: bytes) -> tuple[str, set[str]]:
    """What a judged refusal says: a label of the standard's list, empty for none; the members it names, items as ``-``."""
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", set()
    if not isinstance(document, dict):
        return "", set()
    kind, pointers = document.get("type"), document.get("pointers")
    label = kind.removeprefix(TYPE_PREFIX) if isinstance(kind, str) and kind in VENDOR_TYPES else ""
    texts = [each for each in pointers if isinstance(each, str)][:MOST_NEEDS] if isinstance(pointers, list) else []
    return label, {"/".join(EACH if part.isdigit() else part for part in text[:MOST_WORD].split("/")) for text in texts}
