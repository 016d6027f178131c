"""Whether a text can be read. It must never call readable what only a program can read: keys, tokens, packed or encrypted data.

Grammar decides: a text is words, numbers and short names such as "PM10"; what is none of these is opaque and is counted at the
full choice that its characters leave. Statistics advise on one question only, whether letters in a row are a word, by
the text model. Linear in the text; no regular expression.
"""

from __future__ import annotations

import unicodedata
from base64 import b64decode
from functools import lru_cache
from ipaddress import IPv6Address
from itertools import pairwise
from math import log2
from typing import NamedTuple
from urllib.parse import unquote

from gateway.standard.alphabets import bare, of_one_language
from gateway.standard.lookalikes import unified
from gateway.standard.repertoire import UNSPACED, allowed, flaw, script
from gateway.standard.textmodel import spelling

_LETTER = log2(26)
_DIGIT = log2(10)
TEXT_LIMIT = 20.0  # bits in a free text that nobody reads: a model's name, and not a token
_MOST = 1024  # characters of a text that are judged in one piece
_PAIR = 5.5  # bits a letter, from which two letters are no word: "of" asks for 4, "qx" for 9
_FREE_LETTERS = 8  # that stand alone or in such pairs
_FREE_DIGITS = 24  # of the numbers in one text: a date with its time and some measures
_SHORT = 4  # characters of a name such as PM10 or 20mA, which says nothing by itself
_NAME = 8.0  # bits of a short name or of a part of one, such as BMX and 055: it is one of a catalogue
_ADDRESS = 24.0  # bits of a hardware address: the other 24 name its maker

_ACCENT = 3.5  # bits of an accented letter in a word that no language spells: e has ten of them

# Bits a letter that the text model may ask for a word, by the word's length. Letters drawn at random ask for 7 to 9; of one
# hundred words of eight letters, English or not, one asks for more than 6.
_WORD = ((7, 6.8), (12, 6.4), (20, 6.0), (10_000, 5.6))


_UNSEEN = "characters that no reader sees or knows"
ADDRESSES = "addresses of devices and networks"
ROWS = "numbers in a row in a text"
NAMES = "models, codes and short names"


class Opaque(NamedTuple):
    """A part of a text that cannot be read: about so many ``bits``, ``what`` it looks like in words, and the ``part`` itself."""

    bits: float
    what: str
    part: str
    full: float = 0.0  # bits where many such stand in one document: then they are no longer the addresses of a home


def opaque(text: str) -> tuple[Opaque, ...]:
    """What a person could not read in ``text``; nothing where all of it can be read. The repertoire's rules included."""
    if len(text) <= _MOST:
        return _opaque(text)
    return tuple(part for at in range(0, len(text), _MOST) for part in _opaque(text[at : at + _MOST]))


def unreadable(text: str) -> str | None:
    """Why a free text cannot be read, as rule and remedy in words for an owner; None where it can.

    Short names, such as a product's, are part of readable text; what takes more than ``TEXT_LIMIT`` bits is not.
    """
    strange = flaw(text)
    if strange is not None:
        return strange
    parts = opaque(text)
    if sum(part.bits for part in parts) <= TEXT_LIMIT:
        return None
    what = max(parts, key=lambda part: part.bits).what
    return (
        f"a text is words that a person can read, and this one holds {what}; send it as number, time or choice, or leave it out"
    )


