"""The results as tables for people. Pure: results in, text out."""

from __future__ import annotations

from statistics import median

from rich.table import Table

from tests.bench import proxy
from tests.bench.proxy import DIRECT, KINDS, OFF, OURS, STOCK, Result, spread

# What the issue asks for.
TARGET_KEEP, TARGET_NEW, TARGET_ADDED_MS, TARGET_DOOR_MB = 6.0, 2.0, 5.0, 100.0


def rates(result: Result, kind: str) -> Table:
    """One kind of load, all candidates: median over the rounds, least and most in brackets."""
    table = Table(title=f"Proxy, {KINDS[kind]}", title_justify="left")
    for name in ("candidate", "messages per CPU second", "µs CPU each", "messages/s", "p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "candidate" else "right")
    for name in (DIRECT, STOCK, OURS, OFF):
        if not result.samples.get((name, kind)):
            continue
        costs = name != DIRECT
        table.add_row(
            name,
            spread(result.values(name, kind, lambda s: s.per_cpu_second)) if costs else "-",
            spread(result.values(name, kind, lambda s: 1e6 / s.per_cpu_second)) if costs else "-",
            spread(result.values(name, kind, lambda s: s.rate)),
            spread(result.values(name, kind, lambda s: s.p50 * 1e3), 2),
            spread(result.values(name, kind, lambda s: s.p99 * 1e3), 2),
        )
    return table


def shares(result: Result) -> Table:
    """Where the home's CPU goes, µs for each message (median)."""
    table = Table(title="Mudroom, µs CPU for each message by process (median)", title_justify="left")
    table.add_column("load")
    units = ("door", "ledger", "courier", "signer", "names", "steering")
    for unit in units:
        table.add_column(unit if unit in {"door", "ledger", "courier"} else f"({unit})", justify="right")
    for name in (OURS, OFF):
        for kind in ("keep", "new"):
            samples = result.samples.get((name, kind), [])
            if not samples:
                continue
            spent = [
                {
                    unit: sum(cpu for process, cpu in (*s.cpu.items(), *s.beside.items()) if process.startswith(unit))
                    / s.messages
                    for unit in units
                }
                for s in samples
            ]
            table.add_row(f"{name}, {KINDS[kind]}", *(f"{median(one[unit] for one in spent) * 1e6:.0f}" for unit in units))
    return table


def goals(result: Result) -> Table:
    """What was asked, what was found."""
    table = Table(title="Proxy against the goals", title_justify="left")
    for name in ("goal", "asked", "found", ""):
        table.add_column(name)
    rows: list[tuple[str, str, list[float], int, bool]] = []
    for kind, least, what in (("keep", TARGET_KEEP, "keep-alive"), ("new", TARGET_NEW, "new connections")):
        for name in (OURS, OFF):
            ratios = result.ratios(name, STOCK, kind)
            words = f"{what}: {name} to {STOCK}, messages per CPU second"
            rows.append((words, f"at least {least:g} times", ratios, 2, bool(ratios) and median(ratios) >= least))
    for kind, words in (("alone", "one connection"), ("keep", "8 connections, both cores full")):
        pairs = zip(result.samples.get((OURS, kind), []), result.samples.get((DIRECT, kind), []), strict=False)
        added = [(one.p50 - other.p50) * 1e3 for one, other in pairs]
        met = bool(added) and median(added) <= TARGET_ADDED_MS
        rows.append((f"p50 added over {DIRECT}, {words}, ms", f"at most {TARGET_ADDED_MS:g}", added, 2, met))
    doors = [found.highest / 1e6 for unit, found in result.memory.items() if unit.startswith("door")]
    rows.append(
        ("a door worker's memory at its highest, MB", f"at most {TARGET_DOOR_MB:g}", doors, 0, bool(doors) and max(doors) <= 100)
    )
    for what, asked, values, digits, met in rows:
        if values:
            table.add_row(what, asked, spread(values, digits), "met" if met else "MISSED")
    return table


def residents(result: Result) -> Table:
    """Memory after all rounds."""
    table = Table(title="Resident memory, MB (10^6 bytes)", title_justify="left")
    for name in ("process", "at the end", "highest"):
        table.add_column(name, justify="left" if name == "process" else "right")
    for name, found in result.memory.items():
        table.add_row(name, f"{found.resident / 1e6:.0f}", f"{found.highest / 1e6:.0f}")
    return table


def tables(result: Result) -> list[Table]:
    """All of the proxy's."""
    found = [rates(result, kind) for kind in proxy.KINDS]
    if result.samples.get((OURS, "keep")):
        found.append(shares(result))
    return [*found, residents(result), goals(result)]
