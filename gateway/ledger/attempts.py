"""What was tried and dropped, in the ledger's file: bounded rows for bounded devices, whoever invents names and places.

It must never make a row beyond the bounds: what does not fit is counted under ``MORE``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.ledger.batch import AttemptKey, Tally

MORE = "(more)"  # where further destinations and devices are counted together
ROWS_PER_DEVICE = 500  # attempts told apart for one device
DEVICES = 1024  # devices told apart in attempts and counters: a device that changes its MAC fills nothing


@dataclass(slots=True)
class Draft:
    """What a transaction will have added once it is committed."""

    rows: dict[str, int] = field(default_factory=dict)
    devices: set[str] = field(default_factory=set)


class Attempts:
    """How many rows each device has, in memory; the rows are the file's."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._devices: set[str] = set()

    def load(self, database: sqlite3.Connection) -> None:
        """Count what is there."""
        self.have(database.execute("SELECT device, count(*) FROM attempts GROUP BY device"))
        self._devices = {device for (device,) in database.execute("SELECT DISTINCT device FROM counters")}

    def have(self, rows: Iterable[tuple[str, int]]) -> None:
        """Rows by device, as they were counted anew."""
        self._rows = dict(rows)

    def __len__(self) -> int:
        """Rows of all devices."""
        return sum(self._rows.values())

    def take(self, draft: Draft) -> None:
        """The transaction is on disk."""
        self._rows.update(draft.rows)
        self._devices |= draft.devices

    def write(self, database: sqlite3.Connection, draft: Draft, tallies: Mapping[AttemptKey, Tally]) -> None:
        """Add to the rows."""
        for key, tally in tallies.items():
            self._attempt(database, draft, key, tally)

    def _attempt(self, database: sqlite3.Connection, draft: Draft, key: AttemptKey, tally: Tally) -> None:
        device, reason, protocol, destination, port, layer = key
        device, protocol, destination, layer = device[:64], protocol[:16], destination[:255], layer[:16]
        if _bump(database, (device, reason, protocol, destination, port, layer), tally):
            return
        rows = draft.rows.get(device, self._rows.get(device, 0))
        if rows == 0 and len(self._rows) + len(draft.rows) >= DEVICES:
            device = MORE
            rows = draft.rows.get(device, self._rows.get(device, 0))
            if _bump(database, (device, reason, protocol, destination, port, layer), tally):
                return
        if rows >= ROWS_PER_DEVICE:
            destination, port = MORE, 0
            if _bump(database, (device, reason, protocol, destination, port, layer), tally):
                return
        database.execute(
            "INSERT INTO attempts VALUES (?,?,?,?,?,?,?,?,?)",
            (device, reason, protocol, destination, port, layer, tally.count, tally.first, tally.last),
        )
        draft.rows[device] = rows + 1

    def count(self, database: sqlite3.Connection, draft: Draft, counters: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Add packets and bytes to each device's count of a reason."""
        for (name, reason), (packets, size) in counters.items():
            device = name[:64]
            if device not in self._devices and device not in draft.devices and len(self._devices) + len(draft.devices) >= DEVICES:
                device = MORE
            draft.devices.add(device)
            database.execute(
                "INSERT INTO counters VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET packets = packets + excluded.packets,"
                " bytes = bytes + excluded.bytes",
                (device, reason, packets, size),
            )


def _bump(database: sqlite3.Connection, key: AttemptKey, tally: Tally) -> bool:
    done = database.execute(
        "UPDATE attempts SET count = count + ?, first = min(first, ?), last = max(last, ?) WHERE device = ? AND reason = ?"
        " AND protocol = ? AND destination = ? AND port = ? AND layer = ?",
        (tally.count, tally.first, tally.last, *key),
    )
    return done.rowcount > 0
