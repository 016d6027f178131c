"""A folder that service users may pass through, which pytest's own (0700) is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.folders import passable


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with passable("web-t-") as folder:
        yield folder
