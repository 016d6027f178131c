"""Erasing: what stays, what is gone from the disk, that the chain still holds, and that nothing else can be changed."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ipc.messages import AskErase, Erased, Polled, PolledEntry
from gateway.ledger import mailbox
from gateway.ledger.batch import Batch, Tally
from gateway.ledger.chain import DAY, FIELDS, GENESIS, commitment, link, link_commitment
from gateway.ledger.migrations import STEPS
from gateway.ledger.reader import Reader
from gateway.ledger.searching import Wanted
from gateway.ledger.store import Quotas, Store
from gateway.ledger.tending import Tender
from gateway.reasons import Reason
from tests.unit.ledger.grown import bytes_on_disk, end, message, said, tend, wish
from tests.unit.ledger.peers import answer, connect, refusal, rows, running, settings, submit
from tests.unit.ledger.test_main import run

QUOTAS = Quotas(10**6, 10**12, 10**6, 10**6)
SECRET = "kettle-in-the-attic"


def erased(store: Store) -> list[int]:
    return [
        seq for (seq,) in rows(store.path, "SELECT seq FROM records WHERE salt IS NULL AND commitment IS NOT NULL ORDER BY seq")
    ]


def test_a_commitment_hides_what_it_commits_to_and_changes_with_it() -> None:
    fields = (1, "message", "id", "plug", "Acme", "h", "t", 5, 6, b"o", b"x", 0, -1, "", "")
    salt = bytes(range(32))
    told = commitment(salt, fields, 7)
    assert told != commitment(bytes(32), fields, 7)
    assert told != commitment(salt, fields, 8)
    for place in range(2, len(fields)):
        value = fields[place]
        other = value + 1 if isinstance(value, int) else value + value[:1] + (b"." if isinstance(value, bytes) else ".")
        assert told != commitment(salt, (*fields[:place], other, *fields[place + 1 :]), 7), FIELDS[place]
    digest = link_commitment(GENESIS, 1, "message", 6, told)
    assert digest == link_commitment(GENESIS, 1, "message", DAY - 1, told)  # the day alone stays
    others = [(bytes([1] * 32), 1, "message", 6, told), (GENESIS, 2, "message", 6, told), (GENESIS, 1, "answer", 6, told)]
    others += [(GENESIS, 1, "message", DAY, told), (GENESIS, 1, "message", 6, salt)]
    assert all(digest != link_commitment(*other) for other in others)


def test_what_a_device_said_is_gone_from_the_disk_and_the_chain_holds(store: Store, tender: Tender) -> None:
    secret = {"note": SECRET, "long": "attic " * 2000}  # beyond one page, too
    said(
        store,
        *(message(n, secret, device="plug") for n in range(40)),
        *(message(n, {"note": "stays"}, device="lamp") for n in range(50, 60)),
    )
    store.commit(Batch(refusals=[refusal("plug"), refusal("lamp")]))
    tend(tender)
    assert SECRET.encode() in bytes_on_disk(store.path)
    head = store.head
    store.commit(Batch(notes=[wish("plug")]))
    tender.wish()
    (done,) = tend(tender)
    assert (done.erased, done.removed, done.waiting) == (81, 0, 0)
    left = bytes_on_disk(store.path)
    assert SECRET.encode() not in left
    assert b"attic attic" not in left
    assert b"m-00000007" not in left
    assert b"stays" in left
    with Reader(store.path) as reader:
        found = reader.verify(anchors=dict([head]))
        assert (found.broken, found.erased, found.records, found.anchored) == (None, 81, head[0] + 1, head[0])
        assert {record.device for record in reader.search(Wanted(), 100)} == {"lamp"}
        assert reader.search(Wanted(device="plug"), 100) == []
        assert reader.search(Wanted(text=SECRET), 100) == []
        assert [record.device for record in reader.refusals()] == ["lamp"]
        (noted,) = [record for record in reader.records(head[0]) if record.kind == "erasure"]
        assert noted.device == "plug"
    shown = "id, device, vendor, host, type, received, at % ?, length(original), bits"
    kept = rows(store.path, f"SELECT DISTINCT {shown} FROM records WHERE salt IS NULL", DAY)
    assert kept == [("", "", "", "", "", 0, 0, 0, 0)]


def test_only_what_is_older_goes_with_what_it_was_answered(store: Store, tender: Tender) -> None:
    clock = [DAY * 20_000]
    store._clock = lambda: clock[0]
    old = said(store, message(1, {"n": 1}), answer=False)
    clock[0] += DAY
    store.commit(Batch(answers=[]))
    said(store, message(2, {"n": 2}))
    store.commit(Batch(answers=[end(old[0], message(1, {"n": 1}))]))
    store.commit(Batch(notes=[wish("plug", before=DAY * 20_001)]))
    tender.wish()
    tend(tender)
    assert erased(store) == [1, 4]


def test_what_waits_is_sent_and_erased_after_it_has_ended(store: Store, tender: Tender, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = message(1, {"note": SECRET}), message(2, {"note": SECRET})
    said(store, first, second, answer=False)
    store.commit(Batch(notes=[wish("plug")]))
    tender.wish()
    (done,) = tend(tender)
    assert (done.erased, done.waiting) == (0, 2)
    assert [waiting.seq for waiting in store.waiting(first.host, [], 10)] == [1, 2]
    assert store.waiting(first.host, [], 10)[0].body == first.outgoing
    store.commit(Batch(answers=[end(1, first)]))
    monkeypatch.setattr("gateway.ledger.tending.LATER_SECONDS", 0.0)
    tender._later_due = 0.0
    tender.step(idle=True)
    assert erased(store) == [1, 4]
    store.close()  # a restart forgets nothing
    store.commit(Batch(answers=[end(2, second)]))
    again = Tender(store, 0, store.path.parent / "no-clock")
    for _ in range(20):
        again.step(idle=True)
    assert erased(store) == [1, 2, 4, 5]
    assert rows(store.path, "SELECT (SELECT count(*) FROM erasures) + (SELECT count(*) FROM erased_later)") == [(0,)]
    with Reader(store.path) as reader:
        assert reader.verify().broken is None


def test_it_goes_on_where_a_kill_stopped_it(store: Store, tender: Tender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.erasing.AT_ONCE", 3)
    said(store, *(message(n, {"note": SECRET}) for n in range(20)))
    store.commit(Batch(notes=[wish("plug")]))
    tender.wish()
    tender.step(idle=True)
    assert 0 < len(erased(store)) < 40
    store.close()
    (done,) = tend(Tender(store, 0, store.path.parent / "no-clock"))
    assert done.erased == 40
    assert SECRET.encode() not in bytes_on_disk(store.path)


def test_counts_of_the_device_go_but_nobody_gets_a_days_budget_twice(store: Store, tender: Tender) -> None:
    key = ("plug", Reason.QUIC.code, "udp", "192.0.2.1", 443, "kernel")
    store.commit(
        Batch(submits=[submit(1, bits=1000, budget=1500)], attempts={key: Tally(1, 1, 1)}, counters={("plug", 26): (1, 60)})
    )
    store.commit(Batch(notes=[wish("plug")]))
    tender.wish()
    tend(tender)
    assert rows(store.path, "SELECT count(*) FROM attempts") == rows(store.path, "SELECT count(*) FROM counters") == [(0,)]
    store.close()
    assert store.commit(Batch(submits=[submit(2, bits=1000, budget=1500)])) == [Reason.LEAK_BUDGET]


@pytest.mark.parametrize(
    "change",
    [
        "outgoing = x'00'",
        "{blank}, device = 'plug', salt = NULL",  # half of it
        "{blank}",  # but the salt
        "{blank}, salt = NULL, at = at + 1",
        "{blank}, salt = NULL, kind = 'answer'",
        "{blank}, salt = NULL, commitment = zeroblob(32)",
        "{blank}, salt = NULL, hash = zeroblob(32)",
    ],
)
def test_no_other_change_passes_while_an_erasure_is_under_way(store: Store, change: str) -> None:
    said(store, message(1, {"n": 1}), message(2, {"n": 2}, device="lamp"))
    said(store, message(3, {"n": 3}), answer=False)
    blank = (
        f"id = '', device = '', vendor = '', host = '', type = '', received = 0, at = at - at % {DAY}, original = x'',"
        " outgoing = x'', status = 0, reason = -1, detail = '', pointers = '', bits = 0"
    )
    store.commit(Batch(notes=[wish("plug")]))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            database.execute(f"UPDATE records SET {change.format(blank=blank)} WHERE seq = 1")
        for seq in (2, 5):  # another device's; one that waits
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                database.execute(f"UPDATE records SET {blank}, salt = NULL WHERE seq = ?", (seq,))
        database.execute(f"UPDATE records SET {blank}, salt = NULL WHERE seq = 1")
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            database.execute("UPDATE records SET outgoing = x'01' WHERE seq = 1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE records SET outgoing = x'00' WHERE seq = 1", "shows something"),
        ("UPDATE records SET bits = 5 WHERE seq = 1", "shows something"),
        ("UPDATE records SET salt = zeroblob(32) WHERE seq = 1", "not what was recorded"),
        ("UPDATE records SET commitment = zeroblob(32) WHERE seq = 1", "not what was recorded"),
        ("UPDATE records SET at = at + 86400000000000 WHERE seq = 1", "not what was recorded"),
        ("UPDATE records SET kind = 'answer' WHERE seq = 1", "not what was recorded"),
        ("UPDATE records SET salt = NULL, commitment = NULL WHERE seq = 4", "no commitment"),
        ("UPDATE records SET bits = bits + 1 WHERE seq = 4", "not what was recorded"),
        ("UPDATE records SET salt = zeroblob(32) WHERE seq = 4", "not what was recorded"),
    ],
)
def test_tampering_with_erased_records_shows(store: Store, tender: Tender, change: str, why: str) -> None:
    said(store, message(1, {"n": 1}), message(2, {"n": 2}, device="lamp"))
    store.commit(Batch(notes=[wish("plug")]))
    tender.wish()
    tend(tender)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("DROP TRIGGER records_stay")
        database.execute(change)
    with Reader(store.path) as reader:
        found = reader.verify()
        assert found.broken == int(change[-1])
        assert why in found.why


def old_file(path: Path, number: int) -> bytes:
    """A file of the chain's first version with messages that were answered; its head."""
    path.parent.mkdir(parents=True)
    head = GENESIS
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT")
        for name, statements in STEPS:
            if name < "0010":
                for statement in statements:
                    database.execute(statement)
                database.execute("INSERT INTO migrations VALUES (?, 1)", (name,))
        for seq in range(1, number + 1):
            device, body = ("plug", "lamp")[seq % 2], SECRET.encode()
            fields = (seq, "message", f"old-{seq}", device, "Acme", "h", "t", seq, seq, body, body, 0, -1, "", "")
            digest = link(head, fields)
            database.execute(f"INSERT INTO records VALUES ({','.join('?' * 17)})", (*fields, head, digest))
            head = digest
    return head


