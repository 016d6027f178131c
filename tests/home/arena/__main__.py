"""`make arena`: a device and its vendor try every carrier in the virtual home; prints what got across beside the charge."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.home.arena import aside
from tests.home.arena.carrier import Group
from tests.home.arena.forms import FORMS, REFUSED
from tests.home.arena.run import Arena, Result, adversary
from tests.home.arena.texts import TEXTS
from tests.home.arena.times import TIMES, paced
from tests.home.arena.values import VALUES
from tests.home.client import Here
from tests.home.lab.__main__ import down, up
from tests.home.staging import stage


def main() -> int:
    """0: sound."""
    if up() != 0:
        return 1
    try:
        here = Here()
        stage(here)
        with tempfile.TemporaryDirectory() as folder, adversary(here, Path(folder)):
            return tell(here)
    finally:
        down(quiet=True)


def tell(here: Here) -> int:
    """The table."""
    arena = Arena(here)
    print("| carrier | messages sent | arrived | bits decoded each | bits charged each: values | times and types | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    sound = True
    for carrier in (*VALUES, *TEXTS, *FORMS, *REFUSED):
        sound &= _row(arena.run(carrier))
    for name in aside.WAYS:
        sound &= _row(aside.run(arena, name))
    for on in (False, True):
        paced(on)
        for carry in TIMES:
            _row(carry(arena), "paced" if on else "not paced")
    arena.mouth.close()
    print("\nsound: nothing carried more than it was charged" if sound else "\nNOT SOUND: see the rows that say so")
    return 0 if sound else 1


def _row(result: Result, note: str = "") -> bool:
    each = max(result.arrived, 1) if result.group is not Group.TIME else result.sent
    verdict = note or (str(result.group) if result.sound else "NOT SOUND")
    print(
        f"| {result.name} | {result.sent} | {result.arrived} | {result.decoded / each:.2f} | {result.values / each:.1f}"
        f" | {result.presence / each:.1f} | {verdict} |",
        flush=True,
    )
    return result.sound


if __name__ == "__main__":
    sys.exit(main())
