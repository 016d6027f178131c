"""`mudroom inbox`: what vendors sent to devices, what became of it, and how often they were asked. Read-only."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from gateway.cli.filters import DeviceOption, Limit
from gateway.cli.output import Json, show, when
from gateway.cli.state import State
from gateway.ledger.reader import InboxRecord, PollDay, Reader

ENTRIES = ("at", "device", "host", "type", "state", "pointers", "detail", "content")
ASKED = ("day", "device", "host", "every_seconds", "asked", "first", "last", "with_entries", "entries", "status", "reason")


def inbox(
    context: typer.Context,
    device: DeviceOption = None,
    asked: Annotated[bool, typer.Option("--asked", help="How often vendor hosts were asked, by day")] = False,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """What vendors sent to devices, and whether the device has it: waiting, taken, or why not."""
    state: State = context.obj
    with Reader(state.config.paths.ledger) as reader:
        if asked:
            rows = [_asked(row) for row in reader.polls(device)]
            show(ASKED, rows, as_json, empty="No vendor host was asked for an inbox yet.")
        else:
            rows = [_entry(record) for record in reader.inbox(limit, device=device)]
            show(ENTRIES, rows, as_json, empty="No vendor sent anything yet.")


def _entry(record: InboxRecord) -> dict[str, Any]:
    entry, end = record.entry, record.end
    return {
        "at": when(entry.at),
        "device": entry.device,
        "vendor": entry.vendor,
        "host": entry.host,
        "type": entry.type,
        "state": record.state,
        "ended": when(end.at) if end else "",
        "pointers": " ".join(entry.pointers),
        "detail": end.detail if end else entry.detail,
        "content": entry.outgoing.decode(errors="replace"),
        "id": entry.id,
    }


def _asked(row: PollDay) -> dict[str, Any]:
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime(row.day * 86_400)),
        "device": row.device,
        "host": row.host,
        "every_seconds": row.period / 1e9,
        "asked": row.asked,
        "first": when(row.first) if row.asked else "",
        "last": when(row.last) if row.asked else "",
        "with_entries": row.occupied,
        "entries": row.entries,
        "status": row.status,
        "reason": row.reason.label if row.reason else "",
        "timing_bits": row.bits,
    }