@lru_cache(maxsize=1024)
def _opaque(text: str) -> tuple[Opaque, ...]:
    foreign = _foreign(text)
    if foreign is not None:
        known = "".join(filter(allowed, text)) if foreign.what == _UNSEEN else ""
        return (foreign, *(part for part in _parts(known) if part.bits > 2 * TEXT_LIMIT))  # a token stays one
    if "%" in text:
        plain = unquote(text, errors="replace")
        if plain.isprintable() and "\ufffd" not in plain:
            text = plain
    long, short = text.count("\\u"), text.count("\\x")
    if long + short >= 4:
        return (Opaque(min(15.0 * long + 8.0 * short, 4.0 * len(text)), "escapes spelled out in a text", text),)
    if _network(text):
        return (Opaque(4 * _NAME if "::" in text else 8 * _NAME, ADDRESSES, text, 8.0 * _NAME + 36),)
    punctuated = _punctuated(text)
    if punctuated is not None:
        return (punctuated,)
    inner = _decoded(text)
    if inner is not None:
        return (Opaque(_NAME + sum(part.bits for part in _parts(inner)), "a text in base64 or hexadecimal", text),)
    return _parts(text)


def _parts(text: str) -> tuple[Opaque, ...]:
    """Judges the letters and digits of a text."""
    found: list[Opaque] = []
    pending: list[str] = []
    runs = runs_of(text)
    accents = of_one_language(text)
    _slices(runs, text, found, accents)
    for run in runs:
        if (len(run) <= 2 and run.isalpha()) or run.lstrip("0123456789").rstrip("²³") in _MEASURES:
            continue  # "a", "of", "x", "20mA"
        if not of_one_language(run):
            found.append(Opaque(_ACCENT * sum(1 for c in run if c > "\x7f"), "accents that no language has in one word", run))
        elif "-" in run:
            found.append(Opaque(122.0, "a UUID (RFC 9562)", run))
        elif run and len(run) <= 80 and clear(run, accents):
            _group(pending, found)
            pending.clear()
        else:
            pending.append(run)
    _group(pending, found)
    return tuple(found)


def _slices(runs: list[str], text: str, found: list[Opaque], accents: bool) -> None:
    """Judges what is free in small numbers and a secret in large ones: single letters, pairs of letters, numbers apart."""
    apart = glued = digits = other = 0
    for chunk in _split(runs):
        ones = sum(1 for run in chunk if len(run) == 1 and run.isalpha() and script(run) == "Latin")
        twos = sum(
            2
            for run in chunk
            if len(run) == 2 and run.isalpha() and script(run[0]) == "Latin" and _asked(run, accents) > 2 * _PAIR
        )
        other += sum(len(run) for run in chunk if len(run) <= 2 and run.isalpha() and script(run[0]) in {"Greek", "Cyrillic"})
        if len(chunk) == 1:
            apart += ones + twos
        else:
            glued += ones + twos
        if len(chunk) < 3:
            digits += sum(len(run) for run in chunk if run.isdecimal() and len(run) <= 6)
    if other > _FREE_LETTERS and 2 * other > sum(1 for c in text if c.isalpha()):  # of whose short words the model knows nothing
        apart += other
    if apart > _FREE_LETTERS:
        found.append(Opaque(_LETTER * apart, "letters and digits in no readable order", text))
    if glued > _FREE_LETTERS:
        found.append(Opaque(_LETTER * glued, NAMES, text))
    if digits > _FREE_DIGITS:
        found.append(Opaque(_DIGIT * (digits - _FREE_DIGITS), "many numbers in a text", text))


def _foreign(text: str) -> Opaque | None:
    """Characters that no reader sees, or takes for others."""
    if text.isascii():
        if text.isprintable():
            return None
        controls = [c for c in text if not c.isprintable() and c not in "\t\r\n"]
        return Opaque(_choice(controls), "control characters", text) if controls else None
    whole = unicodedata.normalize("NFC", text)
    plain = unified(text.translate(_SPACES))
    outside = [c for c in plain if not allowed(c)]
    if outside:
        bits = _choice(outside)
        if 10 * len(outside) > len(text) and len(set(outside)) > 3:
            bits = max(
                bits, (12.0 if min(outside) >= "\u0800" else 6.0) * len(text)
            )  # bytes taken for characters: then those inside the repertoire carry as much
        return Opaque(bits, _UNSEEN, text)
    if whole != text:
        return Opaque(2.0 * (1 + len(text) - len(whole)), "letters and accents in two spellings (not NFC)", text)
    if flaw(plain) is not None:
        return Opaque(float(sum(1 for c in text if c.isalpha())), "letters of another script that look alike", text)
    return None


