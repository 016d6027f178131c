"""Whether a manifest's own words can be read: texts, names and choices. It must never take a list of tokens for a list of words.

A manifest is the same in every home, so its words carry nothing of a home; but an owner who cannot read a choice does not know
what is said when it is sent. A single text is judged as free text is, with room for the longest of model names. Short codes
("R290", "E27") are what devices have, and one by one they cannot be told from slices of noise: so they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.standard.reading import ROWS, clear, opaque, pieces, runs_of

LIMIT = 44.0  # bits in one text that nobody reads: model names end there, keys and hashes begin
CODES = 32  # different codes that an owner may be asked to learn, and half as many more as there are words among them

_REFERENCES = 20.0  # bits at most that the numbers of a text in words count
_PROSE = 3  # words
_COUNTED = 4  # digits of a code that count it on
_NUMBER = 6  # digits of a number that a person reads as one

_REMEDY = "write what it means in words; opaque strings have no place here"


def illegible(text: str) -> str | None:
    """Why a text, name or choice of a manifest cannot be read, as rule and remedy in words; None where it can."""
    parts = opaque(text)
    bits = sum(max(part.bits, part.full) for part in parts if part.what != ROWS)
    rows = sum(part.bits for part in parts if part.what == ROWS)
    if bits + (min(rows, _REFERENCES) if rows > _REFERENCES and _prose(text) else rows) <= LIMIT:
        return None
    what = max(parts, key=lambda part: part.bits).what
    return f"a manifest's texts, names and choices are such that a person can read, and this one holds {what}; {_REMEDY}"


def too_many_codes(texts: Iterable[str]) -> str | None:
    """Why names or choices that stand side by side cannot be read together, as rule and remedy; None where they can.

    Codes that differ only in a few digits ("E01", "E02") count once.
    """
    words = 0
    codes = set()
    for text in texts:
        if _is_code(text):
            few = sum(map(str.isdecimal, text)) <= _COUNTED
            codes.add("".join("#" if few and piece.isdecimal() else piece for piece in pieces(text)))
        else:
            words += 1
    if len(codes) <= CODES + words // 2:
        return None
    return (
        f"{len(codes)} of these are codes and no words, more than an owner can learn; "
        "write what they mean in words, or declare a number"
    )


def _is_code(text: str) -> bool:
    """Whether nothing of it is a word, a short number or two letters ("DE")."""
    found = [run for run in runs_of(text) if run]
    short = sum(len(run) for run in found if run.isdecimal()) <= _NUMBER
    return bool(found) and not any(short if run.isdecimal() else (run.isalpha() and len(run) <= 2) or clear(run) for run in found)


def _prose(text: str) -> bool:
    """Whether there are words enough for its numbers to be references, such as a directive's."""
    return sum(1 for run in runs_of(text) if run.isalpha() and clear(run)) >= _PROSE
