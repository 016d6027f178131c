"""A folder that service users may pass through, which pytest's own (0700) is not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="web-t-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)