_SPACES = {9: " ", 10: " ", 13: " "}


def _choice(characters: list[str]) -> float:
    """Bits of characters that have no business in a text: by how many kinds there are, and 8 each where they hardly repeat."""
    kinds = len(set(characters))
    if kinds * 4 <= len(characters):
        return len(characters) * log2(kinds + 1)
    return sum(8.0 if c < "\u0800" else 13.0 for c in characters)


def _punctuated(text: str) -> Opaque | None:
    """Text that is made of all printable characters alike, as Ascii85, base91 and uuencode are."""
    if len(text) < 12 or text.isalnum():
        return None
    marks = [c for c in text if not c.isalnum() and c != " "]
    kinds = set(marks)
    if len(text) >= 24 and 4 * (len(text) - len(marks)) < 3 * len(text) and 2 * len(marks) > len(text) and len(kinds) > 1:
        return Opaque(log2(len(kinds) + 1) * _surprises(text), "punctuation without words", text)
    if (
        len(text) >= 24
        and 6 * len(marks) >= len(text)
        and len(kinds) >= 5
        and text.isupper()
        and 10 * _decimals(text) > len(text)
    ):
        return Opaque(5.5 * len(text), "letters and punctuation in no readable order", text)
    odd = len(kinds & _ODD)
    if 7 * len(marks) < len(text) or not (
        odd >= 4 or (" " not in text and ((odd >= 2 and len(kinds) >= 6) or (odd and len(kinds) >= 8)))
    ):
        return None
    return Opaque(6.0 * _surprises(text), "letters and punctuation in no readable order", text)


_ODD = frozenset("!$^`|<>*\\~@")


_MEASURES = frozenset(
    {
        *(
            "mA",
            "V",
            "mV",
            "W",
            "kW",
            "kWh",
            "Wh",
            "kB",
            "KB",
            "MB",
            "GB",
            "TB",
            "Hz",
            "kHz",
            "MHz",
            "GHz",
            "mm",
            "cm",
            "m",
            "km",
        ),
        *("g", "kg", "s", "ms", "h", "min", "lm", "K", "dB", "dBm", "bar", "l", "p", "px"),
    }
)


def _network(text: str) -> bool:
    """Whether it is an address such as fe80::1%eth0 (RFC 4291), or an EUI-64."""
    if len(text) > 50 or text.count(":") < 2 or ("::" not in text and text.count(":") != 7):
        return False
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _decoded(text: str) -> str | None:
    """The text inside, where ``text`` is nothing but one in base64 or hexadecimal digits."""
    if not 8 <= len(text) <= 512 or not text.isascii() or " " in text:
        return None
    try:
        inner = bytes.fromhex(text) if _hex(text) else b64decode(text, validate=True)
        found = inner.decode("utf-8")
    except ValueError:
        return None
    return found if found.isprintable() else None


def runs_of(text: str) -> list[str]:
    """Letters and digits between separators; a UUID with its hyphens; pairs of hexadecimal digits joined; "" where space is."""
    runs: list[str] = []
    for chunk in text.split():
        cut = "".join(c if c.isalnum() else " " for c in (chunk if chunk.isascii() else _parted(chunk))).split()
        if len(cut) >= 4:
            sizes = [len(run) for run in cut]
            whole = "".join(cut)
            if sizes == [8, 4, 4, 4, 12] and _hex(whole):
                cut = ["-".join(cut)]
            elif max(sizes) == min(sizes) == 2 and _hex(whole) and not whole.isdecimal():
                cut = [whole]
        runs += cut
        runs.append("")
    return runs[:-1]


def _parted(chunk: str) -> str:
    """Letters of scripts that are written without spaces, and the others, as words of their own: "LED 등" for "LED등"."""
    own = [script(c) in UNSPACED for c in chunk]
    return chunk[:1] + "".join(c if one == two else " " + c for c, (one, two) in zip(chunk[1:], pairwise(own), strict=True))


