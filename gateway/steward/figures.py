"""What a monitor reads, gathered: numbers of the record, and whether the ledger answers.

Of the parts it can ask the ledger alone: the others' sockets are not for the steward to see. It must never hand out more rows
than there are admitted devices and reasons: strangers, who can take any address, are one.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from gateway.config import Config
from gateway.ipc.ask import NoAnswer, ask
from gateway.ipc.messages import AskStatus, Status
from gateway.ipc.programs import DeviceFigures, Figures
from gateway.ledger import figures
from gateway.ledger.reader import Reader
from gateway.registry import Home

SECONDS = 2.0
MOST_DEVICES = 1024
PARTS = ("ledger",)


def gather(ref: int, config: Config, reader: Reader, home: Home) -> Figures:
    """Raises LedgerError."""
    known = {device.id: device.id for device in home.registry.devices[:MOST_DEVICES]}
    known |= {device.mac: device.id for device in home.registry.devices[:MOST_DEVICES]}
    found = figures.sums(reader, known, time.time_ns() // figures.DAY)
    rows = tuple(
        DeviceFigures(device, row.messages, row.refusals, row.waiting, row.bits, tuple(sorted(row.drops.items())))
        for device in ("", *dict.fromkeys(known.values()))
        if (row := found.get(device, figures.Sums()))
    )
    ever, kept = figures.room(reader)
    ready = tuple((part, _ready(config, part)) for part in PARTS)
    return Figures(ref, rows, ever, kept, _size(config.paths.ledger), reader.oldest(), ready)


def _ready(config: Config, part: str) -> bool:
    try:
        return ask(config.paths.socket(part), AskStatus(), Status, timeout=SECONDS).ready
    except NoAnswer:
        return False


def _size(path: Path) -> int:
    size = 0
    for each in (path, path.with_name(path.name + "-wal")):
        with contextlib.suppress(FileNotFoundError):
            size += each.stat().st_size
    return size
