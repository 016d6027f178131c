"""One measurement: the load generator against one candidate, with the candidate's CPU around it.

It must never report a run in which an answer was other than expected: such a run raises Spoiled.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import cpu_seconds


class Spoiled(RuntimeError):
    """A run that says nothing: answers failed, or were not those of the vendor."""


@dataclass(frozen=True)
class Candidate:
    """Who is measured. ``processes``: pids by name, whose CPU is its cost; ``beside``: further ones, shown and not counted."""

    name: str
    namespace: str
    host: str
    path: str
    message: Path
    ca: Path
    certificate: Path
    key: Path
    address: str | None = None
    processes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    beside: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """What is sent."""

    mode: str
    connections: int
    messages: int
    warm: int = 50
    seconds: float = 30.0
    tls: str = "1.3"


@dataclass(frozen=True)
class Sample:
    """What one run showed. Seconds; ``cpu`` by process name."""

    messages: int
    seconds: float
    p50: float
    p99: float
    cpu: Mapping[str, float]
    beside: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Messages per second of wall-clock time."""
        return self.messages / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Messages per CPU second of the candidate; infinite where it has no process."""
        spent = sum(self.cpu.values())
        return self.messages / spent if spent else float("inf")


def _cpu(group: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {name: cpu_seconds(pids) for name, pids in group.items()}


def measure(candidate: Candidate, load: Load, quiet: bool = False) -> Sample:
    """Run ``load`` against ``candidate``. ``quiet``: the generator's complaints are not shown. Raises Spoiled."""
    # fmt: off
    argv = [
        "ip", "netns", "exec", candidate.namespace, "setpriv", "--pdeathsig", "KILL", "--",
        "python3", "-m", "tests.bench.load",
        "--mode", load.mode, "--connections", str(load.connections), "--messages", str(load.messages),
        "--warm", str(load.warm), "--seconds", str(load.seconds), "--tls", load.tls,
        "--host", candidate.host, "--path", candidate.path, "--message", str(candidate.message),
        "--ca", str(candidate.ca), "--certificate", str(candidate.certificate), "--key", str(candidate.key),
        *(["--address", candidate.address] if candidate.address else []),
    ]
    # fmt: on
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        try:
            ready = process.stdout.readline().strip() == "ready"
            before = [_cpu(group) for group in (candidate.processes, candidate.beside)]
            if ready:
                process.stdin.write("go\n")
            process.stdin.close()
            line = process.stdout.readline()
            after = [_cpu(group) for group in (candidate.processes, candidate.beside)]
        except BaseException:
            process.kill()
            raise
    if not ready or not line:
        raise Spoiled(f"{candidate.name}, {load.mode}: the load generator gave up")
    found = json.loads(line)
    good = sum(number for status, number in found["statuses"].items() if status in {"200", "204"})
    if found["failures"] or good != found["messages"] or not good:
        raise Spoiled(f"{candidate.name}, {load.mode}: statuses {found['statuses']}, failures {found['failures']}")
    cpu, beside = ({name: now[name] - then[name] for name in now} for then, now in zip(before, after, strict=True))
    return Sample(found["messages"], found["seconds"], found["p50"], found["p99"], cpu, beside)
