"""Heads of the record that root keeps where the ledger's own process cannot write, so that a cut-off end shows.

One text line for each: seq, hash in hex, seconds since the epoch; oldest first. Only `mudroom ledger anchor` (root, every quarter
of an hour) writes it. This module must never replace an anchor by one that is not ahead of it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gateway.lasting import sync_folder

KEPT = 200  # two days' worth


class AnchorError(OSError):
    """The record is behind what was anchored, or the anchors cannot be read. Says what to do."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head: ``at`` is in seconds since the epoch."""

    seq: int
    hash: bytes
    at: int


def load(path: Path) -> list[Anchor]:
    """Those that are kept, oldest first; none where there is no file. Raises AnchorError."""
    try:
        lines = path.read_text("ascii").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise AnchorError(f"{path}: the anchors cannot be read: {error}") from error
    found: list[Anchor] = []
    for line in lines:
        try:
            seq, digest, at = line.split()
            found.append(Anchor(int(seq), bytes.fromhex(digest), int(at)))
        except ValueError as error:
            raise AnchorError(f"{path}: no anchor: {line[:80]!r}; look at the disk, then remove that line") from error
    return found


def take(path: Path, head: tuple[int, bytes], at: int) -> bool:
    """Keep ``head`` where it is ahead of what is kept; returns whether it was. Raises AnchorError where it is behind."""
    kept = load(path)
    seq, digest = head
    if kept and (seq < kept[-1].seq or (seq == kept[-1].seq and digest != kept[-1].hash)):
        raise AnchorError(
            f"the record's last one is {seq} now, and was {kept[-1].seq} when it was anchored: its end was cut off or written"
            f" anew. `mudroom ledger verify` says from where. Save {path.parent} and the ledger's folder. Where you put back"
            f" an older copy of the record yourself, remove {path}"
        )
    if not seq or (kept and seq == kept[-1].seq):
        return False
    kept = [*kept[1 - KEPT :], Anchor(seq, digest, at)]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.writelines(f"{anchor.seq} {anchor.hash.hex()} {anchor.at}\n" for anchor in kept)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return True
