"""The choices that JSON leaves to a writer. It must never count what one writer does in one way throughout.

White space, the format of numbers and needless escapes: the canonical form removes them, and of a document without a schema
it is told what they could have carried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import log2

_SPACE = " \t\r\n"
_MARKS = "{}[]:,"


def choices(text: str) -> Iterator[tuple[float, str]]:
    """Bits and words for each kind of choice in a JSON text that has been parsed already. Linear in the text."""
    gaps: dict[tuple[str, str, int], list[str]] = {}
    styles: list[str] = []
    escapes = plain = depth = place = 0
    before, gap, end = "", "", len(text)
    while place < end:
        character = text[place]
        start = place
        if character in _SPACE:
            while place < end and text[place] in _SPACE:
                place += 1
            gap = text[start:place]
            continue
        if character == '"':
            place += 1
            while text[place] != '"':
                if text[place] == "\\":
                    needless = text[place + 1] == "/" or (
                        text[place + 1] == "u" and "0020" <= text[place + 2 : place + 6] < "007f"
                    )
                    escapes += needless
                    place += 1
                else:
                    plain += 1
                place += 1
            place += 1
            kind = '"'
        elif character in _MARKS:
            place += 1
            kind = character
        else:
            while place < end and text[place] not in _SPACE and text[place] not in _MARKS:
                place += 1
            kind = "v"
            if character in "-0123456789":
                styles.append(_style(text[start:place]))
        if kind in "}]":
            depth -= 1
        gaps.setdefault((before, kind, depth), []).append(gap)
        if kind in "{[":
            depth += 1
        before, gap = kind, ""
    yield sum(map(_entropy, gaps.values())), "white space that one writer would not vary"
    odd = sum(1 for style in styles if style != ".")
    yield (_entropy(styles) + 2.0 * odd if odd else 0.0), "numbers in several formats"
    yield (min(escapes, plain) * 1.0 if escapes else 0.0), "escapes where none is needed"


def _style(number: str) -> str:
    """How a number is written beyond its value: with an exponent that it does not need, or as minus zero; "." for the usual."""
    mantissa, _, exponent = number.lower().partition("e")
    style = "-0" if mantissa.startswith("-") and not mantissa.strip("-0.") else "."
    return style + exponent[0] + "e" if exponent and len(exponent) < 4 else style


def _entropy(gaps: list[str]) -> float:
    """Bits of a sequence of choices, given the one before: what a writer does throughout is free, a change costs."""
    if len(gaps) < 4 or len(set(gaps)) == 1:
        return 0.0
    pairs = Counter(pairwise(gaps))
    first = Counter(gaps[:-1])
    bits = -sum(count * log2(count / first[one]) for (one, _), count in pairs.items())
    return max(0.0, bits - 2.0 * len(pairs))
