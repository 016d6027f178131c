"""What of a message's wait is the disk's: the ledger beside one that acknowledges before the disk has it. Never a timed test.

Run: ./image/userland run -- python3 -m tests.bench.syncing [rounds] [folder]     (under three minutes; the folder names the disk)
Both are the real process behind its real socket, on the same disk and the same record of 100,000 messages; they take turns within
each round. The other one is made here alone, by SQLite's ``synchronous=OFF`` (no fsync at all): the gateway has no such switch.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from gateway.config import Config
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from tests.bench import ledger_search, recording
from tests.bench.recording import RATE, Door, Waits
from tests.unit.ledger.peers import RUN, Process, connect, rows, settings

MESSAGES = 100_000
MOST = 10**12
PAUSE_SECONDS = 0.05  # between two searches
WARM = 50
ALONE, RUSH, SEARCHED = "one at a time", f"{RATE} a second", f"{RATE} a second, beside a reader that searches"
KINDS = (ALONE, RUSH, SEARCHED)
SYNCED, UNSYNCED = "as it is", "acknowledged before the disk has it"
# Says so in its log: a pragma that is written otherwise one day must not make two equal candidates.
WITHOUT = """
import sqlite3, sys
class Without(sqlite3.Connection):
    def execute(self, statement, *values):
        if "synchronous=FULL" in statement:
            statement = statement.replace("synchronous=FULL", "synchronous=OFF")
            print("bench: no fsync", file=sys.stderr, flush=True)
        return super().execute(statement, *values)
connect = sqlite3.connect
sqlite3.connect = lambda *path, **options: connect(*path, **options, factory=Without)
"""


class Candidate(Process):
    """The ledger's process, ``synced`` or not."""

    def __init__(self, folder: Path, synced: bool) -> None:
        code = ("" if synced else WITHOUT) + RUN.format(room="ledger")
        self.log = folder / "ledger.log"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen([sys.executable, "-c", code, str(folder / "mudroom.toml")], stderr=log)


def prepare(folder: Path) -> Config:
    """The record that is there already, with its search index."""
    made = settings(folder, ledger={"messages_per_day": MOST, "bytes_per_day": MOST, "queue_per_device": MOST})
    clock = [ledger_search.START]
    store = Store(made.paths.ledger, Quotas(MOST, MOST, MOST, MOST), clock=lambda: clock[0])
    store.open()
    ledger_search.fill(store, MESSAGES, clock)
    ledger_search.build(store)
    store.close()
    return made


@contextlib.contextmanager
def searching(path: Path) -> Iterator[list[int]]:
    """A reader in a process of its own; yields where the number of its searches stands afterwards."""
    command = [sys.executable, "-m", "tests.bench.syncing", "--search", str(path)]
    done: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None and reader.stdout is not None
        if reader.stdout.readline() != "ready\n":
            raise SystemExit("the reader ended before it began")
        try:
            yield done
            reader.stdin.close()
            done.append(int(reader.stdout.readline()))
        except BaseException:
            reader.kill()
            raise


def search(path: Path) -> None:
    """All of ledger_search's questions in turn, until standard input ends."""
    wanted = list(ledger_search.searches(MESSAGES).values())
    count = 0
    with Reader(path) as reader:
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
            reader.search(wanted[count % len(wanted)], 20)
            count += 1
    print(count, flush=True)


async def one(folder: Path, made: Config, synced: bool) -> tuple[dict[str, Waits], int]:
    """One candidate's part of a round: waits by kind, and how many searches there were meanwhile."""
    (before,) = rows(made.paths.ledger, "SELECT max(seq) FROM records")[0]
    process = Candidate(folder, synced)
    try:
        door = Door(await connect(made.paths.socket("ledger"), "door"))
        if synced is ("bench: no fsync" in process.log.read_text()):
            raise SystemExit("the candidates do not differ in their fsync as they should")
        for _ in range(WARM):
            await door.record("first")
        found = {ALONE: (await recording.closed_loop(door, 1))[1], RUSH: await recording.open_loop(door)}
        with searching(made.paths.ledger) as searches:
            found[SEARCHED] = await recording.open_loop(door)
        await door.close()
    finally:
        process.stop()
    (after,) = rows(made.paths.ledger, "SELECT max(seq) FROM records")[0]
    if after - before != WARM + sum(len(waits.found) for waits in found.values()):
        raise SystemExit("not every message that was answered is on record: its times say nothing")
    return found, searches[0]


def spread(numbers: list[float]) -> str:
    """The middle one, and the ends."""
    return f"{statistics.median(numbers):.2f} ({min(numbers):.2f}-{max(numbers):.2f})"


def main(rounds: int, disk: Path | None) -> None:
    """Print a table: ms, over the rounds."""
    each: dict[tuple[str, str], list[Waits]] = {}
    disks: list[Waits] = []
    searches: list[int] = []
    with contextlib.ExitStack() as stack:
        places: dict[bool, tuple[Path, Config]] = {}
        for synced in (True, False):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=disk, prefix="mudroom-bench-")))
            if synced:
                made = prepare(folder)
            else:
                shutil.copytree(places[True][0] / "state", folder / "state")
                made = settings(folder, ledger={"messages_per_day": MOST, "bytes_per_day": MOST, "queue_per_device": MOST})
            places[synced] = folder, made
        os.sync()
        for number in range(rounds):
            for synced in (True, False) if number % 2 else (False, True):
                found, count = uvloop.run(one(*places[synced], synced))
                searches.append(count)
                for kind, waits in found.items():
                    each.setdefault((SYNCED if synced else UNSYNCED, kind), []).append(waits)
            disks.append(recording.syncs(places[True][0]))
    print(f"ms, {rounds} rounds: middle one (least-most); {min(searches)} to {max(searches)} searches beside\n")
    print("| messages come | | p50 | p99 |\n|---|---|---:|---:|")
    for kind in KINDS:
        for name in (SYNCED, UNSYNCED):
            cuts = [spread([waits.at(share) for waits in each[name, kind]]) for share in (0.5, 0.99)]
            print(f"| {kind} | {name} | {' | '.join(cuts)} |")
        pairs = list(zip(each[SYNCED, kind], each[UNSYNCED, kind], strict=True))
        more = [spread([ours.at(share) - other.at(share) for ours, other in pairs]) for share in (0.5, 0.99)]
        print(f"| {kind} | difference within a round | {' | '.join(more)} |")
    cuts = [spread([waits.at(share) for waits in disks]) for share in (0.5, 0.99)]
    print(f"| | fdatasync(2) of 4 KiB alone | {' | '.join(cuts)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--search"]:
        search(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
