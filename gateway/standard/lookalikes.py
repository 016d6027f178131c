"""One spelling for texts that look the same. It must never change what a text says, nor leave a text two ways to be written.

What is folded is what Unicode's confusables (UTS #39, confusables.txt) call alike and no language needs apart: dashes, quotes,
full-width punctuation, the micro sign, a few more; spaces at the ends and beside each other; hiragana and katakana letters of
one shape, by the letters beside them. What some language needs apart (Turkish has an i with a dot and one without) stays, and
is charged by the text model like every other character. Linear in the text.
"""

# ruff: noqa: RUF001  # letters that look alike are what this is about

from __future__ import annotations

import unicodedata

_SPELT = {  # the character that leaves: those that come
    "'": "‘’‚‛‹›′´ʼʻ",
    '"': "“”„‟″",
    "-": "‐‑‒–—―−",
    "...": "…",
    "·": "•・‧∙⋅",
    "°": "º˚",
    "μ": "µ",  # the micro sign is the Greek letter, as NFKC has it
    "Δ": "∆",
    "x": "×",
    "/": "⁄∕",
    "~": "〜∼",
    "ț": "ţ",  # Romanian's letter with the cedilla of old fonts; no other language's
    "Ț": "Ţ",
}
_FULL_WIDTH = {
    point: chr(point - 0xFEE0) for point in range(0xFF01, 0xFF5F) if not chr(point - 0xFEE0).isalnum()
}  # punctuation as East Asian text is typed; letters and digits of full width are no part of the repertoire
_TABLE = str.maketrans({one: spelt for spelt, ones in _SPELT.items() for one in ones} | _FULL_WIDTH)

# Hiragana and katakana of one shape, and what stands before or after them where they are katakana.
_TWINS = {"へ": "ヘ", "べ": "ベ", "ぺ": "ペ", "り": "リ"}
_EITHER = {either: (hiragana, katakana) for hiragana, katakana in _TWINS.items() for either in (hiragana, katakana)}
_PARTICLE = "へ"  # follows any word: only what comes after it tells


def unified(text: str) -> str:
    """``text`` in its one spelling: Unicode's form NFC, look-alikes folded, one space between words and none around them.

    Idempotent. It may be longer than ``text``: three times at most.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_TABLE)
        if not _EITHER.keys().isdisjoint(text):
            text = _kana(text)
    if text[:1] == " " or text[-1:] == " " or "  " in text:
        text = " ".join(word for word in text.split(" ") if word)
    return text


def _kana(text: str) -> str:
    """Twins as katakana where a katakana letter of one shape only stands beside them, as hiragana elsewhere."""
    built = []
    for place, character in enumerate(text):
        twins = _EITHER.get(character)
        if twins:
            beside = text[place + 1 : place + 2] if twins[0] == _PARTICLE else text[max(place - 1, 0) : place + 2]
            built.append(twins[any(map(_katakana, beside))])
        else:
            built.append(character)
    return "".join(built)


def _katakana(character: str) -> bool:
    return ("ァ" <= character <= "ヶ" or character == "ー") and character not in _EITHER


def misspelt(text: str) -> str | None:
    """Where ``text`` is not in its one spelling, as rule and remedy in words; None where it is."""
    if text.isascii() and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return None
    if unified(text) == text:
        return None
    if not unicodedata.is_normalized("NFC", text):
        return "letters and their accents are written in Unicode's form NFC; normalise the text"
    for character in text:
        spelt = unified(character) if character != " " else " "
        if spelt != character and character not in _EITHER:
            return f'U+{ord(character):04X} looks like another sign; write "{spelt}" for it'
    if any(character in _EITHER for character in text):
        return (
            f'hiragana and katakana that look the same are written as the letters beside them are; write "{unified(text)[:64]}"'
        )
    return "words have one space between them and none around them; leave out the others"
