"""The record in the forms that the pages ask for: however long what devices sent and vendors answered is."""

from __future__ import annotations

import dataclasses
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.ledger import noticing
from gateway.ledger.batch import Batch
from gateway.ledger.reader import Reader
from gateway.ledger.store import Quotas, Store
from gateway.reasons import Reason
from gateway.registry import Home, Registry
from gateway.steward.record import Book
from tests.unit.ledger.grown import end, message

LONG = b" " * 65_000  # JSON may have as many spaces as one likes
MANY = 300


@pytest.fixture
def padded(tmp_path: Path) -> Iterator[Path]:
    store = Store(tmp_path / "ledger" / "ledger.db", Quotas(10**9, 10**12, 10**9, 10**9))
    store.open()
    for number in range(MANY):
        sent = message(number, {"n": number}, device=f"d{number % 3}")
        sent = msgspec.structs.replace(sent, original=LONG + sent.original)
        (seq,) = store.commit(Batch(submits=[sent]))
        assert isinstance(seq, int)
        answer = dataclasses.replace(end(seq, sent), original=LONG + b"{}", status=403, reason=Reason.VENDOR_REFUSED.code)
        store.commit(Batch(answers=[answer]))
    store.close()
    yield store.path


def test_padding_takes_no_memory(padded: Path) -> None:
    """Each page asks for these, and root's process has 192 MiB: neither a device nor a vendor may end it by spaces."""
    book = Book(padded)
    tracemalloc.start()
    try:
        assert [row.device for row in book.newest()] == ["d2", "d1", "d0"]
        assert len(book.messages("", 100)) == 100
        assert len(book.messages("d1", 100)) == 100
        with Reader(padded) as reader:
            (notice, *_) = noticing.look(reader, Home(Registry()), now=time.time(), seconds=86_400)
        assert "(100 times)" in notice.words
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        book.close()
    assert most < 12 * 1024 * 1024
