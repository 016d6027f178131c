"""The file and its chain: what tampering shows, what cannot be changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ledger.batch import Answer, Batch
from gateway.ledger.chain import GENESIS
from gateway.ledger.migrations import MigrationError
from gateway.ledger.reader import LedgerError, Reader
from gateway.ledger.store import Quotas, Store, StoreError
from gateway.reasons import Reason
from tests.unit.ledger.peers import refusal, submit

QUOTAS = Quotas(1000, 10_000_000, 1000, 1000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "ledger" / "ledger.db", QUOTAS)
    made.open()
    yield made
    made.close()


def fill(store: Store) -> None:
    seqs = store.commit(Batch(submits=[submit(n) for n in range(5)], refusals=[refusal()]))
    assert seqs == [1, 2, 3, 4, 5]
    store.commit(Batch(answers=[Answer(1, "m-00000000", "plug", "Acme", "in.acme.example", "reading", 200, -1, "", b"o", b"a")]))


def test_an_empty_ledger_has_a_head_and_holds(store: Store) -> None:
    with Reader(store.path) as reader:
        assert reader.head() == (0, GENESIS)
        assert reader.verify().records == 0


def test_records_come_back_as_they_were(store: Store) -> None:
    fill(store)
    with Reader(store.path) as reader:
        newest, *_, oldest = reader.messages()
        assert (newest.message.id, newest.state, oldest.message.id, oldest.state) == (
            "m-00000004",
            "waiting",
            "m-00000000",
            "delivered",
        )
        assert oldest.answer is not None
        assert (oldest.answer.original, oldest.answer.outgoing) == (b"o", b"a")
        assert newest.message.original == b" " + newest.message.outgoing
        (refused,) = reader.refusals()
        assert (refused.reason, refused.pointers, refused.detail) == (Reason.NOT_DECLARED, ("/a",), "no")
        assert reader.head() == store.head
        assert (reader.verify().records, reader.verify().head) == (7, store.head[1])
        assert [queued.seq for queued in reader.queue()] == [2, 3, 4, 5]
        assert reader.messages(device="lamp") == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE records SET outgoing = x'00' WHERE seq = 3", 3),
        ("UPDATE records SET original = x'20' WHERE seq = 1", 1),
        ("UPDATE records SET at = at + 1 WHERE seq = 2", 2),
        ("UPDATE records SET received = 0 WHERE seq = 2", 2),
        ("UPDATE records SET device = 'lamp' WHERE seq = 7", 7),
        ("UPDATE records SET status = 500 WHERE seq = 7", 7),
        ("UPDATE records SET reason = 1 WHERE seq = 6", 6),
        ("UPDATE records SET pointers = '' WHERE seq = 6", 6),
        ("UPDATE records SET hash = zeroblob(32) WHERE seq = 4", 4),
        ("DELETE FROM records WHERE seq = 4", 4),
        ("DELETE FROM records WHERE seq = 1", 1),
        ("UPDATE records SET seq = 99 WHERE seq = 7", 7),
    ],
)
def test_tampering_is_found_where_it_happened(store: Store, change: str, broken: int) -> None:
    fill(store)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            database.execute(change)
        database.execute("DROP TRIGGER records_stay")
        database.execute("DROP TRIGGER records_remain")
        database.execute(change)
    with Reader(store.path) as reader:
        assert reader.verify().broken == broken


def test_a_commit_that_fails_changes_nothing(store: Store) -> None:
    fill(store)
    head = store.head
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")  # somebody holds the file
        store._db.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(StoreError):
            store.commit(Batch(submits=[submit(50)]))
        database.execute("ROLLBACK")
    assert store.commit(Batch(submits=[submit(51)])) == [8]
    assert head[0] == 7
    with Reader(store.path) as reader:
        assert reader.verify().broken is None


def test_a_number_beyond_sqlites_refuses_its_own_message_only(store: Store) -> None:
    import msgspec

    wrong = msgspec.structs.replace(refusal(), reason=2**63)
    assert store.commit(Batch(submits=[submit(1)], refusals=[wrong])) == [1]


def test_a_file_of_a_newer_version_is_left_alone(store: Store) -> None:
    store.close()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("INSERT INTO migrations VALUES ('9999-future', 1)")
    with pytest.raises(MigrationError, match="9999-future"):
        store.open()


def test_what_is_no_database_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger" / "ledger.db"
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        Store(path, QUOTAS).open()
    with pytest.raises(LedgerError, match="not a database"):
        Reader(path)
    with pytest.raises(LedgerError, match="no such file"):
        Reader(tmp_path / "nowhere.db")
