"""`python3 -m tests.bench [--quick] [proxy] [steering]` (`make bench`): measures, prints tables, leaves nothing behind.

docs/benchmarks.md is written by hand from such a run.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from datetime import UTC, datetime

from rich.console import Console

from tests.bench import ours, proxy, report

PARTS = ("proxy", "steering", "pages")
LIMIT_SECONDS = 590
PAGES_SECONDS = 300  # a million messages are made first


class Late(Exception):
    """The whole bench took too long."""


def main() -> int:
    """Run the parts asked for; 0 when all of them ran."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description="Measure steering and proxy against named peers.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"which parts: {', '.join(PARTS)} (all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a look (about two minutes)")
    parser.add_argument("--no-home", action="store_true", help="proxy: the peers only")
    parser.add_argument("--no-peers", action="store_true", help="proxy: the virtual home only")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if os.geteuid() != 0:
        parser.error("needs root: network namespaces and eBPF do. Try: sudo make bench")
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)

    def late(*_: object) -> None:
        raise Late(f"stopped after {LIMIT_SECONDS} s")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGTERM, stop)
    parts = options.parts or list(PARTS)
    signal.alarm(LIMIT_SECONDS + (PAGES_SECONDS if "pages" in parts else 0))
    tables = []
    try:
        if "steering" in parts:
            from tests.bench import steering

            tables += steering.tables(steering.run(options.quick, tell, not options.no_home))
        if "proxy" in parts:
            size = proxy.QUICK if options.quick else proxy.FULL
            tables += report.tables(proxy.run(size, tell, not options.no_home, not options.no_peers))
        if "pages" in parts:
            from tests.bench import pages

            pages.whole(100_000 if options.quick else 1_000_000)
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    except (Late, ours.HomeFailed, proxy.Spoiled) as error:
        tell(f"no result: {error}")
        return 1
    finally:
        signal.alarm(0)
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        "median of the rounds, least and most in brackets\n"
    )
    for table in tables:
        console.print(table)
        console.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
