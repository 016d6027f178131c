"""`python3 -m tests.fuzz [TARGET…] [--seconds N]` (`make fuzz`): fuzz parsers, one process for each, and save what breaks them.

Ends with 0 where nothing was found, 1 where something was (its input is named), 2 where the fuzzer did not run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import corpus

ROOT = Path(__file__).parents[2]
PER_INPUT_SECONDS = 5  # more is a finding too: a parser's time is bounded
MEMORY_MB = 2048
GRACE_SECONDS = 60  # to start, and to stop; then the run failed


@dataclass(frozen=True)
class Outcome:
    """How a target's run ended. ``runs``: inputs tried; ``input``: what broke it; ``words``: the end of what it said."""

    target: str
    runs: int
    ran: bool
    input: Path | None
    words: str


def fuzz(target: str, seconds: int, findings: Path, keep: Path | None = None) -> Outcome:
    """Fuzz one target for so long; a crashing input is saved below ``findings``, new inputs of use below ``keep``."""
    with tempfile.TemporaryDirectory(prefix="mudroom-fuzz-") as scratch:
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={PER_INPUT_SECONDS}",
            f"-rss_limit_mb={MEMORY_MB}",
            "-max_len=4096",
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.child", target, scratch, *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=seconds + GRACE_SECONDS,
            )
            said, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode(errors="replace") if isinstance(error.stdout, bytes) else str(error.stdout)
            code = -1
        crashes = sorted(path for path in Path(scratch).iterdir() if re.match(r"(crash|timeout|oom|leak)-", path.name))
        saved = None
        if crashes:
            findings.mkdir(parents=True, exist_ok=True)
            saved = findings / f"{target.rpartition('.')[2]}-{crashes[0].name}"
            shutil.copyfile(crashes[0], saved)
        if keep and not crashes:
            shutil.copytree(Path(scratch) / "corpus", keep / target, dirs_exist_ok=True)
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
        number = int(runs.group(1)) if runs else 0
        return Outcome(target, number, code == 0 and number > 0, saved, "\n".join(_telling(said)))


def _telling(said: str) -> list[str]:
    lines = said.splitlines()
    start = next((i for i, line in enumerate(lines) if "Uncaught Python exception" in line), max(0, len(lines) - 15))
    return lines[start : start + 40]


def main() -> int:
    """Run the targets asked for."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.fuzz", description="Fuzz the parsers of foreign bytes.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"which: {', '.join(corpus.NAMES)} (all)")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (60)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="targets at once (the cores)")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), metavar="DIR", help="where to (fuzz-findings)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy inputs that reached new code here, TARGET/ each")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(corpus.NAMES):
        parser.error(f"unknown target {', '.join(sorted(unknown))}; known: {', '.join(corpus.NAMES)}")
    if options.seconds < 1 or options.jobs < 1:
        parser.error("--seconds and --jobs are 1 or more")
    targets = options.targets or corpus.NAMES
    began = time.monotonic()
    print(f"{len(targets)} targets, {options.seconds} s each, {options.jobs} at once", flush=True)
    outcomes = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(lambda name: fuzz(name, options.seconds, options.findings, options.keep), targets):
            outcomes.append(outcome)
            result = f"BROKEN by {outcome.input}" if outcome.input else "nothing found" if outcome.ran else "DID NOT RUN"
            print(f"{time.monotonic() - began:6.1f} s  {outcome.target:14} {outcome.runs:9} inputs  {result}", flush=True)
            if outcome.input or not outcome.ran:
                print(outcome.words, flush=True)
    broken = [outcome.target for outcome in outcomes if outcome.input]
    absent = [outcome.target for outcome in outcomes if not outcome.ran and not outcome.input]
    print(f"found: {', '.join(broken) or 'nothing'}" + (f"; did not run: {', '.join(absent)}" if absent else ""))
    return 1 if broken else 2 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
