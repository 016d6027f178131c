"""How many bits really got across: what the accomplice decoded, held against the secret. It must never count luck.

Each bit position of the messages is one binary channel: of n bits sent, the accomplice got m right. Where m is within five
standard deviations of guessing (three where nothing is claimed), nothing is counted; otherwise n * (1 - H(wrong / n)), the
information of a binary symmetric channel with that error (Shannon 1948).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

SIGMAS = 5.0


def secret(messages: int, bits: int) -> list[int]:
    """A fresh random symbol of so many bits for each message."""
    return [secrets.randbits(bits) if bits else 0 for _ in range(messages)]


def information(sent: Sequence[int], decoded: Sequence[int | None], bits: int, sigmas: float = SIGMAS) -> float:
    """Bits that got across in all. ``decoded``: the accomplice's guess for each symbol, None where it has none."""
    total = 0.0
    for position in range(bits):
        pairs = [(s >> position & 1, d >> position & 1) for s, d in zip(sent, decoded, strict=True) if d is not None]
        total += _binary(len(pairs), sum(a == b for a, b in pairs), sigmas)
    return total


def _binary(number: int, right: int, sigmas: float) -> float:
    if not number or right - number / 2 <= sigmas * math.sqrt(number) / 2:
        return 0.0
    wrong = (number - right) / number
    return number * (1 - _entropy(wrong))


def _entropy(p: float) -> float:
    return 0.0 if p in (0.0, 1.0) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)
