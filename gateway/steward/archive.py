"""Search, files and the chain for the Record page: each answer bounded, whatever the record holds.

Reads only. It must never hold more of the record than one answer takes.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from gateway.ipc.recording import AskPiece, Chain, Found, Piece, Sought
from gateway.ipc.steward import MessageRow
from gateway.ledger import anchors, asked, exporting
from gateway.ledger.reader import LedgerError, Reader
from gateway.ledger.searching import TooLongError, Wanted
from gateway.ledger.verifying import Verification
from gateway.steward.record import MOST_LIST, Book, shown, weight

SHOWN = 25  # records on a page
STEPS = 3  # of 10,000 records each, in one question
AT_ONCE = 8  # records in memory for a file: each holds three texts of up to a megabyte
MOST_PIECE = 512 * 1024  # bytes
SECONDS = 1.0  # of a step; others' questions wait meanwhile
PIECE_SECONDS = 2.0  # then a piece is as long as it is


def wanted(sought: Sought) -> Wanted:
    """What was typed, understood. Raises AskedError."""
    return asked.wanted(
        sought.kind, sought.device or None, sought.vendor or None, sought.host or None, sought.type or None,
        (sought.field,) if sought.field else (), sought.text, sought.since, sought.until,
    )  # fmt: skip


def found(book: Book, ref: int, sought: Sought, before: int) -> Found:
    """A page of what is meant."""
    try:
        meant = wanted(sought)
    except asked.AskedError as error:
        return Found(ref, error=str(error)[:512])
    rows: list[MessageRow] = []
    edge, size = before, 0
    for _ in range(STEPS):
        try:
            records, older = book.reader.page(meant, edge, SHOWN - len(rows), seconds=SECONDS)
        except TooLongError as error:
            return Found(ref, tuple(rows), error=str(error))
        for record in records:
            row = shown(book.reader, record)
            size += weight(row)
            if size > MOST_LIST:
                return Found(ref, tuple(rows), edge)
            rows.append(row)
            edge = record.seq
        if older is None:
            return Found(ref, tuple(rows), 0)
        edge = older
        if len(rows) >= SHOWN:
            break
    return Found(ref, tuple(rows), edge)


def piece(book: Book, asks: AskPiece) -> Piece:
    """Some more of a file. Raises LedgerError where the record of which a part was told is gone meanwhile."""
    try:
        meant = wanted(asks.sought)
    except asked.AskedError as error:
        return Piece(asks.ref, error=str(error)[:512])
    reader, content, after, offset = book.reader, bytearray(), asks.after, asks.offset
    late = time.monotonic() + PIECE_SECONDS
    if asks.format == "csv" and not (after or asks.part):
        content += "".join(exporting.lines(iter(()), "csv")).encode()
    while len(content) < MOST_PIECE:
        try:
            records, edge = reader.page(meant, after, AT_ONCE, oldest_first=True, seconds=SECONDS)
        except TooLongError as error:
            return Piece(asks.ref, error=str(error))
        if offset and (not records or records[0].seq != asks.part):
            raise LedgerError("a record was removed while it was written into the file; begin anew")
        for record in records:
            line = "".join(exporting.lines(iter([exporting.row(reader, record)]), asks.format, head=False)).encode()
            room = MOST_PIECE - len(content)
            content += line[offset : offset + room]
            if len(line) - offset > room:
                return Piece(asks.ref, bytes(content), after, record.seq, offset + room, last=False)
            after, offset = record.seq, 0
        if edge is None:
            return Piece(asks.ref, bytes(content), after)
        after = edge
        if len(records) < AT_ONCE or time.monotonic() > late:
            break  # it was long, or in vain: let others ask meanwhile
    return Piece(asks.ref, bytes(content), after, last=False)


class Walk:
    """The walk over the whole chain, in a thread and with a file of its own: it holds up no question."""

    def __init__(self, ledger: Path, kept: Path) -> None:
        self._ledger, self._kept = ledger, kept
        self._worker = ThreadPoolExecutor(1, "chain")
        self._stop = threading.Event()
        self._future: Future[Verification] | None = None
        self._ended = 0

    def begin(self) -> None:
        """Unless it is under way."""
        if self._future is None or self._future.done():
            self._future = self._worker.submit(self._walk)

    def _walk(self) -> Verification:
        try:
            with Reader(self._ledger) as reader:
                found = reader.verify(None, {each.seq: each.hash for each in anchors.load(self._kept)}, self._stop)
        finally:
            self._ended = int(time.time())
        return found

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._worker.shutdown()

    def told(self, ref: int, book: Book, erasing: str) -> Chain:
        """How the chain stands."""
        seq, digest = book.reader.head()
        newest = anchors.load(self._kept)[-1:]
        anchor, at = (newest[0].seq, newest[0].at) if newest else (0, 0)
        future = self._future
        base = Chain(ref, seq, digest.hex(), anchor, at, erasing=erasing)
        if future is None:
            return base
        if not future.done():
            return msgspec.structs.replace(base, checking=True)
        if error := future.exception():
            return msgspec.structs.replace(base, checked=self._ended, error=str(error)[:512])
        found = future.result()
        return Chain(
            ref, seq, digest.hex(), anchor, at, False, self._ended, found.records, found.since, found.removed, found.erased,
            found.anchored, found.broken or 0, found.why[:512], "", erasing,
        )  # fmt: skip
