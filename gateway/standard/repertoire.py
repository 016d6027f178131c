"""Which characters a free text may have, and which may stand in one word. It must never admit what an owner cannot see.

Text is in its one spelling (``lookalikes``). Its letters are those that languages are written with (``alphabets``), in scripts
that a household reads and that we can tell from noise: Latin, Greek, Cyrillic, kana, the common Han and Hangul characters of
the national standards (GB 2312 level 1, JIS X 0208 level 1, KS X 1001, asked of Python's codecs). Beside them digits, the space
and a list of punctuation. Marks that combine, whatever is invisible, private or unassigned, other spaces, and letters of no
living orthography (such as U+01C0, which looks like l) are out. A word has one script, and a word of look-alike letters alone
does not stand among words of the script that it imitates (after UTS #39: single-script words, whole-script confusables).
"""

# ruff: noqa: RUF001  # letters that look alike are what this is about

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

from gateway.standard.alphabets import CYRILLIC, GREEK, LATIN

PUNCTUATION = frozenset("¡¿«»·°²³¹±÷¼½¾§¶©®™€£¥¢←↑→↓≤≥≈≠√∞₀₁₂₃₄₅₆₇₈₉ª№")
_EAST_ASIAN = frozenset("、。「」『』《》【】ー々")

_LETTERS = frozenset(
    character
    for letters in (*LATIN.values(), CYRILLIC, GREEK)
    for letter in letters
    for character in (letter, letter.upper())
    if len(character) == 1 and character > "\x7f"
) | {"İ", "ẞ"}

# Letters that look like Latin ones (UTS #39 confusables, the single letters among them).
_CYRILLIC_LOOKALIKES = frozenset("асеһіјоргѕхуүАВСЕНІЈКМОРЅТХУҮЬ")
_GREEK_LOOKALIKES = frozenset("αγικνορστυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
_UNITS = frozenset("ΩΔμ")  # Greek letters that stand in Latin words: kΩ, ΔT, μT
UNSPACED = frozenset({"Kana", "Han", "Hangul"})  # written without spaces between them, or against words of other scripts


@cache
def script(character: str) -> str:
    """ "Latin", "Greek", "Cyrillic", "Kana", "Han", "Hangul" for a letter of the repertoire, "" for what all scripts share."""
    if character < "\x7f":
        return "Latin" if character.isalpha() else ""
    if character in PUNCTUATION or character in _EAST_ASIAN:
        return ""
    name = unicodedata.name(character, "")
    for first, found in (("LATIN ", "Latin"), ("GREEK ", "Greek"), ("CYRILLIC ", "Cyrillic")):
        if name.startswith(first):
            return found
    if name.startswith(("HIRAGANA", "KATAKANA")):
        return "Kana"
    return "Hangul" if name.startswith("HANGUL") else "Han" if name.startswith("CJK UNIFIED") else ""


@cache
def allowed(character: str) -> bool:
    """Whether a free text may have it."""
    point = ord(character)
    if point < 0x7F:
        return point >= 0x20
    if character in PUNCTUATION or character in _EAST_ASIAN:
        return True
    if character in _LETTERS:
        return True
    if 0x3041 <= point <= 0x3096 or 0x30A1 <= point <= 0x30F6:
        return True
    if 0x4E00 <= point <= 0x9FFF:
        return _in(character, "gb2312", 0xB0, 0xD7) or _in(character, "euc_jp", 0xB0, 0xCF)
    return 0xAC00 <= point <= 0xD7A3 and _in(character, "euc_kr", 0xB0, 0xC8)


def _in(character: str, charset: str, first: int, last: int) -> bool:
    """Whether the character stands in these rows of a national standard."""
    try:
        encoded = character.encode(charset)
    except UnicodeEncodeError:
        return False
    return len(encoded) == 2 and first <= encoded[0] <= last


@lru_cache(maxsize=1024)
def flaw(text: str) -> str | None:
    """What an owner could not see in ``text``, as rule and remedy in words; None where nothing is wrong.

    ``text``: in its one spelling (``lookalikes.unified``). At most 4096 characters are looked at; more is a flaw.
    """
    if text.isascii() and text.isprintable():
        return None
    if len(text) > 4096:
        return "a text is at most 4096 characters; shorten it"
    if not unicodedata.is_normalized("NFC", text):
        return "letters and their accents are written in Unicode's form NFC; normalise the text before sending"
    for character in text:
        if not allowed(character):
            return (
                f"the character U+{ord(character):04X} is not among those that a text may have (letters, digits, usual "
                "punctuation, nothing invisible); leave it out or spell it in another way"
            )
    return _mixture(text)


def _mixture(text: str) -> str | None:
    imitations: set[str] = set()
    clear: set[str] = set()
    for word in words(text):
        scripts = {script(c) for c in word if c not in _UNITS} - {""}
        if len(scripts) > 1:
            kinds = " and ".join(sorted(scripts))
            return f"a word mixes {kinds} letters, which look alike; write each word with the letters of one script"
        if scripts == {"Cyrillic"} and _CYRILLIC_LOOKALIKES.issuperset(word):
            imitations.add("Cyrillic")
        elif scripts == {"Greek"} and _GREEK_LOOKALIKES.issuperset(word):
            imitations.add("Greek")
        else:
            clear |= scripts
    imitations -= clear  # beside words that can be nothing else they are words of that language, such as the Russian for "at"
    if clear and imitations:
        others = " and ".join(sorted(clear))
        kinds = " and ".join(sorted(imitations))
        return f"{kinds} letters stand where {others} ones look the same; write the word in {others} letters"
    return None


def words(text: str) -> list[str]:
    """The runs of letters in ``text``, without those of scripts that are written without spaces: "LED" of "LED등"."""
    return "".join(c if c.isalpha() and script(c) not in UNSPACED else " " for c in text).split()
