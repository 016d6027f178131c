"""Where `mudroom ledger export` writes to. What it writes is made in gateway/ledger/exporting.py.

This module must never write into a file that was there before, nor leave half an export.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import typer


@contextmanager
def target(path: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a new file for its owner alone."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise typer.BadParameter(f"{path} is there already; name another file, or remove it") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)  # half an export is none
        raise
