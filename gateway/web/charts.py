"""Bars as SVG, drawn on the server: geometry only, in a box of 100 by 40 that the page stretches. Pure.

A chart never says by itself what the page does not also say as text or table. It holds numbers and no foreign text; the words
beside it are the templates', which escape them.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.ipc.steward import Spending
from gateway.scorecard import NOISE

WIDE, HIGH = 100.0, 40.0
GAP = 0.25  # of a bar's place
LEAST = 0.8  # height of the smallest bar that is not nothing
MOST_BARS = 62
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its place in the box, and what it says (``label``: a day; ``value``: how many)."""

    x: float
    y: float
    wide: float
    high: float
    label: str
    value: int
    over: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """``top``: the value at the upper edge; ``line``: the limit's height, None where there is none or it is above ``top``."""

    bars: tuple[Bar, ...]
    top: int
    first: str
    last: str
    total: int
    highest: Bar | None
    limit: int | None
    line: float | None


def by_day(values: Mapping[str, int], days: int, until: str, limit: int | None = None) -> Chart | None:
    """Bars for ``days`` days up to ``until`` (ISO dates), days without a value empty; None where all are. ``limit``: a line."""
    end = _number(until)
    labels = [time.strftime("%Y-%m-%d", time.gmtime((end - back) * DAY)) for back in range(min(days, MOST_BARS) - 1, -1, -1)]
    found = [max(values.get(label, 0), 0) for label in labels]
    if not any(found):
        return None
    most = max(found)
    # a budget far above all bars would press them flat: it is said in words then
    shown = limit if limit and limit <= most * 10 else None
    top = max(most, shown or 0)
    place = WIDE / len(labels)
    bars = tuple(
        _bar(number * place + place * GAP / 2, place * (1 - GAP), value, top, label=label, limit=limit)
        for number, (label, value) in enumerate(zip(labels, found, strict=True))
    )
    highest = max(bars, key=lambda bar: bar.value)
    line = HIGH - HIGH * shown / top if shown else None
    return Chart(bars, top, labels[0], labels[-1], sum(found), highest, limit, line)


def _bar(x: float, wide: float, value: int, top: int, *, label: str, limit: int | None) -> Bar:
    high = max(HIGH * value / top, LEAST) if value else 0.0
    return Bar(
        round(x, 3), round(HIGH - high, 3), round(wide, 3), round(high, 3), label, value, limit is not None and value >= limit
    )


def _number(day: str) -> int:
    return calendar.timegm(time.strptime(day, "%Y-%m-%d")) // DAY


def today() -> str:
    """Days on record are UTC's."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def sums(rows: Iterable[Mapping[str, Any]], name: str) -> dict[str, int]:
    """Rows with a ``day``, added up."""
    found: dict[str, int] = {}
    for row in rows:
        found[row["day"]] = found.get(row["day"], 0) + row[name]
    return found


def said(spent: Iterable[Spending], days: int = 30) -> Chart | None:
    """A device's messages by day."""
    rows = ({"day": time.strftime("%Y-%m-%d", time.gmtime(each.day * DAY)), "messages": each.messages} for each in spent)
    return by_day(sums(rows, "messages"), days, today())


def spent(devices: Iterable[Mapping[str, Any]], days: int = 7) -> dict[str, Chart | None]:
    """Of each device, the bits that it spent by day, held against its budget."""
    return {each["id"]: by_day(sums(each["days"], "bits"), days, today(), each["budget"]) for each in devices}


def shares(rows: Iterable[Mapping[str, Any]], most: int = 8) -> list[dict[str, Any]]:
    """What was tried, added up by reason, the most frequent first, each with its bar's width (0 to 100); noise is left out.

    Where there are more than ``most`` reasons, a last row is all the others together, its ``reason`` empty: nothing is lost.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["reason"] not in NOISE and row["count"]:
            one = found.setdefault(row["reason"], {"reason": row["reason"], "words": row["words"], "count": 0})
            one["count"] += row["count"]
    ranked = sorted(found.values(), key=lambda one: -one["count"])
    # one reason alone is named in the room that "1 other" would take
    if len(ranked) > most + 1:
        rest = ranked[most:]
        ranked[most:] = [{"reason": "", "words": f"{len(rest)} others", "count": sum(one["count"] for one in rest)}]
    top = max((one["count"] for one in ranked), default=1)
    return [one | {"wide": round(max(100 * one["count"] / top, 0.5), 2)} for one in ranked]
