"""The record's bound: what goes, what never goes, and that the chain can still be checked."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.ipc.messages import AskStatus, Polled, PolledEntry, Submit
from gateway.ledger import attempts
from gateway.ledger.batch import Answer, Batch, Tally
from gateway.ledger.chain import GENESIS
from gateway.ledger.mailbox import Arrived, End, Place, found
from gateway.ledger.migrations import STEPS
from gateway.ledger.reader import Reader
from gateway.ledger.space import Bounds, Space
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from tests.unit.ledger.peers import Process, answer, connect, refusal, rows, settings, submit
from tests.unit.ledger.test_main import run

QUOTAS = Quotas(10**9, 10**12, 10**9, 10**9)
MOST = 4 * 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "ledger" / "ledger.db", QUOTAS, Bounds(MOST, 0))
    made.open()
    yield made
    made.close()


def end(seq: int, message: Submit) -> Answer:
    return Answer(seq, message.id, message.device, message.vendor, message.host, message.type, 200, -1, "", b"{}", b"{}")


def deliver(store: Store, numbers: range, *, answered: bool = True, size: int = 2000) -> list[int | Reason]:
    """Messages in tens, each batch answered at once, steps of room between the commits as the process makes them."""
    results: list[int | Reason] = []
    for first in range(numbers.start, numbers.stop, 10):
        batch = [submit(n, size=size) for n in range(first, min(first + 10, numbers.stop))]
        seqs = store.commit(Batch(submits=batch))
        results += seqs
        ends = [end(seq, message) for seq, message in zip(seqs, batch, strict=True) if not isinstance(seq, Reason)]
        if answered and ends:
            store.commit(Batch(answers=ends))
        if store.short:
            store.make_room()
    return results


def test_the_oldest_finished_records_make_room_and_the_chain_holds(store: Store) -> None:
    assert Reason.RECORD_FULL not in deliver(store, range(5000))
    with Reader(store.path) as reader:
        found = reader.verify()
        assert (found.broken, found.head) == (None, store.head[1])
        assert found.since == found.removed + 1 > 5000  # 10,000 records, of which the newest are there without a gap
        assert found.records == store.head[0] - found.removed
        assert [m.message.id for m in reader.messages(3)] == ["m-00004999", "m-00004998", "m-00004997"]
    pages, size = rows(store.path, "SELECT * FROM pragma_page_count, pragma_page_size")[0]
    assert 0.8 * MOST < pages * size <= MOST
    assert rows(store.path, "SELECT count(*) FROM removed") == [(1,)]


def test_what_waits_stays_and_the_chain_holds_around_it(store: Store) -> None:
    waiting = store.commit(Batch(submits=[submit(n, host="slow.example") for n in range(100_000, 100_003)]))
    deliver(store, range(1000))
    waiting += store.commit(Batch(submits=[submit(200_000, host="slow.example")]))
    deliver(store, range(1000, 5000))
    assert [(seq,) for seq in waiting] == rows(store.path, "SELECT seq FROM records WHERE host = 'slow.example' ORDER BY seq")
    assert rows(store.path, "SELECT count(*) FROM removed") == [(2,)]  # one on each side of the last one that waits
    with Reader(store.path) as reader:
        assert reader.verify().broken is None
    ends = [end(seq, submit(n, host="slow.example")) for n, seq in enumerate(waiting) if isinstance(seq, int)]
    store.commit(Batch(answers=ends))
    deliver(store, range(5000, 9000))
    assert rows(store.path, "SELECT seq FROM records WHERE host = 'slow.example' AND kind = 'message'") == []
    assert rows(store.path, "SELECT count(*) FROM removed") == [(1,)]
    with Reader(store.path) as reader:
        assert reader.verify().broken is None


def test_what_waits_for_its_device_stays_too(store: Store) -> None:
    place = Place("plug", "d-1", "Acme", "in.acme.example")
    entries = tuple(PolledEntry(seq, "setting", -1, "", (), b"{}", 1) for seq in (1, 2))
    store.commit(Batch(mail=[Arrived(place, 0, Polled("p-1", 200, -1, "", 0, b"came", entries), 0)]))
    deliver(store, range(5000))
    waiting = rows(store.path, "SELECT seq FROM inbox ORDER BY seq")
    assert len(waiting) == 2 and rows(store.path, "SELECT seq FROM records WHERE kind = 'inbox' ORDER BY seq") == waiting
    with closing(sqlite3.connect(store.path)) as database, pytest.raises(sqlite3.IntegrityError, match="waits for its device"):
        database.execute("INSERT OR REPLACE INTO removed VALUES (?, ?, ?)", (*waiting[0], *waiting[1], b""))
        database.execute("DELETE FROM records WHERE seq = ?", waiting[0])
    store.commit(Batch(mail=[End(store.look(lambda database: found(database, "1", ())))]))
    deliver(store, range(5000, 9000))
    assert rows(store.path, "SELECT seq FROM records WHERE kind LIKE 'inbox%'") == []
    with Reader(store.path) as reader:
        assert reader.verify().broken is None


def test_when_nothing_can_go_new_messages_are_refused_and_ends_are_still_written(store: Store) -> None:
    results = deliver(store, range(2000), answered=False)
    full = results.index(Reason.RECORD_FULL)
    assert full > 500
    assert all(isinstance(seq, int) for seq in results[:full])
    store.commit(Batch(refusals=[refusal(size=30_000)]))  # counted, not kept
    assert rows(store.path, "SELECT count(*) FROM records WHERE kind = 'refusal'") == [(0,)]
    counted = rows(store.path, "SELECT sum(count) FROM attempts WHERE reason = ?", Reason.RECORD_FULL.code)
    assert counted == [(sum(seq is Reason.RECORD_FULL for seq in results),)]
    assert rows(store.path, "SELECT count(*) FROM outbox") == [(sum(isinstance(seq, int) for seq in results),)]
    store.commit(Batch(answers=[end(seq, submit(n)) for n, seq in enumerate(results[:100]) if isinstance(seq, int)]))
    assert isinstance(store.commit(Batch(submits=[submit(50_000, size=2000)]))[0], int)
    with Reader(store.path) as reader:
        assert reader.verify().broken is None


def test_it_goes_on_after_a_restart(store: Store) -> None:
    deliver(store, range(3000))
    head = store.head
    store.close()
    assert store.hosts() == {}
    assert store.head == head
    deliver(store, range(3000, 4000))
    with Reader(store.path) as reader:
        assert reader.verify().broken is None


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM records WHERE seq = (SELECT max(seq) - 5 FROM records)",
        "DELETE FROM records WHERE seq = (SELECT min(seq) FROM records)",
        "UPDATE removed SET hash = zeroblob(32)",
        'UPDATE removed SET "last" = "last" - 1',
        "DELETE FROM removed",
        "UPDATE records SET outgoing = x'00' WHERE seq = (SELECT min(seq) FROM records)",
    ],
)
def test_tampering_is_still_found(store: Store, change: str) -> None:
    deliver(store, range(3000))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        if "records" in change:
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                database.execute(change)
        database.execute("DROP TRIGGER records_stay")
        database.execute("DROP TRIGGER records_remain")
        database.execute(change)
    with Reader(store.path) as reader:
        assert reader.verify().broken is not None


def test_what_waits_cannot_go_even_by_mistake(store: Store) -> None:
    store.commit(Batch(submits=[submit(1), submit(2)]))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("INSERT INTO removed VALUES (1, 1, x'00')")
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            database.execute("DELETE FROM records WHERE seq = 1")


def test_the_newest_only_is_checked_from_where_it_begins(store: Store) -> None:
    deliver(store, range(100))
    with Reader(store.path) as reader:
        found = reader.verify(newest=50)
        assert (found.records, found.since, found.broken, found.head) == (50, 151, None, store.head[1])
        assert reader.verify(newest=10_000).records == 200
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("DROP TRIGGER records_stay")
        database.execute("UPDATE records SET outgoing = x'00' WHERE seq = 150")
        database.execute("UPDATE records SET outgoing = x'00' WHERE seq = 180")
    with Reader(store.path) as reader:
        assert reader.verify(newest=50).broken == 180


def test_reading_along_while_room_is_made_finds_nothing_broken(store: Store) -> None:
    deliver(store, range(2000))
    done = threading.Event()
    found: list[int | None] = []

    def read() -> None:
        while not done.is_set():
            with Reader(store.path) as reader:
                found.append(reader.verify().broken)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        deliver(store, range(2000, 5000))
    finally:
        done.set()
        thread.join()
    assert found
    assert set(found) == {None}


def test_attempts_go_with_the_records_of_their_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Batch(attempts={("plug", Reason.QUIC.code, "udp", f"192.0.2.{n}", 443, "kernel"): Tally(1, 1, 1) for n in range(100)})
    store.commit(old)
    deliver(store, range(4000))
    assert rows(store.path, "SELECT count(*) FROM attempts WHERE last = 1") == [(0,)]
    monkeypatch.setattr(attempts, "ROWS_PER_DEVICE", 100)
    store.commit(Batch(attempts={("plug", Reason.QUIC.code, "udp", "192.0.2.1", 443, "kernel"): Tally(1, 1, 1)}))
    assert rows(store.path, "SELECT destination FROM attempts WHERE last = 1") == [("192.0.2.1",)]  # its places are free again


def test_a_file_from_before_the_bound_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT")
        for name, statements in STEPS[:3]:
            for statement in statements:
                database.execute(statement)
            database.execute("INSERT INTO migrations VALUES (?, 1)", (name,))
    with Reader(path) as reader:
        assert reader.verify().head == GENESIS
    store = Store(path, QUOTAS, Bounds(MOST, 0))
    deliver(store, range(3000))
    store.close()
    with Reader(path) as reader:
        assert reader.verify().broken is None
        assert reader.verify().removed > 0
        assert reader.oldest() > 0


@pytest.mark.parametrize(
    ("space", "room"),
    [
        (Space(used=10, spare=5, disk=1000), 90),  # bound
        (Space(used=10, spare=5, disk=60), 15),  # the disk less its reserve, and free pages
        (Space(used=10, spare=5, disk=20), 5),  # the reserve is touched: free pages only
        (Space(used=200, spare=5, disk=1000), 0),  # the bound was lowered
    ],
)
def test_room_is_the_smaller_of_bound_and_disk(space: Space, room: int) -> None:
    assert space.room(Bounds(100, 50)) == room


# --- real disks ---


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "ledger-t-disk", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_the_disks_reserve_is_left_alone_and_deliveries_make_room(tmp_path: Path) -> None:
    made = settings(tmp_path, ledger={"disk_reserve": 6 * 1024 * 1024})

    async def work() -> None:
        path = made.paths.socket("ledger")
        door, root = await connect(path, "door"), await connect(path, "root")
        number, outcome = 0, None
        while outcome is None or outcome.kind == "accepted":
            number += 1
            door.send(submit(number, size=5000))
            outcome = await door.get()
            assert number < 2000
        assert (outcome.kind, outcome.status, outcome.reason) == ("refused", 503, Reason.RECORD_FULL.code)
        assert number > 100
        root.send(AskStatus())
        status = await root.get()
        assert not status.ready
        assert "full" in status.facts["fault"]
        courier = await connect(path, "courier")
        task = asyncio.create_task(answer(courier))
        async with asyncio.timeout(20):  # by itself, without a message that wakes it
            while not status.ready:
                root.send(AskStatus())
                status = await root.get()
                await asyncio.sleep(0.05)
        door.send(submit(number + 1, size=5000))
        assert (await door.get()).kind == "accepted"
        task.cancel()
        for peer in (door, root, courier):
            await peer.close()

    with disk(made.paths.ledger.parent, "10m") as folder:
        process = Process(tmp_path)
        try:
            run(work)
            assert process.stop() == 0
        finally:
            process.kill()
        kept = subprocess.run(["du", "-sb", folder], capture_output=True, text=True, check=True).stdout
        assert int(kept.split()[0]) < 5 * 1024 * 1024
        with Reader(made.paths.ledger) as reader:
            assert reader.verify().broken is None


def test_a_disk_whose_writes_fail_refuses_loudly_and_loses_nothing(tmp_path: Path) -> None:
    made = settings(tmp_path, ledger={"disk_reserve": 0})

    async def work(pid: int) -> None:
        path = made.paths.socket("ledger")
        door, root = await connect(path, "door"), await connect(path, "root")
        for number in range(20):
            door.send(submit(number, size=5000))
            assert (await door.get()).kind == "accepted"
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # write(2) fails beyond it
        door.send(submit(100, size=5000))
        refused = await door.get()
        assert (refused.kind, refused.status, refused.reason) == ("refused", 503, Reason.LEDGER_UNAVAILABLE.code)
        root.send(AskStatus())
        status = await root.get()
        assert not status.ready
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        async with asyncio.timeout(10):
            while not status.ready:
                root.send(AskStatus())
                status = await root.get()
        door.send(submit(101, size=5000))
        assert (await door.get()).kind == "accepted"
        for peer in (door, root):
            await peer.close()

    process = Process(tmp_path)
    try:
        run(lambda: work(process.popen.pid))
    finally:
        process.kill()  # nothing of it depends on an orderly end
    with Reader(made.paths.ledger) as reader:
        assert reader.verify().broken is None
        assert {m.message.id for m in reader.messages(100)} == {f"m-{n:08d}" for n in (*range(20), 101)}


def test_on_a_read_only_disk_it_ends_and_says_why(tmp_path: Path) -> None:
    """Then nobody listens on its socket, and the doors refuse. (A disk with a file open for writing cannot be made read-only.)"""
    made = settings(tmp_path, ledger={"disk_reserve": 0})
    with disk(made.paths.ledger.parent, "10m") as folder:
        store = Store(made.paths.ledger, QUOTAS)
        store.commit(Batch(submits=[submit(1)]))
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        process = Process(tmp_path)
        assert process.popen.wait(timeout=20) != 0
        assert "Read-only file system" in (tmp_path / "ledger.log").read_text()
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        with Reader(made.paths.ledger) as reader:
            assert reader.verify().records == 1
