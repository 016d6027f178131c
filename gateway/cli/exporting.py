"""Records as JSON Lines and CSV, for programs that are not ours: what devices and vendors chose must stay mere text there.

This module must never write a character that could drive a terminal or a spreadsheet as it is.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import typer

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
        yield _message(reader.answered(record)) if record.kind == "message" else _row(record)


def _message(found: MessageRecord) -> dict[str, Any]:
    row = _row(found.message) | {"state": found.state}
    if (answer := found.answer) is not None:
        row |= {"status": answer.status, "answered_at": _time(answer.at), "answer": _text(answer.outgoing)}
        row["reason"] = answer.reason.label if answer.reason else ""
    return row


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


def write(rows: Iterator[dict[str, Any]], format: str, to: IO[str]) -> int:
    """Write all rows, one at a time; returns how many. ``format``: "jsonl" or "csv" (RFC 4180)."""
    number = 0
    table = csv.writer(to, quoting=csv.QUOTE_ALL, lineterminator="\r\n") if format == "csv" else None
    if table is not None:
        table.writerow(COLUMNS)
    for row in rows:
        number += 1
        if table is not None:
            table.writerow([cell(row[column]) for column in COLUMNS])
        else:
            # all beyond ASCII, and DEL, as \u escapes: the same values, and nothing to drive a terminal
            to.write(json.dumps(row).replace("\x7f", "\\u007f") + "\n")
    return number


@contextmanager
def target(path: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a new file for its owner alone."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise typer.BadParameter(f"{path} is there already; name another file, or remove it") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)  # half an export is none
        raise
