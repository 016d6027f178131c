"""`python3 -m tests.bench.appliance [size] [headers] [build] [box] [plain]` (`make bench-vm`): measures the appliance.

Runs in the forge, as root. Prints Markdown tables; docs/benchmarks.md is written by hand from such a run. `box` and `plain`
boot virtual machines without KVM: no other may run meanwhile. $MUDROOM_IMAGE names another image than the newest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.bench import appliance_build, appliance_size, appliance_vm
from tests.bench.appliance_vm import BOX, FULL, KINDS, MODES, PLAIN, SLOW, SMALL, Result
from tests.vm.lab import disk

PARTS = ("size", "headers", "build", "box", "plain")
MOST_PACKED_MB, MOST_USED_MB, LEAST_FORWARDED = 400, 350, 0.95
SHOWN_KB = 1024
MEMINFO = (
    "MemTotal",
    "MemAvailable",
    "MemFree",
    "AnonPages",
    "Shmem",
    "SReclaimable",
    "SUnreclaim",
    "KernelStack",
    "PageTables",
    "Percpu",
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all but the first column to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median, least and most."""
    middle, least, most = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({least}-{most})"


def verdict(met: bool) -> str:
    """One word."""
    return "met" if met else "**missed**"


def size(image: Path) -> str:
    """The image's parts."""
    raw = Path(str(image).removesuffix(".zst"))
    found = appliance_size.measure(image, raw if raw.exists() else disk.unpacked(image), Path("/var/tmp"))
    mb = 1e6
    head = f"{image.name}: {found.packed / mb:.0f} MB compressed (at most {MOST_PACKED_MB}: "
    head += f"{verdict(found.packed <= MOST_PACKED_MB * mb)}), {found.raw / mb:,.0f} MB raw, "
    head += f"{found.used / mb:,.0f} MB used of its root, {found.files:,} files\n"
    columns = ("part", "files", "installed MB", "compressed MB")

    def rows(parts: list[appliance_size.Part]) -> list[tuple[object, ...]]:
        return [(p.name, f"{p.files:,}", f"{p.installed / mb:.1f}", f"{p.compressed / mb:.1f}") for p in parts]

    return "\n".join([head, table(columns, rows(found.parts)), table(("largest", *columns[1:]), rows(found.packages))])


def headers() -> str:
    """What bcc reads. In a mount namespace of its own."""
    words = ["unshare", "--mount", sys.executable, "-m", "tests.bench.appliance_headers"]
    found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    folders = found.pop("folders")
    return table(("headers that bcc opens", "found"), found.items()) + f"\n{len(folders)} folders\n"


def build(cold: bool) -> str:
    """Seconds by stage."""
    found = appliance_build.measure(cold)
    rows = [(stage, f"{seconds:.0f}") for stage, seconds in found.stages.items() if seconds >= 1]
    kind = "empty cache" if cold else "cache as it is"
    return table((f"build, {kind}", "seconds"), [*rows, ("all", f"{found.whole:.0f}")]) + "\n" + "\n".join(found.said) + "\n"


def started(result: Result) -> str:
    """Seconds from the kernel's start."""
    rows = []
    for (guest, which), found in result.starts.items():
        times = found.times
        cells = (found.userspace, times.get("protected"), times.get("network"), times["ready"])
        rows.append((f"{guest}, {which} start", *("-" if cell is None else f"{cell:.1f}" for cell in cells)))
    return table(("seconds from kernel start to", "user space", "protected", "networkd", "ready"), rows)