def test_records_of_the_first_version_keep_their_bytes_and_their_rule(tmp_path: Path) -> None:
    path = tmp_path / "ledger" / "ledger.db"
    head = old_file(path, 10)
    before = rows(path, f"SELECT {', '.join(FIELDS)}, previous, hash FROM records")
    with Reader(path) as reader:
        assert (reader.verify().broken, reader.verify().head) == (None, head)
    store = Store(path, QUOTAS)
    store.open()
    assert store.head == (10, head)
    said(store, message(1, {"n": 1}))
    assert rows(path, f"SELECT {', '.join(FIELDS)}, previous, hash FROM records WHERE seq <= 10") == before
    with Reader(path) as reader:
        assert (reader.verify().broken, reader.verify().records) == (None, 12)
    tender = Tender(store, 0, tmp_path / "no-clock")
    store.commit(Batch(notes=[wish("plug")]))
    (done,) = tend(tender)
    assert (done.removed, done.erased) == (5, 2)
    with Reader(path) as reader:
        assert (reader.verify().broken, reader.verify().removed, reader.verify().erased) == (None, 5, 2)
        assert {record.device for record in reader.records()} == {"lamp", "", "plug"}  # of the plug, the erasure itself
    store.commit(Batch(notes=[wish("lamp", id="second")]))
    tender.wish()
    tend(tender)
    assert SECRET.encode() not in bytes_on_disk(path)
    store.close()
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError, match="never"):
        database.execute("UPDATE records SET salt = x'00'")


