"""The proxy's figures: the same messages to no interceptor, to stock mitmdump, to the home, and to the home without its ledger.

All candidates take turns within one run, each round in another order, so that whatever else the machine does hits them
alike. Ratios are made within a round.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench import ours as home_of_ours
from tests.bench import peers
from tests.bench.measure import Candidate, Load, Sample, Spoiled, measure
from tests.bench.processes import Memory, memory
from tests.home.lab import layout

__all__ = ["DIRECT", "FULL", "KINDS", "OFF", "OURS", "QUICK", "Result", "STOCK", "Size", "Spoiled", "run", "spread"]
Tell = Callable[[str], None]
DIRECT, STOCK, OURS, OFF = "no interceptor", "mitmdump", "mudroom", "mudroom, ledger off"


@dataclass(frozen=True)
class Size:
    """How much is measured. Messages by candidate for each kind of load."""

    rounds: int
    keep: dict[str, int]
    new: dict[str, int]
    alone: int
    connections: int = 8


FULL = Size(
    rounds=5,
    keep={DIRECT: 20_000, STOCK: 4_000, OURS: 12_000, OFF: 12_000},
    new={DIRECT: 1_500, STOCK: 600, OURS: 1_000, OFF: 1_000},
    alone=400,
)
QUICK = Size(
    rounds=2,
    keep={DIRECT: 8_000, STOCK: 1_500, OURS: 4_000, OFF: 4_000},
    new={DIRECT: 500, STOCK: 200, OURS: 300, OFF: 300},
    alone=200,
)


@dataclass
class Result:
    """Samples by (candidate, kind of load), one a round; memory by process name."""

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, Memory] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def values(self, name: str, kind: str, of: Callable[[Sample], float]) -> list[float]:
        """One figure of each round."""
        return [of(sample) for sample in self.samples.get((name, kind), [])]

    def ratios(self, name: str, to: str, kind: str) -> list[float]:
        """Messages per CPU second of one over those of another, round by round."""
        pairs = zip(self.samples.get((name, kind), []), self.samples.get((to, kind), []), strict=False)
        return [one.per_cpu_second / other.per_cpu_second for one, other in pairs]


def loads(size: Size, name: str) -> Iterable[tuple[str, Load]]:
    """The kinds of load for one candidate."""
    yield "keep", Load("keep", size.connections, size.keep[name], warm=200)
    yield "new", Load("new", size.connections, size.new[name], warm=20)
    yield "alone", Load("keep", 1, size.alone, warm=50)


def run(size: Size, tell: Tell, with_ours: bool = True, with_peers: bool = True) -> Result:
    """Measure. ``with_ours``, ``with_peers``: for work on one side only."""
    message = layout.SAMPLES / "acme.message.json"
    answers = layout.SAMPLES / "acme.answers.json"
    envelope: dict[str, Any] = json.loads(message.read_text())
    result = Result()
    with contextlib.ExitStack() as stack:
        candidates: dict[str, Candidate] = {}
        if with_peers:
            tell("proxy: the peers' three namespaces, vendor and mitmdump")
            street = stack.enter_context(
                peers.street(message, envelope["vendor"]["hosts"][0], envelope["type"], answers if answers.exists() else None)
            )
            candidates |= of_street(street)
        home = None
        if with_ours:
            tell("proxy: the virtual home")
            home = stack.enter_context(home_of_ours.home())
            candidates[OURS] = home.candidate(OURS)
        names = list(candidates)
        for number in range(size.rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                turn(result, size, number, candidates[name], tell)
            if home is not None:
                for unit, pids in candidates[OURS].processes.items():
                    result.memory[unit] = memory(pids[0])
                with home.ledger_off() as candidate:
                    turn(result, size, number, candidate, tell)
                candidates[OURS] = home.candidate(OURS)  # the ledger is a new process
        for name in (STOCK,) if with_peers else ():
            result.memory[name] = memory(candidates[name].processes[name][0])
    return result


def turn(result: Result, size: Size, number: int, candidate: Candidate, tell: Tell) -> None:
    """One candidate's part of a round."""
    for kind, load in loads(size, candidate.name):
        sample = measure(candidate, load)
        result.samples[candidate.name, kind].append(sample)
        cost = f", {1e6 / sample.per_cpu_second:.0f} µs CPU each" if sample.cpu else ""
        tell(
            f"proxy: round {number + 1} of {size.rounds}, {candidate.name}, {KINDS[kind]}: "
            f"{sample.rate:.0f}/s, p50 {sample.p50 * 1e3:.2f} ms{cost}"
        )


KINDS = {"keep": "keep-alive", "new": "new connections", "alone": "one connection"}


def of_street(street: peers.Street) -> dict[str, Candidate]:
    """The peers as candidates."""
    common = {
        "namespace": peers.CLIENT,
        "host": street.host,
        "path": street.path,
        "message": street.message,
        "certificate": street.certificate,
        "key": street.key,
    }
    return {
        DIRECT: Candidate(name=DIRECT, ca=street.ca_direct, address=peers.DIRECT, **common),
        STOCK: Candidate(
            name=STOCK,
            ca=street.ca_intercepted,
            address=peers.INTERCEPTED,
            processes={STOCK: [street.mitmdump]},
            **common,
        ),
    }


def spread(values: list[float], digits: int = 0) -> str:
    """Median, and least and most in brackets."""
    if not values:
        return "-"
    middle, least, most = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({least}-{most})"
