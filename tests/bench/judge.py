"""What the judge and the canonical form cost in CPU time: `python3 -m tests.bench.judge` (no root, a few seconds).

On the corpus of real payloads where it is at hand, each under a manifest that declares it, and on the samples.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from gateway.standard.canonical import encode
from gateway.standard.envelope import outgoing
from gateway.standard.judge import Judge
from gateway.standard.manifest import parse_manifest
from tests.samples.declare import declare, envelope, manifest

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "public" / "readable.jsonl"
SAMPLES = Path(__file__).parents[1] / "samples"
ROUNDS = 5
GOAL = 60.0  # µs per KB of envelope, for the whole judgement
BUCKETS = ((0, 512), (512, 2048), (2048, 8192), (8192, 65_537))


@dataclass(frozen=True)
class Case:
    """A message that conforms: its manifest, and ``body`` as the device sends it."""

    judge: Judge
    host: str
    type: str
    body: bytes


@dataclass(frozen=True)
class Cost:
    """One case: bytes of envelope, µs CPU to judge it, and to write what leaves too; µs and bytes of the canonical form."""

    size: int
    judge: float
    whole: float
    canonical: float
    canonical_size: int


def samples() -> list[Case]:
    """The envelopes of the virtual home's vendors."""
    found = []
    for vendor, host, type in (
        ("acme", "api.acme.example", "power-reading"),
        ("borealis", "in.borealis.example", "climate-report"),
    ):
        judge = Judge(parse_manifest((SAMPLES / f"{vendor}.mud.json").read_bytes()))
        found.append(Case(judge, host, type, (SAMPLES / f"{vendor}.message.json").read_bytes()))
    return found


def corpus() -> list[Case]:
    """Every payload of the corpus that the standard can declare, in compact JSON or as it was found (``raw``)."""
    found = []
    for line in CORPUS.read_bytes().split(b"\n"):
        row = json.loads(line) if line else {}
        schema = declare(row.get("payload"))
        if schema is not None:
            text = row.get("raw") or json.dumps(row["payload"], ensure_ascii=False, separators=(",", ":"))
            judge = Judge(parse_manifest(manifest(schema)))
            found.append(Case(judge, "api.acme.example", "sample", envelope(text)))
    return found


def cost(case: Case, calls: int) -> Cost:
    """The least of a few rounds, each of so many calls."""
    judge, host, type, body = case.judge, case.host, case.type, case.body
    message = judge.from_device(host, type, body)

    def whole() -> bytes:
        return outgoing(
            judge.from_device(host, type, body), judge.manifest, id="m" * 36, sent="2026-11-22T13:37:00Z", device="d" * 18
        )

    return Cost(
        len(body),
        microseconds(lambda: judge.from_device(host, type, body), calls),
        microseconds(whole, calls),
        microseconds(lambda: encode(message.payload), calls),
        len(encode(message.payload)),
    )


def microseconds(work: Callable[[], object], calls: int) -> float:
    """CPU time of one call: the best mean of a few rounds of so many calls."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        for _ in range(calls):
            work()
        best = min(best, (time.process_time_ns() - start) / calls / 1000)
    return best


def table(costs: list[tuple[str, list[Cost]]]) -> Table:
    """One row for each group: the median message, and what all of the group's bytes took."""
    found = Table(title="Judge and canonical form, µs CPU for each message (median)", title_justify="left")
    for name in ("messages", "number", "bytes", "judge", "judge + envelope", "µs/KB", "MB/s", "canonical form", "canonical MB/s"):
        found.add_column(name, justify="left" if name == "messages" else "right")
    for name, group in costs:
        if not group:
            continue
        total = sum(one.whole for one in group)
        found.add_row(
            name,
            str(len(group)),
            f"{median(one.size for one in group):.0f}",
            f"{median(one.judge for one in group):.1f}",
            f"{median(one.whole for one in group):.1f}",
            f"{median(one.whole / one.size * 1024 for one in group):.1f}",
            f"{sum(one.size for one in group) / total:.1f}",
            f"{median(one.canonical for one in group):.1f}",
            f"{sum(one.canonical_size for one in group) / sum(one.canonical for one in group):.1f}",
        )
    return found


def main() -> None:
    """Measure and print."""
    groups = [("samples", [cost(case, 1000) for case in samples()])]
    if CORPUS.exists():
        costs = [cost(case, 20) for case in corpus()]
        groups += [(f"corpus, {low} to {high - 1} bytes", [c for c in costs if low <= c.size < high]) for low, high in BUCKETS]
        groups.append(("corpus, all", costs))
    Console(width=140, highlight=False).print(table(groups))
    if len(groups) == 1:
        print(f"the corpus of real payloads is not at {CORPUS}")
        return
    typical = [one.whole / one.size * 1024 for one in groups[-1][1]]
    below = sum(value <= GOAL for value in typical)
    print(f"{GOAL:.0f} µs per KB or less: {below} of {len(typical)} messages; median {median(typical):.1f}")


if __name__ == "__main__":
    main()