def test_the_owner_erases_while_messages_go_on(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            courier, door, root = await connect(socket, "courier"), await connect(socket, "door"), await connect(socket, "root")
            answering = asyncio.create_task(answer(courier))
            for number in range(200):
                door.send(submit(number, wait_ms=5000, device=("plug", "lamp")[number % 2]))
            for _ in range(200):
                assert (await door.get()).kind == "answered"
            root.send(AskErase(5, "plug", 0))
            for number in range(200, 260):
                door.send(submit(number, wait_ms=5000, device="plug"))
            for _ in range(60):
                assert (await door.get()).kind == "answered"
            said_ = await root.get()
            assert isinstance(said_, Erased)
            assert (said_.ref, said_.error) == (5, "")
            assert 200 <= said_.erased <= 320
            answering.cancel()
            for peer in (courier, door, root):
                await peer.close()
        with Reader(made.paths.ledger) as read:
            assert read.verify().broken is None
            assert said_.erased <= read.verify().erased <= 320  # what waited goes as it ends
            assert len(read.search(Wanted(device="lamp"), 1000)) == 100

    run(work)


def test_nobody_but_root_erases(tmp_path: Path) -> None:
    made = settings(tmp_path)

    async def work() -> None:
        async with running(made) as socket:
            for role in ("door", "courier", "names"):
                peer = await connect(socket, role)
                peer.send(AskErase(1, "plug", 0))
                await asyncio.wait_for(peer.ended.wait(), 5)
        assert rows(made.paths.ledger, "SELECT count(*) FROM records") == [(0,)]

    run(work)


def test_remains_in_the_log_are_told_while_somebody_reads_in_it(store: Store, tender: Tender) -> None:
    said(store, message(1, {"note": SECRET}))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM records").fetchone()
        assert not store.scrub()
        store.commit(Batch(notes=[wish("plug")]))
        tender.wish()
        done = tender.step(idle=True)
        assert (done.erasure is not None, done.scrubbed) == (True, False)
    assert store.scrub()
    assert SECRET.encode() not in bytes_on_disk(store.path)


def test_what_waits_for_its_device_stays_in_the_inbox_and_is_erased_after_it(store: Store, tender: Tender) -> None:
    place, day = mailbox.Place("plug", "d-1", "Acme", "in.acme.example"), store.day
    entry = PolledEntry(1, "set", -1, "", (), SECRET.encode(), 5)
    came = mailbox.Arrived(place, day, Polled("p-1", 200, -1, "", 0, b"[]", (entry,)), 0)
    store.commit(Batch(mail=[mailbox.Plan(place, 5, 60 * 10**9, 0), came]))
    store.commit(Batch(notes=[wish("plug")]))
    tender.wish()
    (done,) = tend(tender)
    assert (done.erased, done.waiting) == (2, 1)  # the schedule and the answer as it came
    waits = store.look(lambda database: mailbox.found(database, "device = ?", ("plug",)))
    assert store.look(lambda database: mailbox.next_bodies(database, "d-1", "in.acme.example")) == ((1, SECRET.encode()),)
    assert rows(store.path, "SELECT count(*) FROM polls") == [(0,)]
    store.commit(Batch(mail=[mailbox.End(waits)]))
    tender._later_due = 0.0
    tend(tender)
    assert rows(store.path, "SELECT count(*) FROM records WHERE device = 'plug' AND kind <> 'erasure'") == [(0,)]
    assert store.scrub()
    assert SECRET.encode() not in bytes_on_disk(store.path)
    with Reader(store.path) as reader:
        assert reader.verify().broken is None
