"""Files that must outlive a power cut: whole and on disk, or as before. A reader must never see a part of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet: whole and on disk, or not at all. Raises FileExistsError, OSError."""
    with _beside(path, content, mode) as temporary:
        os.link(temporary, path)  # unlike rename(2), link(2) never replaces
        temporary.unlink()
    sync_folder(path.parent)


def replace_shared(path: Path, content: bytes, group: str) -> None:
    """Write a file that ``group`` may read, in place of what is there: whole and on disk, or as before. Raises OSError."""
    with _beside(path, content, 0o640, group) as temporary:
        temporary.replace(path)
    sync_folder(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, in place of what is there: whole and on disk, or as before. Raises OSError."""
    with _beside(path, content, 0o600) as temporary:
        temporary.replace(path)
    sync_folder(path.parent)


@contextlib.contextmanager
def _beside(path: Path, content: bytes, mode: int, group: str = "") -> Iterator[Path]:
    """A file with this content, on disk, in the same folder; removed where the block fails to make it ``path``."""
    import grp

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if group:
                try:
                    os.fchown(file.fileno(), -1, grp.getgrnam(group).gr_gid)
                except (KeyError, PermissionError) as error:
                    # others than root may try, and our users may be missing; from root in a fence it would shut every reader out
                    if os.geteuid() == 0 and isinstance(error, PermissionError):
                        raise
            os.fsync(file.fileno())
        yield Path(temporary)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Have what was added to, removed from and renamed in a folder on disk. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
