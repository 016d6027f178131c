"""Heads kept elsewhere: a record that was cut short or written anew shows, and the anchors cannot be led back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ledger import anchors
from gateway.ledger.anchors import Anchor, AnchorError
from gateway.ledger.batch import Batch
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from tests.unit.ledger.grown import message, said
from tests.unit.ledger.peers import rows, submit
from tests.unit.ledger.test_space import deliver

QUOTAS = Quotas(10**9, 10**12, 10**9, 10**9)


def cut(store: Store, after: int) -> None:
    """As whoever may write the file does it."""
    store.close()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("DROP TRIGGER records_remain")
        database.execute("DELETE FROM records WHERE seq > ?", (after,))
        database.execute("DELETE FROM outbox WHERE seq > ?", (after,))


def test_a_cut_tail_shows_by_the_anchor_alone(store: Store) -> None:
    said(store, *(message(n, {"n": n}) for n in range(10)))
    head = store.head
    said(store, message(50, {"n": 50}))
    cut(store, 15)
    with Reader(store.path) as reader:
        assert reader.verify().broken is None  # nothing in the file can tell
        found = reader.verify(anchors=dict([head]))
        assert (found.broken, found.records) == (16, 15)
        assert "cut off" in found.why
        assert reader.verify(newest=5, anchors=dict([head])).broken == 16


def test_a_record_written_anew_shows_where_it_was_anchored(store: Store) -> None:
    said(store, *(message(n, {"n": n}) for n in range(10)))
    head = store.head
    cut(store, 15)
    store.open()
    said(store, *(message(n, {"n": "other"}) for n in range(60, 70)))
    with Reader(store.path) as reader:
        assert reader.verify().broken is None
        found = reader.verify(anchors=dict([head]))
        assert found.broken == head[0]
        assert "anew" in found.why


def test_what_stands_is_anchored_also_where_the_oldest_made_room(store: Store) -> None:
    deliver(store, range(500))
    old = store.head
    deliver(store, range(500, 5000))
    newer = store.head
    deliver(store, range(5000, 5010))
    with Reader(store.path) as reader:
        found = reader.verify(anchors=dict([old, newer]))
        assert (found.broken, found.anchored, found.unproved) == (None, newer[0], old[0])
        found = reader.verify(anchors=dict([old]))
        assert (found.broken, found.anchored, found.unproved) == (None, 0, old[0])
        (last, digest) = rows(store.path, 'SELECT "last", hash FROM removed')[0]
        assert reader.verify(anchors={last: digest}).anchored == last
        assert reader.verify(anchors={last: bytes(32)}).broken == last


def test_anchors_go_forwards_only_and_are_roots_alone(tmp_path: Path) -> None:
    path = tmp_path / "anchor" / "heads"
    assert anchors.load(path) == []
    assert anchors.take(path, (0, bytes(32)), 1) is False
    assert anchors.take(path, (5, b"\x05" * 32), 2) is True
    assert anchors.take(path, (5, b"\x05" * 32), 3) is False
    assert anchors.take(path, (9, b"\x09" * 32), 4) is True
    assert anchors.load(path) == [Anchor(5, b"\x05" * 32, 2), Anchor(9, b"\x09" * 32, 4)]
    for behind in ((8, b"\x08" * 32), (9, b"\x08" * 32), (0, bytes(32))):
        with pytest.raises(AnchorError, match="cut off"):
            anchors.take(path, behind, 5)
    assert len(anchors.load(path)) == 2
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [found.name for found in path.parent.iterdir()] == ["heads"]


def test_the_newest_anchors_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "anchor" / "heads"
    for seq in range(1, anchors.KEPT + 51):
        anchors.take(path, (seq, bytes(32)), seq)
    found = anchors.load(path)
    assert (len(found), found[0].seq, found[-1].seq) == (anchors.KEPT, 51, anchors.KEPT + 50)


@pytest.mark.parametrize("line", ["5", "five 00 1", "5 0g 1", "5 00 1 1", "\xff"])
def test_anchors_that_cannot_be_read_are_no_anchors(tmp_path: Path, line: str) -> None:
    path = tmp_path / "heads"
    path.write_text(line + "\n", "latin-1")
    with pytest.raises(AnchorError):
        anchors.load(path)
    with pytest.raises(AnchorError):
        anchors.take(path, (9, bytes(32)), 1)


def test_a_head_that_is_told_is_one_that_is_on_disk(store: Store) -> None:
    for number in range(50):
        store.commit(Batch(submits=[submit(number)]))
        assert rows(store.path, "SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1") == [store.head]
