"""What is rare in the record (decisions, fetches, inboxes) is found by its kind, not by a walk past every message."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.ledger import reader
from gateway.ledger.reader import Reader
from gateway.ledger.store import Batch, Note, Store
from gateway.reasons import Reason
from tests.unit.ledger.peers import refusal, rows, submit

RARE = ("deed", "fetch", "handout", "inbox")


@pytest.mark.parametrize("kind", RARE)
def test_no_walk_leads_to_what_is_rare(store: Store, kind: str) -> None:
    plan = " ".join(str(row) for row in rows(store.path, f"EXPLAIN QUERY PLAN {reader._RARE}", kind, None, 20))
    assert "SEARCH records USING INDEX records_rare (kind=?)" in plan
    assert "SCAN" not in plan and "TEMP B-TREE" not in plan


def test_the_newest_decisions_are_found_among_messages_and_refusals(store: Store) -> None:
    for number in range(3):
        note = Note("deed", f"d-{number}", "plug", "owner", "kind", detail=str(number))
        store.commit(Batch(submits=[submit(number)], refusals=[refusal()], notes=[note]))
    with Reader(store.path) as found:
        assert [deed.detail for deed in found.deeds(2)] == ["2", "1"]
        assert len(found.messages()) == 3 and len(found.refusals()) == 3
        assert found.refusals()[0].reason is Reason.NOT_DECLARED


def test_a_reader_finds_them_without_the_index_too(store: Store) -> None:
    """As in a file that no newer ledger has opened yet."""
    store.commit(Batch(notes=[Note("deed", "d-1", "plug", "owner", "kind", detail="quarantined")]))
    store.step(lambda database: database.execute("DROP INDEX records_rare"))
    with Reader(store.path) as found:
        assert [deed.detail for deed in found.deeds()] == ["quarantined"]


def test_the_supervisor_hears_that_a_large_record_is_still_brought_to_a_new_shape(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its start timeout ends the ledger before the index is made, at each start again, and no message leaves any more."""
    for first in range(0, 6000, 1000):
        store.commit(Batch(submits=[submit(first + number, size=1) for number in range(1000)]))
    store.step(lambda database: database.execute("DROP INDEX records_rare"))
    store.step(lambda database: database.execute("DELETE FROM migrations WHERE name = '0013-rare'"))
    store.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        store.open()
        assert supervisor.recv(64).startswith(b"EXTEND_TIMEOUT_USEC=")
        with pytest.raises(BlockingIOError):
            supervisor.recv(64)  # it is said now and then, not at each look
    assert rows(store.path, "SELECT name FROM migrations WHERE name = '0013-rare'") == [("0013-rare",)]