def pieces(run: str) -> list[str]:
    """A run cut where a program's names are: at digits, and before a capital that follows a small letter or starts a word."""
    found: list[str] = []
    start = 0
    for place in range(1, len(run)):
        one, two = run[place - 1], run[place]
        if (
            one.isdecimal() != two.isdecimal()
            or (one.islower() and two.isupper())
            or (one.isupper() and two.isupper() and place + 1 < len(run) and run[place + 1].islower())
        ):
            found.append(run[start:place])
            start = place
    found.append(run[start:])
    return found


@lru_cache(maxsize=4096)
def clear(run: str, accents: bool = True) -> bool:
    """Whether a run can be read by itself: words, perhaps joined as programs join them, with a short number perhaps.

    ``accents``: whether they are those of one language in the whole text.
    """
    cut = [run] if run.isalpha() and (run.islower() or run.isupper()) else pieces(run)
    words = [piece for piece in cut if not piece[0].isdecimal()]
    letters = sum(map(len, words))
    if letters < 3 or len(run) - letters > 6 or len(cut) - len(words) > 2 or letters < 2.5 * len(words):
        return False
    kind = script(words[0][0])
    if kind not in {"Latin", ""}:
        return kind in {"Han", "Kana"} or max(map(len, words)) <= 24  # the repertoire has seen to the rest
    if len(words) > 1:
        long = [each for each in words if len(each) >= 4 or not each.isupper()]  # beside them "RGB", "X"
        if 2 * sum(map(len, long)) > letters:
            words = long
    return _word(words, accents)


def _word(words: list[str], accents: bool = True) -> bool:
    letters = sum(map(len, words))
    rate = sum(_asked(each, accents) for each in words) / letters
    return rate <= next(limit for most, limit in _WORD if letters <= most)


def _asked(word: str, accents: bool) -> float:
    """Bits that the text model asks for a word; or, with ``accents``, for it without them and a bit for each: it knows few."""
    if word.isascii():
        return spelling(word.lower())
    word = word.replace("İ", "i").lower()  # else it is an i and a dot by itself
    bits = spelling(word)
    plain = bare(word) if accents else None
    return (
        bits if plain is None else min(bits, spelling(plain) + sum(1 for one, two in zip(word, plain, strict=True) if one != two))
    )


def _group(runs: list[str], found: list[Opaque]) -> None:
    """Judges runs in a row of which none is clear by itself."""
    small: list[str] = []
    for run in runs:
        if len(run) <= _SHORT or (run.isdecimal() and len(run) <= 6):
            small.append(run)
            continue
        _chunks(small, found)
        small = []
        part = _whole(run)
        if part is not None:
            found.append(part)
    _chunks(small, found)


def _whole(run: str) -> Opaque | None:
    """A run of five characters or more."""
    if run.isdecimal():
        if len(run) in {8, 10, 12, 13, 14} and run[:2] in {"19", "20", "15", "16", "17", "18"}:
            return Opaque(_NAME, "times in a text", run)
        return Opaque(_DIGIT * (_surprises(run) - 4), "a long number in a text", run) if _surprises(run) > 4 else None
    if run[:2] == "0x" and len(run) <= 6:
        return None  # a number, as programs write it
    if run.isalpha() and len(pieces(run)) >= 3 and len(run) < 3 * len(pieces(run)):
        return Opaque(float(len(run)), "letters in capitals and not, in no order", run)
    if run.isalpha() and len(run) <= 7:
        return Opaque(_NAME, NAMES, run)
    if len(run) <= 6 and (run.isupper() or len(pieces(run)) <= 2):
        return Opaque(_NAME, NAMES, run)
    cut = pieces(run) if len(run) <= 20 else []
    if 0 < len(cut) <= 4 and not run.isalpha() and (len(run) >= 3 * len(cut) or (len(cut) <= 3 and len(run) <= 9)):
        return Opaque(sum(_part(piece) for piece in cut), NAMES, run)
    if len(run) <= 9 and run.isupper() and (len(run) < 8 or len(cut) <= 2):
        return Opaque(1.5 * _NAME, NAMES, run)
    if len(run) == 12 and _hex(run):
        return Opaque(min(_ADDRESS, _bits(run)), ADDRESSES, run, _bits(run))
    return Opaque(_bits(run), _kind(run), run)


