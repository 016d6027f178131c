"""How long the vendors' scores take on a large record.

Run: ./image/userland run -- python3 -m tests.bench.vendors [messages]
"""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
from pathlib import Path

from gateway.ledger.reader import Reader
from gateway.ledger.scoring import look
from gateway.ledger.store import Quotas, Store
from tests.bench.ledger_search import DEVICES, START, STEP, build, fill, timed


def main(number: int, folder: Path) -> None:
    clock = [START]
    store = Store(folder / "ledger" / "ledger.db", Quotas(10**9, 10**12, 10**9, 10**9), clock=lambda: clock[0])
    store.open()
    fill(store, number, clock)
    owners = {f"device-{device:02d}": f"Vendor {device % 8}" for device in range(DEVICES)}
    now = START + number * STEP
    with Reader(store.path) as reader:
        print(f"| {number} messages, none of them indexed yet | {timed(lambda: look(reader, owners, now))} |")
    build(store)
    store.close()
    with Reader(store.path) as reader:
        print(f"| {number} messages | {timed(lambda: look(reader, owners, now))} |")
        more = owners | {f"quiet-{n}": f"Quiet {n}" for n in range(60)}
        print(f"| the same, with 60 vendors that said nothing | {timed(lambda: look(reader, more, now))} |")
        tracemalloc.start()
        found = look(reader, owners, now)
        most, looked_at = tracemalloc.get_traced_memory()[1] / 2**20, sum(vendor.looked_at for vendor in found.vendors)
        print(f"{looked_at} messages looked at, {most:.1f} MiB of Python's memory at the most")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as name:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, Path(name))
