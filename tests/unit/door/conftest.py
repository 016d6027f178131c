"""A running door for each module of tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.door.lab import Lab
from tests.unit.folders import passable


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with passable("door-t-") as folder:
        lab = Lab(folder)
        yield lab
        lab.close()
        gc.unfreeze()


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """The module's door, with nothing told from earlier tests."""
    yield shared
    for told in (shared.ledger.submits, shared.ledger.refused, shared.ledger.attempts):
        while not told.empty():
            told.get_nowait()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Lab]:
    """A door of the test's own."""
    lab = Lab(tmp_path)
    yield lab
    lab.close()
    gc.unfreeze()
