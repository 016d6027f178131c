"""Records as JSON Lines and CSV, for programs that are not ours: what devices and vendors chose must stay mere text there.

The owner's command writes them to a file, the steward hands them to the pages in pieces.
This module must never write a character that could drive a terminal or a spreadsheet as it is.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import time
from collections.abc import Iterator
from typing import IO, Any

from gateway.ledger.reader import MessageRecord, Reader, Record
from gateway.ledger.searching import Wanted
from gateway.plain import plain

COLUMNS = (
    "seq", "at", "received", "kind", "device", "vendor", "host", "type", "id", "state", "status", "reason", "rule", "pointers",
    "bits", "sent_by_device", "left_the_home", "answered_at", "answer",
)  # fmt: skip
# What makes a cell a formula, or a spreadsheet's import drop what stands before it (OWASP, "CSV Injection"), wide forms included.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def rows(reader: Reader, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """What was said, what left, what became of it; oldest first, a few at a time."""
    for record in reader.walk(wanted):
        yield row(reader, record)


def row(reader: Reader, record: Record) -> dict[str, Any]:
    """A record with what became of it."""
    return _message(reader.answered(record)) if record.kind == "message" else _row(record)


def _message(found: MessageRecord) -> dict[str, Any]:
    told = _row(found.message) | {"state": found.state}
    if (answer := found.answer) is not None:
        told |= {"status": answer.status, "answered_at": _time(answer.at), "answer": _text(answer.outgoing)}
        told["reason"] = answer.reason.label if answer.reason else ""
    return told


def _row(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq, "at": _time(record.at), "received": _time(record.received), "kind": record.kind,
        "device": record.device,
        "vendor": record.vendor, "host": record.host, "type": record.type, "id": record.id, "state": "refused",
        "status": record.status, "reason": record.reason.label if record.reason else "", "rule": record.detail,
        "pointers": " ".join(record.pointers), "bits": record.bits, "sent_by_device": _text(record.original),
        "left_the_home": _text(record.outgoing), "answered_at": "", "answer": "",
    }  # fmt: skip


def _text(body: bytes) -> str:
    """Bytes that are not UTF-8 (of a refused message) stay readable: ``\\xff``."""
    return body.decode(errors="backslashreplace")


def _time(nanoseconds: int) -> str:
    """RFC 3339, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(nanoseconds // 10**9))


def cell(value: object) -> str:
    """A value as a spreadsheet's cell that is text and nothing else: control, bidi and invisible characters as escapes."""
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return ("'" if text.startswith(FORMULA) else "") + plain(text)


def lines(rows: Iterator[dict[str, Any]], format: str, *, head: bool = True) -> Iterator[str]:
    """The file's lines, the table's ``head`` first. ``format``: "jsonl" or "csv" (RFC 4180)."""
    if format == "csv":
        held = io.StringIO()
        table = csv.writer(held, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        if head:
            rows = itertools.chain([{column: column for column in COLUMNS}], rows)
        for told in rows:
            table.writerow([cell(told[column]) for column in COLUMNS])
            yield held.getvalue()
            held.seek(0)
            held.truncate()
        return
    for told in rows:
        # all beyond ASCII, and DEL, as \u escapes: the same values, and nothing to drive a terminal
        yield json.dumps(told).replace("\x7f", "\\u007f") + "\n"


def write(rows: Iterator[dict[str, Any]], format: str, to: IO[str]) -> int:
    """Write all rows, one at a time; returns how many."""
    number = -1 if format == "csv" else 0  # the table's head is no row
    for line in lines(rows, format):
        to.write(line)
        number += 1
    return number
