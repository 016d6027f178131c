"""What the owner's rules cost each message in the door: `python3 -m tests.bench.rules` (no root, a few seconds).

The door's own part (``gateway.door.ruling``) with a real folder: looking whether it changed, the plan, the record of it.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from timeit import repeat

from rich.console import Console
from rich.table import Table

from gateway.door.ruling import Ruling
from gateway.policy.plan import Subject, compiled
from gateway.policy.rule import parse
from gateway.registry import Device, Kind
from gateway.rules import RulesFolder
from gateway.standard.envelope import Message
from gateway.standard.manifest import parse_manifest

SAMPLES = Path(__file__).parents[1] / "samples"
MANIFEST = parse_manifest((SAMPLES / "acme.mud.json").read_bytes())
READING = MANIFEST.messages["power-reading"]
PAYLOAD = READING.schema.rebuild(json.loads((SAMPLES / "acme.message.json").read_text())["payload"])
PLUG = Device("plug", "Plug", Kind.STANDARD, "02:00:00:00:00:01", manifest="m")
NUMBER, ROUNDS = 2_000, 5


def rules(number: int, text: str) -> str:
    """So many rules of this kind; ``@``: the number of each."""
    return "# rules\n" + "".join(f'[[rule]]\nname = "r{n}"\n{text.replace("@", str(n))}\n' for n in range(number))


EACH = "".join(
    f'[[rule]]\nname = "f{number}"\nfield = "/payload/{name}"\ndo = "withhold"\n'
    for number, (name, _) in enumerate(READING.schema.properties)
)
MIXED = 'field = "/payload/label"\nvalue_of = "/payload/power"\nvalue = @\nbetween = ["00:00", "23:59"]\ndo = "withhold"'
CASES = (
    ("no folder", None),
    ("no rule", rules(0, "")),
    ("1 withholds the text", rules(1, 'field = "/payload/label"\ndo = "withhold"')),
    ("1 makes a number coarser", rules(1, 'field = "/payload/power"\ndo = "coarsen"\nstep = 100')),
    ("9, one for each field", EACH),
    ("10 for other devices", rules(10, 'device = "d@"\ndo = "deny"')),
    ("100 for other devices", rules(100, 'device = "d@"\ndo = "deny"')),
    ("10 that look at a value", rules(10, 'value_of = "/payload/power"\nvalue = @\ndo = "deny"')),
    ("100 that look at a value", rules(100, 'value_of = "/payload/power"\nvalue = @\ndo = "deny"')),
    ("100 with hours and value for one field", rules(100, MIXED)),
)


def each(text: str | None) -> tuple[float, float]:
    """µs for each message, and µs to compile the rules for one type of messages."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "policy.d"
        if text is not None:
            folder.mkdir()
            (folder / "a.toml").write_text(text)
            earlier = time.time() - 60
            os.utime(folder / "a.toml", (earlier, earlier))
            os.utime(folder, (earlier, earlier))
        ruling, message = Ruling(RulesFolder(folder)), Message("power-reading", "api.acme.example", PAYLOAD)
        now = time.time_ns()
        message_us = min(repeat(lambda: ruling.leaving(PLUG, MANIFEST, message, now), number=NUMBER, repeat=ROUNDS)) / NUMBER
    found = parse("a.toml", text.encode()) if text else ()
    subject = Subject("plug", "standard", "Acme", "power-reading", READING.purpose)
    return message_us * 1e6, min(repeat(lambda: compiled(found, subject, READING.schema), number=10, repeat=ROUNDS)) * 1e5


def main() -> None:
    """Print the table."""
    table = Table("rules", "µs a message", "µs to compile", box=None)
    for name, text in CASES:
        message, compiling = each(text)
        table.add_row(name, f"{message:.1f}", f"{compiling:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
