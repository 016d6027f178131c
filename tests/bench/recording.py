"""What it costs that a message is on disk before anything leaves (P3): records a second, and the time until it is there.

Run: ./image/userland run -- python3 -m tests.bench.recording [folder]     (two minutes; the folder names the disk to measure)
The ledger is the real process behind its real socket. Peers in the same run, on the same disk: a program that commits each row
by itself, one that commits 64 at once, both with the ledger's own pragmas, and fdatasync(2) of 4 KiB alone. The ledger on
a file system in memory is what would be left of it if disks took no time. Never a timed test.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from gateway.ipc.messages import Outcome, Submit
from tests.unit.ledger.peers import Peer, Process, connect, settings, submit

SENDERS = (1, 8, 64)
SECONDS = 4.0
RATE = 200  # messages a second, whether the ledger keeps up or not
ROUNDS = 3
BATCH = 64
SIZE = 330  # bytes of a body
MEMORY = Path("/dev/shm")  # a file system in memory


@dataclass
class Waits:
    """Seconds until each message was on record."""

    found: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """A percentile, in ms."""
        return statistics.quantiles(self.found, n=1000)[round(share * 1000) - 1] * 1000

    def words(self) -> str:
        return f"p50 {self.at(0.5):6.2f} ms   p99 {self.at(0.99):6.2f} ms   of {len(self.found)}"


class Door:
    """One link to the ledger, and who waits on it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._number = time.time_ns() // 1000
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            outcome: Outcome = await self._peer.inbox.get()
            self._waiting.pop(outcome.ref).set_result(None)

    async def record(self, device: str) -> float:
        """Seconds until a message is on record."""
        self._number += 1
        message: Submit = submit(self._number, size=SIZE, device=device)
        waiting = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._peer.send(message)
        await waiting
        return time.perf_counter() - began

    async def close(self) -> None:
        self._listening.cancel()
        await self._peer.close()


async def closed_loop(door: Door, senders: int) -> tuple[float, Waits]:
    """Each sender waits for its record before the next one. Records a second, and the waits."""
    waits, end = Waits(), time.perf_counter() + SECONDS

    async def one(number: int) -> None:
        while time.perf_counter() < end:
            waits.found.append(await door.record(f"device-{number}"))

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(senders)))
    return len(waits.found) / (time.perf_counter() - began), waits


async def open_loop(door: Door) -> Waits:
    """Messages come as devices send them, whatever became of the one before."""
    waits, began = Waits(), time.perf_counter()
    tasks = []
    for number in range(int(RATE * SECONDS)):
        await asyncio.sleep(max(began + number / RATE - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(door.record(f"device-{number % 40}")))
    waits.found = await asyncio.gather(*tasks)
    return waits


async def ledger(folder: Path) -> dict[str, tuple[float, Waits]]:
    """One round of everything with the real process and its file in ``folder``."""
    found: dict[str, tuple[float, Waits]] = {}
    most = 10**9
    made = settings(folder, ledger={"messages_per_day": most, "bytes_per_day": 10**12, "queue_per_device": most})
    process = Process(folder)
    try:
        door = Door(await connect(made.paths.socket("ledger"), "door"))
        for _ in range(50):
            await door.record("first")
        for senders in SENDERS:
            found[f"{senders} at once"] = await closed_loop(door, senders)
        found[f"{RATE} a second"] = (RATE, await open_loop(door))
        await door.close()
    finally:
        process.stop()
    return found


def rows(folder: Path, batch: int) -> float:
    """The plain peer: rows a second, ``batch`` in each transaction, with the ledger's own pragmas."""
    path = folder / f"peer-{batch}.db"
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, device TEXT, original BLOB, outgoing BLOB)")
    body, count, end = b"x" * SIZE, 0, time.perf_counter() + SECONDS
    began = time.perf_counter()
    while time.perf_counter() < end:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO records (device, original, outgoing) VALUES (?,?,?)", [("device", body, body)] * batch)
        database.execute("COMMIT")
        count += batch
    database.close()
    path.unlink()
    return count / (time.perf_counter() - began)


def syncs(folder: Path) -> Waits:
    """fdatasync(2) after 4 KiB appended."""
    waits, path = Waits(), folder / "synced"
    number = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    end = time.perf_counter() + SECONDS / 2
    while time.perf_counter() < end:
        began = time.perf_counter()
        os.write(number, b"x" * 4096)
        os.fdatasync(number)
        waits.found.append(time.perf_counter() - began)
    os.close(number)
    path.unlink()
    return waits


def measured[T](folder: Path | None, work: Callable[[Path], T]) -> T:
    with tempfile.TemporaryDirectory(dir=folder, prefix="mudroom-bench-") as name:
        return work(Path(name))


def spread(numbers: list[float]) -> str:
    """The middle one, and the ends."""
    return f"{statistics.median(numbers):8,.0f} ({min(numbers):,.0f}-{max(numbers):,.0f})"


def main(folder: Path | None) -> None:
    """Print all of it."""
    each: dict[str, list[float]] = {}
    waits: dict[str, Waits] = {}
    for _ in range(ROUNDS):
        for where, disk in (("disk", folder), ("memory", MEMORY)):
            for name, (rate, found) in measured(disk, lambda at: uvloop.run(ledger(at))).items():
                each.setdefault(f"ledger, {where}, {name}", []).append(rate)
                waits.setdefault(f"ledger, {where}, {name}", Waits()).found += found.found
        each.setdefault("peer, disk, one by one", []).append(measured(folder, lambda at: rows(at, 1)))
        each.setdefault(f"peer, disk, {BATCH} at once", []).append(measured(folder, lambda at: rows(at, BATCH)))
        waits.setdefault("fdatasync of 4 KiB", Waits()).found += measured(folder, syncs).found
    print(f"records a second, median of {ROUNDS} rounds (least-most)")
    for name, rates in each.items():
        if " a second" not in name:
            print(f"  {name:<34}{spread(rates)}")
    alone = each["peer, disk, one by one"]
    for senders in SENDERS:
        ratios = [ours / peer for ours, peer in zip(each[f"ledger, disk, {senders} at once"], alone, strict=True)]
        ends = f"({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"  {f'times one by one, {senders} at once':<34}{statistics.median(ratios):8.2f} {ends}")
    print("time until it is on record")
    for name, found in waits.items():
        print(f"  {name:<34}{found.words()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
