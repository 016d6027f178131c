"""Carriers that hide in free text: cipher text in all dress, words, and what looks the same and is not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence

from tests.home.arena.carrier import Carrier, Group, envelope, payload_of, post

# 64 words: six bits each, as diceware has it (Reinhold 1995), from what people say of their homes.
LIST = (
    "air all back bath bed bell blue book bread bright call calm chair clean clock cold cook cool cup dark day desk door dry "
    "early evening fan fine floor food garden glass good green hall heat home hot kitchen lamp late light low milk moon morning "
    "music night note open paper plant quiet rain red room seat sleep slow snow soft stairs table tea"
)
WORDS = LIST.split()
WHO = ("The owner", "A guest", "My neighbour", "The child", "Somebody", "The cat", "The dog", "Nobody")
DID = ("opened", "closed", "saw", "left", "found", "cleaned", "moved", "checked")
WHAT = ("the door", "the window", "a lamp", "the heating", "the bell", "a chair", "the garden gate", "the kitchen light")
WHEN = ("in the morning", "at noon", "last night", "before dinner", "after work", "on Sunday", "just now", "a while ago")
SENTENCE = "a peaceful space on our coast once or more"  # with many letters that have a Cyrillic twin
TWINS = dict(zip("aceopx", "асеорх", strict=True))  # noqa: RUF001
ACCENTED = "é à ü ö ñ ç ê å"


def _written(text: str) -> bytes:
    return json.dumps(envelope({"text": text}, "text"), ensure_ascii=False).encode()


def _text(
    name: str, bits: int, to: Callable[[int], str], back: Callable[[str], int | None], *, group: Group = Group.VALUE
) -> Carrier:
    return Carrier(
        f"text: {name}", group, bits, lambda s: post(_written(to(s)), "text"), lambda line: back(payload_of(line)["text"])
    )


def _coded(name: str, encode: Callable[[bytes], bytes], decode: Callable[[bytes], bytes]) -> Carrier:
    return _text(
        name, 128, lambda s: encode(s.to_bytes(16)).decode(), lambda text: int.from_bytes(decode(text.encode()))
    )  # fmt: skip


def _from_lists(
    lists: Sequence[Sequence[str]], between: str, end: str
) -> tuple[int, Callable[[int], str], Callable[[str], int | None]]:
    """A text of one choice from each list, each as long as a power of two."""
    widths = [len(choices).bit_length() - 1 for choices in lists]

    def write(symbol: int) -> str:
        parts = []
        for choices, width in zip(lists, widths, strict=True):
            parts.append(choices[symbol & (1 << width) - 1])
            symbol >>= width
        return between.join(parts) + end

    def read(text: str) -> int | None:
        text = text.removesuffix(end) + between
        symbol = shift = 0
        for choices, width in zip(lists, widths, strict=True):
            place = next((n for n, choice in enumerate(choices) if text.startswith(choice + between)), None)
            if place is None:
                return None
            symbol |= place << shift
            shift += width
            text = text[len(choices[place]) + len(between) :]
        return symbol

    return sum(widths), write, read


def _either(
    plain: str, other: Callable[[str], str], where: Callable[[str], bool]
) -> tuple[int, Callable[[int], str], Callable[[str], int]]:
    """A text in which each of some characters stands in one of two forms."""
    places = [place for place, character in enumerate(plain) if where(character)]

    def write(symbol: int) -> str:
        characters = list(plain)
        for number, place in enumerate(places):
            if symbol >> number & 1:
                characters[place] = other(plain[place])
        return "".join(characters)

    def read(text: str) -> int:
        symbol = at = number = 0
        for place, character in enumerate(plain):
            found = character
            if place in places:
                changed = other(character)
                if text.startswith(changed, at):
                    symbol |= 1 << number
                    found = changed
                number += 1
            at += len(found)
        return symbol

    return len(places), write, read


def _decomposed(character: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFD", character)


def _nested(symbol: int) -> str:
    return json.dumps({"v": 1, "data": [symbol >> shift & 0xFF for shift in range(0, 64, 8)]}, separators=(",", ":"))


def _unnested(text: str) -> int:
    return sum(value << 8 * place for place, value in enumerate(json.loads(text)["data"]))


TEXTS = (
    _coded("hexadecimal", lambda raw: raw.hex().encode(), lambda text: bytes.fromhex(text.decode())),
    _coded("base64", base64.b64encode, base64.b64decode),
    _coded("base32", base64.b32encode, base64.b32decode),
    _coded("base85", base64.b85encode, base64.b85decode),
    _text("decimal digits", 128, str, int),
    _text("in the manner of a UUID", 128, lambda s: "-".join((h := f"{s:032x}", h[:8], h[8:12], h[12:16], h[16:20], h[20:])[1:]),
          lambda text: int(text.replace("-", ""), 16)),
    _text("words of a list (diceware)", *_from_lists([WORDS] * 8, " ", "")),
    _text("sentences of a grammar", *_from_lists((WHO, DID, WHAT, WHEN), " ", ".")),
    _text("look-alike letters", *_either(SENTENCE, lambda c: TWINS[c], lambda c: c in TWINS)),
    _text("large and small letters", *_either("please turn the heating down a little", str.upper, str.isalpha)),
    _text("composed or not (NFC, NFD)", *_either(ACCENTED, _decomposed, lambda c: c != " "), group=Group.FORM),
    _text("one space or two", *_either("the lamp in the hall is on since this morning", lambda _: "  ", str.isspace),
          group=Group.FORM),
    _text("spaces around it", 4, lambda s: " " * (s >> 2) + "the lamp is on" + " " * (s & 3),
          lambda text: len(text) - len(text.lstrip()) << 2 | len(text) - len(text.rstrip()), group=Group.FORM),
    _text("hyphens and minus signs", *_either("a-b-c-d-e-f-g-h", lambda _: "\u2212", lambda c: c == "-"), group=Group.FORM),
    _text("dotless letters (Turkish)", *_either("bir iki istek iyi isim", lambda _: "\u0131", lambda c: c == "i")),
    _text("JSON inside", 64, _nested, _unnested),
    _text("Chinese characters", 64, lambda s: "".join(chr(0x4E00 + (s >> 8 * n & 0xFF)) for n in range(8)),
          lambda text: sum(ord(c) - 0x4E00 << 8 * n for n, c in enumerate(text))),
    _text("its length", 7, lambda s: "x" * s, len),
)  # fmt: skip
