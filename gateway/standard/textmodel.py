"""The code length of a free text. It must never come out below what the text could carry among those that may stand there.

A uniform model: each length up to ``max_length`` equally likely, each character any of the printable ones. It knows no
language, so it charges a word as much as noise.
"""

from __future__ import annotations

from math import log2

REPERTOIRE = 155_000  # printable code points, rounded up (str.isprintable; the tests count them)
_PER_CHARACTER = log2(REPERTOIRE)


def code_length(text: str, max_length: int) -> float:
    """Bits for ``text`` among all texts of at most ``max_length`` code points: a normalised model (Kraft's inequality)."""
    return log2(max_length + 1) + len(text) * _PER_CHARACTER
