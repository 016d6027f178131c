"""A damaged file: nothing more goes into it, what is wrong is said with its place, and the index alone costs nothing."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from gateway.ipc.messages import AskStatus
from gateway.ledger import index
from gateway.ledger.batch import Batch
from gateway.ledger.reader import LedgerError, Reader
from gateway.ledger.searching import Wanted
from gateway.ledger.store import Quotas, Store, StoreError
from gateway.ledger.tending import Tender
from gateway.reasons import Reason
from tests.unit.ledger.grown import message, said, tend
from tests.unit.ledger.peers import connect, rows, running, settings, submit
from tests.unit.ledger.test_main import run

QUOTAS = Quotas(10**9, 10**12, 10**9, 10**9)
PAGE = 4096


def spoil(path: Path, seq: int) -> None:
    """The disk gives back rubbish for the page that holds record ``seq``."""
    (id,) = rows(path, "SELECT id FROM records WHERE seq = ?", seq)[0]
    content = bytearray(path.read_bytes())
    pages = {found.start() // PAGE for found in re.finditer(re.escape(id.encode()), content)}
    leaves = [page for page in pages if content[page * PAGE] == 0x0D]  # of a table, not of the index by id
    assert leaves
    for page in leaves:
        content[page * PAGE : (page + 1) * PAGE] = b"\xa5" * PAGE
    path.write_bytes(content)


def filled(store: Store, number: int = 200) -> None:
    said(store, *(message(n, {"note": "x" * 300}) for n in range(number)))
    assert store.scrub()
    store.close()


def test_verify_says_from_where(store: Store) -> None:
    filled(store)
    spoil(store.path, 100)
    with Reader(store.path) as reader:
        found = reader.verify()
        assert found.broken is not None
        assert 85 <= found.broken <= 100  # the first one of that page
        assert found.records == found.broken - 1
        assert "cannot be read" in found.why
        assert "malformed" in found.why
        with pytest.raises(LedgerError, match="damaged"):
            reader.records(after=90)


def test_what_was_met_once_is_met_for_good(store: Store) -> None:
    filled(store)
    spoil(store.path, 100)
    with pytest.raises(StoreError, match="damaged"):
        store.step(lambda database: database.execute("SELECT sum(length(outgoing)) FROM records").fetchone())
    for _ in range(2):
        with pytest.raises(StoreError, match="takes nothing more"):
            store.commit(Batch(submits=[submit(500)]))
    assert rows(store.path, "SELECT max(seq) FROM records") == [(400,)]


def test_the_process_refuses_and_says_so(tmp_path: Path) -> None:
    made = settings(tmp_path)
    store = Store(made.paths.ledger, QUOTAS)
    store.open()
    filled(store)
    spoil(made.paths.ledger, 20)  # the index meets it

    async def work() -> None:
        async with running(made) as socket:
            door, root = await connect(socket, "door"), await connect(socket, "root")

            async def faulty() -> str:
                root.send(AskStatus())
                return str((await root.get()).facts.get("fault", ""))

            async with asyncio.timeout(10):
                while "damaged" not in await faulty():  # noqa: ASYNC110  # a status has no event
                    await asyncio.sleep(0.02)
            door.send(submit(500))
            refused = await door.get()
            assert (refused.kind, refused.status, refused.reason) == ("refused", 503, Reason.LEDGER_UNAVAILABLE.code)
            assert "damaged" in await faulty()
            for peer in (door, root):
                await peer.close()

    run(work)


def test_a_damaged_index_is_made_anew_and_stops_nothing(store: Store, tender: Tender) -> None:
    said(store, *(message(n, {"note": "kettle"}) for n in range(50)))
    tend(tender)
    store.step(lambda database: database.execute("UPDATE search_data SET block = zeroblob(20) WHERE id > 100"))
    with pytest.raises(StoreError, match="malformed"):
        store.step(lambda database: database.execute("INSERT INTO search (search) VALUES ('integrity-check')"))
    assert store.index_damaged
    assert not store.damaged
    said(store, message(60, {"note": "toaster"}))
    tend(tender)
    assert store.look(index.upto) == store.head[0]
    with Reader(store.path) as reader:
        assert len(reader.search(Wanted(text="kettle"))) == 50
        assert reader.verify().broken is None


def test_a_torn_end_of_the_log_loses_nothing_that_was_acknowledged(store: Store) -> None:
    said(store, *(message(n, {"note": "x"}) for n in range(20)))
    head = store.head
    wal = store.path.with_name("ledger.db-wal")
    whole = wal.read_bytes()
    copy = store.path.parent / "copy" / "ledger.db"
    copy.parent.mkdir()
    copy.write_bytes(store.path.read_bytes())
    copy.with_name("ledger.db-wal").write_bytes(whole + whole[-5000:-7])  # what a power cut leaves of the next commit
    again = Store(copy, QUOTAS)
    again.open()
    assert again.head == head
    again.close()
