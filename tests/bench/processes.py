"""What processes cost: CPU and memory, as the kernel counts them (proc(5)). Reads only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Resident now and at its highest, bytes."""

    resident: int
    highest: int


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes, their threads, their children alive and those already waited for."""
    total = 0
    for pid in pids:
        for member in family(pid):
            # the command's name may hold spaces and brackets; fields are counted from behind it
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total * TICK


def memory(pid: int) -> Memory:
    """Memory of one process."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Memory(*(int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")))
