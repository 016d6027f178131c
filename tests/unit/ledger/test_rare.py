"""What is rare in the record (decisions, fetches, inboxes) is found by its kind, not by a walk past every message."""

from __future__ import annotations

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