def _part(piece: str) -> float:
    """Bits of one part of a model's name or a serial number, such as BMX and 055."""
    if piece.isdecimal():
        return min(_NAME, _DIGIT * _surprises(piece))
    return 2.0 if len(piece) >= 4 and _word([piece]) else min(_NAME, _LETTER * _surprises(piece))


def _chunks(runs: list[str], found: list[Opaque]) -> None:
    """Judges short runs in a row: names, numbers with units, or one secret in slices."""
    whole = "".join(runs)
    if whole.isdecimal():
        for row in _split(runs):
            _digits(row, found)
        return
    runs = [run for run in runs if run]
    if len(runs) < 2 or len(whole) < 5:
        return
    if sum(1 for run in runs if not run.isdecimal()) * 4 <= len(runs):
        found.append(Opaque(_NAME + _row([run for run in runs if run.isdecimal()]), ROWS, ".".join(runs)))
    elif len(whole) >= 8 and (len(runs) > 4 or not whole.isalpha()):
        found.append(Opaque(_bits(whole), _kind(whole), whole))


def _split(runs: list[str]) -> list[list[str]]:
    """Runs between which there is no space."""
    rows: list[list[str]] = [[]]
    for run in runs:
        if run:
            rows[-1].append(run)
        else:
            rows.append([])
    return rows


def _digits(runs: list[str], found: list[Opaque]) -> None:
    """Judges numbers that stand together, as in a version."""
    if len(runs) < 3 or _home(runs):
        return
    bits = _row(runs)
    if len(runs) == 4 and all(int(run) < 256 for run in runs):  # RFC 791
        found.append(Opaque(min(bits, _NAME + 4), ADDRESSES, ".".join(runs), bits))
    else:
        found.append(Opaque(bits, ROWS, ".".join(runs)))


def _row(runs: list[str]) -> float:
    """Bits of numbers in a row, such as a version: what repeats or counts on is free."""
    numbers = [int(run) for run in runs]
    return sum(
        log2(1 + two) if two < 10 else _DIGIT * len(str(two)) for one, two in pairwise([-2, *numbers]) if two - one not in {0, 1}
    )


def _home(runs: list[str]) -> bool:
    """Whether numbers in a row are a time of day, or an address that means nothing outside of the home (RFC 1918)."""
    if len(runs) == 3 and all(len(run) == 2 for run in runs) and int(runs[0]) < 24 and int(runs[1]) < 60 and int(runs[2]) < 60:
        return True
    return len(runs) >= 4 and (runs[:2] == ["192", "168"] or runs[0] in {"10", "127", "0", "255"})


def _decimals(text: str) -> int:
    return sum(1 for c in text if c.isdecimal())


def _hex(run: str) -> bool:
    return all(c in "0123456789abcdefABCDEF" for c in run)


def _surprises(run: str) -> int:
    """Characters that neither repeat the one before nor count on from it, as in 0000 and 1234."""
    return 1 + sum(1 for one, two in pairwise(run) if ord(two) - ord(one) not in {0, 1})


def _bits(run: str) -> float:
    small = run.lower()
    digits = _decimals(run)
    if digits and _hex(run):
        return 4.0 * _surprises(run)
    each = _LETTER if not digits else log2(36)
    return (each if run in {small, run.upper()} else each + 0.8) * _surprises(run)


def _kind(run: str) -> str:
    return "hexadecimal digits" if _hex(run) else "letters and digits in no readable order"
