"""The code length of a free text under one fixed model. It must never come out below what Kraft's inequality allows.

Text is coded character by character, and then its end. A character's probability depends on the two before it and comes from a
table of 128 symbols (the end, an escape, printable ASCII, the commonest other letters), made once by tests/texttable.py, in
sixteenths of a bit and rounded up, so that the probabilities after each two characters sum to 1 at most. A character without
a symbol costs its escape, its block and its place in the block. Every string has a length: also one that no text may hold.
"""

from __future__ import annotations

import lzma
from functools import cache, lru_cache
from math import log2
from pathlib import Path

from gateway.standard.repertoire import allowed, script

SYMBOLS = 128
END = 0  # also what stands before the first character
ESCAPE = 1
BEYOND = "áéíšäčóúžöüçåèłàæąěęãřńżøćśêâñß"
TABLE = Path(__file__).with_name("textmodel.xz")

_SYMBOL = {chr(point): point - 0x20 + 2 for point in range(0x20, 0x7F)}
_SYMBOL |= {character: 97 + place for place, character in enumerate(BEYOND)}

# The rest of the repertoire by script, "" for punctuation, and what lies outside of it.
_BLOCK_BITS = {"Latin": 2.0, "Cyrillic": 2.0, "Greek": 3.0, "": 3.0, "Kana": 4.0, "Han": 3.0, "Hangul": 5.0, "other": 10.0}
_ALL = 0x110000
_RANGES = (
    (0xA0, 0x530),
    (0x1E00, 0x1F00),
    (0x2000, 0x2300),
    (0x3000, 0x3100),
    (0x4E00, 0xA000),
    (0xAC00, 0xD7A4),
    (0xFF00, 0xFF60),
)


def symbols_of(text: str) -> list[int]:
    """The symbols that a text is coded with, without its end."""
    return [_SYMBOL.get(character, ESCAPE) for character in text]


@cache
def _costs() -> bytes:
    return lzma.decompress(TABLE.read_bytes())


@cache
def _block_sizes() -> dict[str, int]:
    sizes = dict.fromkeys(_BLOCK_BITS, 0)
    for first, last in _RANGES:
        for character in map(chr, range(first, last)):
            if character not in _SYMBOL and allowed(character):
                sizes[script(character)] += 1
    sizes["other"] = _ALL
    return sizes


@cache
def cost_of_other(character: str) -> float:
    """Bits for a character that has no symbol, after its escape: its block, and its place there."""
    block = script(character) if allowed(character) else "other"
    return _BLOCK_BITS[block] + log2(_block_sizes()[block])


@lru_cache(maxsize=1024)  # a device says the same few things again and again
def code_length(text: str, max_length: int) -> float:
    """Bits for ``text`` among all texts of at most ``max_length`` code points: a normalised model (Kraft's inequality).

    A longer text has a length, too: the model is normalised over all strings, so over those up to any length.
    """
    del max_length  # what it would save is less than a bit
    costs = _costs()
    context = sixteenths = 0
    for symbol in symbols_of(text):
        sixteenths += costs[context << 7 | symbol]
        context = (context << 7 | symbol) & 0x3FFF
    sixteenths += costs[context << 7]
    bits = sixteenths / 16
    return bits if text.isascii() else bits + sum(cost_of_other(c) for c in text if c not in _SYMBOL)


@cache
def _dearest() -> tuple[float, float]:
    """Bits: the dearest symbol after any two characters, and the dearest place among the allowed characters that have none."""
    places = max(_BLOCK_BITS[block] + log2(size) for block, size in _block_sizes().items() if block != "other" and size)
    return max(_costs()) / 16, places


def most(max_length: int) -> float:
    """Bits that no allowed text of at most ``max_length`` code points exceeds: the dearest symbol, escape and place for each."""
    symbol, place = _dearest()
    return (max_length + 1) * symbol + max_length * place


def spelling(text: str) -> float:
    """Bits for ``text`` inside a longer one: as ``code_length``, after a space and without its end."""
    costs = _costs()
    context = _SYMBOL[" "]
    sixteenths = 0
    for symbol in symbols_of(text):
        sixteenths += costs[context << 7 | symbol]
        context = (context << 7 | symbol) & 0x3FFF
    return sixteenths / 16 + sum(cost_of_other(c) for c in text if c not in _SYMBOL)
