"""A folder that service users may pass through, which pytest's own (0700) is not; a record in it, and who tends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ledger.space import Bounds
from gateway.ledger.store import Quotas, Store
from gateway.ledger.tending import Tender
from tests.unit.folders import passable


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with passable("ledger-t-") as folder:
        yield folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open; its bound is 4 MiB."""
    made = Store(tmp_path / "ledger" / "ledger.db", Quotas(10**9, 10**12, 10**9, 10**9), Bounds(4 * 1024 * 1024, 0))
    made.open()
    yield made
    made.close()


@pytest.fixture
def tender(store: Store, tmp_path: Path) -> Tender:
    """By a clock that nobody measured."""
    return Tender(store, 0, tmp_path / "no-clock")
