"""A folder that service users may pass through: pytest's own, and the one above that all its runs share, are root's alone."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def passable(prefix: str) -> Iterator[Path]:
    """Made in /tmp, removed at the end."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)
