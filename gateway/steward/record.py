"""The record in the forms that the pages ask for. Reads only; every list and every text in it is bounded.

It opens the ledger's file as the owner's command does, and keeps it open between questions. It must never hand out a record
that was not asked for by device, id or number.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from gateway.ipc.scores import Scores
from gateway.ipc.steward import DeedRow, MessageRow, Spending, Tried, Whole
from gateway.ledger import scoring
from gateway.ledger.reader import LedgerError, MessageRecord, Reader, Record
from gateway.ledger.searching import FOREVER, Wanted
from gateway.ledger.tried import summed

MOST_BODY = 65_536  # bytes of a message in a list; what is longer is opened alone
MOST_LIST = 2 * 1024 * 1024  # bytes of all of them
MOST_TEXT = 1024 * 1024  # bytes of each text of one message: three of them fit into a frame
MOST_TRIED, MOST_PLACES = 256, 8
MOST_WORD = 256  # characters of a vendor, a host, a type: a door wrote them
MOST_SPENT = 2048
LOOKED_AT = 400  # newest messages in which each device's last is looked for
AT_ONCE = 16  # records in memory
DAYS = 7
DAYS_OF_ONE = 30  # of one device: its chart


class Book:
    """The ledger's file, opened at the first question and again after an error. Methods raise LedgerError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: Reader | None = None
        self._run = ""

    def close(self) -> None:
        """Let go of the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def reader(self) -> Reader:
        """The open file."""
        if self._reader is None:
            self._reader = Reader(self._path)
            self._run = secrets.token_hex(4)  # the version below counts within one opening
        return self._reader

    def version(self) -> str:
        """Differs whenever something was recorded meanwhile."""
        try:
            found = self.reader.version()
        except LedgerError:
            self.close()
            raise
        return f"{self._run}-{found}"

    def messages(self, device: str, limit: int) -> tuple[MessageRow, ...]:
        """The newest messages, of all devices where ``device`` is empty."""
        return _bounded(_row(self.reader.answered(found)) for found in self._newest(Wanted("message", device or None), limit))

    def refusals(self, device: str, limit: int) -> tuple[MessageRow, ...]:
        """The newest refused messages."""
        return _bounded(_refused(found) for found in self._newest(Wanted("refusal", device or None), limit))

    def _newest(self, wanted: Wanted, limit: int) -> Iterator[Record]:
        """A few at a time: what devices sent and vendors answered is as long as they like, up to a bound."""
        edge: int | None = FOREVER
        while edge is not None and limit > 0:
            records, edge = self.reader.page(wanted, edge, min(AT_ONCE, limit))
            yield from records
            limit -= len(records)

    def whole(self, ref: int, id: str) -> Whole:
        """One message, before and after, with its answer."""
        found = self.reader.message(id)
        if found is None:
            return Whole(ref, None)
        message, answer = found.message, found.answer
        texts = (message.outgoing, message.original, answer.outgoing if answer else b"")
        outgoing, original, said = (text[:MOST_TEXT] for text in texts)
        row = _row(found, outgoing)
        failure = found.last_failure.label if found.last_failure else ""
        cut = any(len(text) > MOST_TEXT for text in texts)
        at, status = (answer.at, answer.status) if answer else (0, 0)
        return Whole(ref, row, message.received, original, status, at, said, found.tries, failure, cut)

    def tried(self, device: str) -> tuple[tuple[Tried, ...], tuple[tuple[str, int, int], ...]]:
        """What devices, or one, tried and could not, the last first; and by reason what was left out: rows, how often."""
        rows, others = summed(self.reader, device or None, MOST_TRIED, MOST_PLACES)
        left: dict[str, tuple[int, int]] = {}
        for row in others:
            number, count = left.get(row.reason.label, (0, 0))
            left[row.reason.label] = number + 1, count + row.count
        shown = tuple(
            Tried(
                row.device[:64], row.reason.label, row.count, row.first, row.last,
                tuple((p.protocol[:32], p.destination[:128], p.port, p.count) for p in row.places),
                row.more_places, row.more_count,
            )
            for row in rows
        )  # fmt: skip
        return shown, tuple((reason, *sums) for reason, sums in sorted(left.items()))

    def spent(self, device: str) -> tuple[tuple[Spending, ...], tuple[int, int]]:
        """What was spent of leak budgets in the last days; and of the oldest rows, that were left out: how many, and bits."""
        rows = self.reader.leaks(device or None, DAYS_OF_ONE if device else DAYS)
        shown = tuple(
            Spending(
                row.day,
                row.device[:64],
                row.type[:MOST_WORD],
                row.spent.messages,
                row.bits,
                round(row.spent.presence),
                row.spent.answer_bits,
            )
            for row in rows[:MOST_SPENT]
        )
        return shown, (len(rows[MOST_SPENT:]), sum(row.bits for row in rows[MOST_SPENT:]))

    def newest(self) -> tuple[MessageRow, ...]:
        """Each device's newest message, where it is among the newest of all."""
        found: dict[str, MessageRow] = {}
        for record in self._newest(Wanted("message"), LOOKED_AT):
            if record.device not in found:
                found[record.device] = _row(self.reader.answered(record))
        return _bounded(found.values())

    def scores(self, ref: int, owners: Mapping[str, str], now: int) -> Scores:
        """The record, vendor by vendor."""
        return msgspec.structs.replace(scoring.look(self.reader, owners, now), ref=ref)

    def deeds(self, limit: int) -> tuple[DeedRow, ...]:
        """What the owner decided."""
        return tuple(DeedRow(row.at, row.device, row.type, row.host, row.detail) for row in self.reader.deeds(limit))


def _row(found: MessageRecord, body: bytes | None = None) -> MessageRow:
    message = found.message
    shown = message.outgoing if body is None else body
    if body is None and len(shown) > MOST_BODY:
        shown = b""
    detail = found.answer.detail if found.answer else ""
    return MessageRow(
        message.id[:MOST_WORD], message.received, *_names(message), found.state, shown, detail[:1024],
    )  # fmt: skip


def _refused(record: Record) -> MessageRow:
    shown = record.original if len(record.original) <= MOST_BODY else b""
    label = record.reason.label if record.reason else ""
    return MessageRow(
        "", record.received, *_names(record), label, shown,
        record.detail[:1024], tuple(pointer[:256] for pointer in record.pointers[:16]),
    )  # fmt: skip


def _names(record: Record) -> tuple[str, str, str, str]:
    return record.device[:64], record.vendor[:MOST_WORD], record.host[:MOST_WORD], record.type[:MOST_WORD]


def shown(reader: Reader, record: Record) -> MessageRow:
    """A message, or a refused one, as it stands in a list."""
    return _row(reader.answered(record)) if record.kind == "message" else _refused(record)


def weight(row: MessageRow) -> int:
    """Bytes of a frame that a row may take."""
    return len(row.body) + len(row.detail.encode()) + sum(len(pointer.encode()) for pointer in row.pointers) + 1024


def _bounded(rows: Iterable[MessageRow]) -> tuple[MessageRow, ...]:
    """As many as fit into one frame."""
    size, kept = 0, []
    for row in rows:
        size += weight(row)
        if size > MOST_LIST:
            break
        kept.append(row)
    return tuple(kept)
