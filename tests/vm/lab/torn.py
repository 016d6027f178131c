"""What a power cut left on the disk: the file system and the ledger, looked at with the machine off."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.ledger.reader import Reader, Verification
from tests.vm.lab import disk

LEDGER = "/var/lib/mudroom/ledger"


@dataclass(frozen=True)
class Torn:
    """``repaired``: what e2fsck said; ``chain``: the walk over the ledger; ``numbers``: of device 1's messages in it."""

    repaired: str
    chain: Verification
    numbers: frozenset[int]


def look(own: Path, work: Path) -> Torn:
    """Extract the root file system, replay its journal, check it, take the ledger out and walk its chain."""
    work.mkdir(parents=True, exist_ok=True)
    root = disk.extract_root(own, work)
    try:
        repaired = disk.repair(root)
        disk.consistent(root)
        folder = work / "ledger"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("ledger.db", "ledger.db-wal"):
            disk.take(root, f"{LEDGER}/{name}", folder / name)
    finally:
        root.unlink()
    with Reader(folder / "ledger.db") as reader:
        chain = reader.verify()
        records = [record for record in reader.records(limit=1_000_000) if record.kind == "message"]
    numbers = {json.loads(record.outgoing)["payload"]["uptime"] for record in records if record.device == "device-1"}
    return Torn(repaired, chain, frozenset(numbers))
