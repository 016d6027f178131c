"""Search in a long record, and what commits and the index cost: not timed by tests, run by hand.

Run: ./image/userland run -- python3 -m tests.bench.ledger_search [messages] [folder]
It makes the messages with their answers through the store, as the ledger's process does, in batches of 64.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.ipc.messages import Submit
from gateway.ledger import index
from gateway.ledger.batch import Answer, Batch
from gateway.ledger.reader import Reader
from gateway.ledger.searching import Field, Wanted
from gateway.ledger.store import Quotas, Store
from tests.unit.ledger.peers import submit

BATCH = 64
DEVICES = 40
ROUNDS = 7
SECOND = 10**9
START = 1_780_000_000 * SECOND
STEP = 30 * SECOND  # between two messages
ROOMS = ("kitchen", "hall", "attic", "cellar", "bath", "garage")
MOODS = ("all is well", "battery low", "filter is due", "lid open", "child lock on")


def message(number: int, dice: random.Random) -> Submit:
    """One of several vendors' readings; about 300 bytes."""
    device = number % DEVICES
    payload = {
        "power": dice.randrange(20_000) / 10, "energy": number, "on": bool(number & 1),
        "mode": dice.choice(("eco", "boost", "off")), "place": {"room": dice.choice(ROOMS)}, "note": dice.choice(MOODS),
        "serial": f"unit {number % 5000}",
    }  # fmt: skip
    if number % 100_000 == 77:
        payload["alarm"] = "smoke detected"
    vendor, host = f"Vendor {device % 8}", f"in.vendor{device % 8}.example"
    envelope = {
        "ce": 1,
        "type": "reading",
        "vendor": {"name": vendor, "hosts": [host]},
        "payload": payload,
    }
    body = json.dumps(envelope).encode()
    base = submit(number, device=f"device-{device:02d}", host=host, received=START + number * STEP)
    return msgspec.structs.replace(base, vendor=vendor, original=body, outgoing=body)


def fill(store: Store, number: int, clock: list[int]) -> float:
    """CPU seconds of all commits."""
    dice = random.Random(1)
    used = 0.0
    for first in range(0, number, BATCH):
        batch = [message(n, dice) for n in range(first, min(first + BATCH, number))]
        clock[0] = START + first * STEP
        began = time.process_time()
        seqs = store.commit(Batch(submits=batch))
        ends = [
            Answer(seq, m.id, m.device, m.vendor, m.host, m.type, 200, -1, "", b'{"ok":true}', b'{"ok":true}', 1)
            for seq, m in zip(seqs, batch, strict=True)
            if isinstance(seq, int)
        ]
        store.commit(Batch(answers=ends))
        used += time.process_time() - began
    return used


def build(store: Store) -> tuple[float, float]:
    """CPU seconds of indexing all, and the longest step in wall seconds."""
    hashing = index.Hashing(store.step(index.key))
    began, longest = time.process_time(), 0.0
    while True:
        step = time.monotonic()
        if not store.step(lambda database: index.step(database, hashing)):
            return time.process_time() - began, longest
        longest = max(longest, time.monotonic() - step)


def timed(work: Callable[[], object]) -> str:
    times = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        work()
        times.append((time.monotonic() - began) * 1000)
    times.sort()
    return f"{times[len(times) // 2]:.1f} ({times[0]:.1f}-{times[-1]:.1f})"


def searches(number: int) -> dict[str, Wanted]:
    middle = START + number // 2 * STEP
    return {
        "the newest 20": Wanted(),
        "device": Wanted(device="device-07"),
        "device that is not there": Wanted(device="device-99"),
        "vendor": Wanted(vendor="Vendor 3"),
        "field, in every message": Wanted(fields=(Field("/payload/power"),)),
        "field, in ten": Wanted(fields=(Field("/payload/alarm"),)),
        "value, one in five thousand": Wanted(fields=(Field("/payload/serial", "unit 77"),)),
        "value, the oldest message alone": Wanted(fields=(Field("/payload/energy", "0"),)),
        "value, in no message": Wanted(fields=(Field("/payload/energy", "-5"),)),
        "words, a fifth of all": Wanted(text="battery low"),
        "words, in ten": Wanted(text="smoke"),
        "device, words, room: none together": Wanted(
            device="device-07", text="unit 8", fields=(Field("/payload/place/room", "hall"),)
        ),
        "vendor and value that never meet": Wanted(vendor="Vendor 3", fields=(Field("/payload/on", "false"),)),
        "an hour in the middle": Wanted(since=middle, until=middle + 3600 * SECOND),
        "device and words, the oldest tenth": Wanted(device="device-07", text="lid open", until=START + number // 10 * STEP),
    }


def main(number: int, folder: Path) -> None:
    clock = [START]
    store = Store(folder / "ledger" / "ledger.db", Quotas(10**9, 10**12, 10**9, 10**9), clock=lambda: clock[0])
    store.open()
    print(f"commits: {fill(store, number, clock) / number * 1e6:.1f} µs CPU a message with its answer, in batches of {BATCH}")
    used, longest = build(store)
    (size,) = store.look(lambda database: database.execute("SELECT sum(length(block)) FROM search_data").fetchone())
    print(
        f"index: {used / number * 1e6:.1f} µs CPU and {size / number:.0f} bytes a message; longest step {longest * 1000:.0f} ms"
    )
    store.close()
    print(f"file: {store.path.stat().st_size / 1e6:.0f} MB for {number} messages and their answers")
    with Reader(store.path) as reader:
        for name, wanted in searches(number).items():
            found = len(reader.search(wanted, 20))
            print(f"| {name} | {found} | {timed(lambda wanted=wanted: reader.search(wanted, 20))} |")  # type: ignore[misc]
        began = time.monotonic()
        total = sum(1 for _ in reader.walk(Wanted(device="device-07")))
        print(f"walk over all {total} of a device: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        main(wanted, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(prefix="ledger-bench-") as name:
            main(wanted, Path(name))