def rested(result: Result) -> str:
    """Memory at rest."""
    text = []
    for guest, found in result.rests.items():
        total = sum(row["Pss"] for row in found.units.values()) / 1024
        kernel = {name: found.info[name] / 1024 for name in MEMINFO}
        met = f" (at most {MOST_USED_MB}: {verdict(median(found.used) <= MOST_USED_MB)})" if guest == BOX else ""
        text.append(
            f"{guest}: `free -m` says {spread(found.used)} MiB used{met}; all processes {total:.0f} MiB PSS; /proc/meminfo: "
        )
        text[-1] += ", ".join(f"{name} {value:.0f}" for name, value in kernel.items()) + "\n"
        units = sorted(found.units.items(), key=lambda item: item[1]["Pss"], reverse=True)
        rows = [
            (unit, row["processes"], *(f"{row.get(name, 0) / 1024:.1f}" for name in ("Pss", "Pss_Anon", "Rss", "eBPF")))
            for unit, row in units
            if row["Pss"] >= SHOWN_KB
        ]
        text.append(table((f"{guest}: unit", "processes", "PSS MiB", "of that anonymous", "RSS MiB", "eBPF maps MiB"), rows))
    return "\n".join(text)


def forwarded(result: Result) -> str:
    """Rates, and ratios within a round."""
    rows, ratios = [], []
    for kind in KINDS:
        for mode in MODES:
            if not (found := result.streams.get((mode, kind), [])):
                continue
            small = kind == SMALL
            rates = [stream.rate / (1 if small else 1e6 / 8) for stream in found]
            costs = [stream.cost * (1e6 if small else 1e6 * 1448) for stream in found]
            rows.append((f"{kind}: {mode}", spread(rates), spread(costs, 1)))
        for mode, other in ((FULL, PLAIN), (SLOW, PLAIN), (FULL, SLOW)):
            pairs = list(zip(result.streams.get((mode, kind), []), result.streams.get((other, kind), []), strict=False))
            if not pairs:
                continue
            rate = [one.rate / two.rate for one, two in pairs]
            cost = [one.cost / two.cost for one, two in pairs]
            asked = (
                f"at least {LEAST_FORWARDED}: {verdict(median(rate) >= LEAST_FORWARDED)}"
                if (mode, other) == (FULL, PLAIN)
                else ""
            )
            ratios.append((f"{kind}: {mode} to {other}", spread(rate, 2), spread(cost, 2), asked))
    return "\n".join([
        table(("LAN to WAN", "packets/s, or Mbit/s", "µs of QEMU's CPU for a packet, or 1,448 bytes"), rows),
        table(("ratio within a round", "rate", "CPU", ""), ratios),
    ])  # fmt: skip


def guests(result: Result, image: Path | None, parts: list[str], chosen: argparse.Namespace, tell: appliance_vm.Tell) -> None:
    """Both guests, one after the other; what was measured is printed even where something failed later."""
    if not {"box", "plain"} & set(parts):
        return
    try:
        with appliance_vm.world() as made:
            if "box" in parts and image is not None:
                appliance_vm.measure_box(result, made, image, chosen.rounds, not chosen.once, tell)
            if "plain" in parts:
                appliance_vm.measure_plain(result, made, not chosen.once, tell)
    finally:
        print(started(result), rested(result), sep="\n", flush=True)
        if result.streams:
            print(forwarded(result), flush=True)
        print("\n".join(result.notes), flush=True)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.appliance", description="Measure the image and its guest.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"which parts: {', '.join(PARTS)} (all)")
    parser.add_argument("--rounds", type=int, default=12, help="of forwarding (default: %(default)s)")
    parser.add_argument("--once", action="store_true", help="one start of each guest, not two")
    parser.add_argument("--warm", action="store_true", help="build with the cache as it is, not with an empty one")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if os.geteuid() != 0:
        parser.error("needs root. Try: sudo make bench-vm")
    parts = chosen.parts or list(PARTS)
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)

    image = disk.image()
    if image is None and set(parts) & {"size", "box"}:
        parser.error("there is no image to measure: `make image` builds it into image/out")
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Linux {platform.release()}, {os.cpu_count()} cores\n", flush=True)
    result = Result()
    if image is not None and "size" in parts:
        print(size(image), flush=True)
    guests(result, image, parts, chosen, tell)
    if "headers" in parts:
        print(headers(), flush=True)
    if "build" in parts:
        print(build(not chosen.warm), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
