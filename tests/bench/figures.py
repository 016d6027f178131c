"""What a monitor's look (/metrics) costs on a long record, also where devices tried all that it tells apart. Never a timed test.

Run: ./image/userland run -- python3 -m tests.bench.figures [messages] [folder]  (a folder keeps the record that it made)
The record's part alone, as the steward asks for it: no HTTP, no socket.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gateway.ledger import figures
from gateway.ledger.attempts import ROWS_PER_DEVICE
from gateway.ledger.batch import Batch, Tally
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from tests.bench import pages
from tests.unit.ledger.peers import refusal, settings, submit

ROUNDS = 15
REFUSED = 500  # messages of each device that were refused and kept whole
WAITING = 500  # messages of each device that wait for their vendor
TODAY = 0  # every day counts


def timed(name: str, work: Callable[[], object]) -> None:
    """One row: milliseconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    print(f"| {name} | {statistics.median(times):.1f} ({min(times):.1f}-{max(times):.1f}) |", flush=True)


def look(path: Path, known: dict[str, str], what: str) -> None:
    """All that /metrics reads, and its parts."""
    with Reader(path) as reader:
        timed(f"{what}: all", lambda: (figures.sums(reader, known, TODAY), figures.room(reader), reader.oldest()))
        timed(f"{what}: attempts", lambda: reader.rows(figures._ATTEMPTS))
        timed(f"{what}: refusals", reader.refusal_counts)
        timed(f"{what}: waiting", lambda: reader.rows("SELECT device, count(*) FROM outbox GROUP BY device"))
        timed(f"{what}: room", lambda: figures.room(reader))


def crowd(path: Path, names: list[str]) -> None:
    """Each device tried as many places as are told apart, was refused, and its vendor takes nothing."""
    store = Store(path, Quotas(10**9, 10**12, 10**9, 10**9))
    store.open()
    now = time.time_ns()
    for turn, device in enumerate(names):
        tried = {
            (device, Reason.QUIC.code, "udp", f"198.51.{n >> 8}.{n & 255}", 443, "door"): Tally(1, now, now)
            for n in range(ROWS_PER_DEVICE)
        }
        held = [submit(turn * WAITING + n + 10**8, device=device) for n in range(WAITING)]
        store.commit(Batch(submits=held, refusals=[refusal(device) for _ in range(REFUSED)], attempts=tried))
    store.close()


def run(number: int, folder: Path) -> None:
    """Both tables in one."""
    pages.prepare(folder, number)
    path = settings(folder).paths.ledger
    names = [f"device-{number:02d}" for number in range(pages.DEVICES)]
    known = {name: name for name in names}
    print(f"{pages.DEVICES} devices, {number} messages\n\n| what is read | ms |\n|---|---:|")
    look(path, known, "quiet")
    crowd(path, names)
    look(path, known, "crowded")


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        run(wanted, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(prefix="figures-bench-") as name:
            run(wanted, Path(name))
