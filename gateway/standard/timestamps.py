"""Times in texts, as devices write them, and how much of them could be a message. It must never take a wrong date for a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

FAR = 14 * 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Time:
    """``seconds`` since 1970; ``digits``: those after the seconds' point that are not zero at the end."""

    seconds: int
    digits: int


def read(text: str) -> Time | None:
    """A time such as 2026-01-31T12:00:00Z, with a fraction, an offset or neither, or a date; None for any other text."""
    if text.isdigit() and len(text) in {8, 14} and text[:2] in {"19", "20"}:
        text = f"{text[:4]}-{text[4:6]}-{text[6:8]}" + (f"T{text[8:10]}:{text[10:12]}:{text[12:]}" if len(text) == 14 else "")
    if not 10 <= len(text) <= 35 or not text.isascii() or not text[:4].isdigit() or text[4] not in "-/.":
        return None
    whole, fraction, zone = text, "", ""
    if len(text) > 19 and text[19] in ".,":
        end = 20
        while end < len(text) and text[end].isdigit():
            end += 1
        whole, fraction, zone = text[:19], text[20:end], text[end:]
    elif len(text) > 19:
        whole, zone = text[:19], text[19:]
    try:
        when = datetime.fromisoformat(whole.replace("/", "-").rstrip("Z"))
        if zone.strip() not in {"", "Z", "UTC"}:
            datetime.fromisoformat("2000-01-01T00:00:00" + zone.strip())
    except ValueError:
        return None
    if len(fraction) > 9:
        return None
    return Time(int(when.replace(tzinfo=UTC).timestamp()), len(fraction.rstrip("0")))


def hidden(times: list[Time]) -> float:
    """Bits that the times could carry beyond being moments near each other.

    A time far from all others is free but for the first: it counts in full, in seconds and their digits. Low digits of times
    that lie close together count little: a clock writes them, and no declared grain is finer than a second.
    """
    ordered = sorted(set(times), key=lambda one: (one.seconds, one.digits))
    bits = 0.0
    gaps: set[int] = set()
    for before, one in pairwise(ordered):
        gap = one.seconds - before.seconds
        if gap > FAR and gap % 3600 and gap not in gaps:
            gaps.add(gap)
            bits += math.log2(gap) - 2 + one.digits * math.log2(10)
        elif one.digits > 3:
            bits += 2.0
    return bits
