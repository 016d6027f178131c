"""Builds gateway/standard/textmodel.xz, the table of the text model, from text that we may use. Run once, by hand:

    pip download --no-deps Django==5.2.19 Babel==2.18.0 && unzip both into DIRECTORY
    python3 -m tests.texttable DIRECTORY

What it reads: the translated messages of Django (BSD-3-Clause) and the names of countries, languages, units, months and
days of the Unicode CLDR as Babel packs it (BSD-3-Clause, Unicode-3.0) in some thirty languages; the docstrings of Python's own
library (PSF-2.0); this project's documents. Of the text only counts of three characters in a row go into the table.
"""

from __future__ import annotations

import ast
import lzma
import math
import pickle
import random
import re
import sys
import sysconfig
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gateway.standard import textmodel
from gateway.standard.textmodel import SYMBOLS, TABLE, symbols_of

ROOT = Path(__file__).parents[1]
LANGUAGES = (
    *("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "pl", "cs", "sk", "hu", "ro", "hr", "sl", "tr"),
    *("et", "lv", "lt", "ca", "ga", "is", "af", "id", "el", "ru", "uk", "bg", "zh", "ja", "ko"),
)
SHARE = {"en": 6.0, "de": 2.0, "fr": 2.0, "es": 2.0}  # of the characters, against one for each other language
EACH = 60_000  # characters for a share of one


def messages(folder: Path, language: str) -> Iterator[str]:
    """Django's messages in a language."""
    for path in sorted(folder.glob(f"django/**/locale/{language.replace('zh', 'zh_Hans')}/LC_MESSAGES/*.po")):
        text = re.sub(r'"\n"', "", path.read_text())
        for line in re.findall(
            r'^msg(?:str|id)(?:\[\d\])? "(.+)"$' if language == "en" else r'^msgstr(?:\[\d\])? "(.+)"$', text, re.M
        ):
            yield re.sub(r"%\(\w+\)s|%[sd]|\\.", " ", line)


def names(folder: Path, language: str) -> Iterator[str]:
    """CLDR's names in a language."""
    with (folder / "babel" / "locale-data" / f"{language}.dat").open("rb") as file:
        data = pickle.load(file)  # of a package that pip checked
    for part in ("territories", "languages", "currency_names", "unit_display_names", "months", "days", "date_fields"):
        yield from _texts(data.get(part))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)


def docstrings() -> Iterator[str]:
    """Sentences of Python's library."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                yield from re.split(r"\n\n|(?<=[.:]) +", re.sub(r"[ \n]+", " ", ast.get_docstring(node) or ""))


def identifiers(lines: list[str], dice: random.Random) -> Iterator[str]:
    """Names as programs write them, of words that stand side by side."""
    for line in lines:
        found = re.findall(r"[a-z]{3,12}", line)[:3]
        if len(found) < 2:
            continue
        count = str(dice.randrange(100))
        yield dice.choice(
            [
                found[0] + "".join(word.title() for word in found[1:]),
                "".join(word.title() for word in found),
                "_".join(found),
                "_".join(found).upper(),
                "-".join(found),
                found[0].title() + " " + count,
                found[0] + "_" + count,
                f"{dice.randrange(100)}.{dice.randrange(10)} " + found[0],
            ]
        )


def training(folder: Path) -> list[str]:
    """All texts, in the shares wanted."""
    dice = random.Random(4)  # the same table at each run
    chosen: list[str] = []
    for language in LANGUAGES:
        lines = [*messages(folder, language), *names(folder, language)]
        if language == "en":
            lines += [*docstrings(), *re.split(r"\n", "\n".join(p.read_text() for p in sorted((ROOT / "docs").glob("*.md"))))]
            lines = [line for line in lines if line.isprintable()]
            chosen += identifiers(lines, dice)
        dice.shuffle(lines)
        left = EACH * SHARE.get(language, 1.0)
        for line in lines:
            text = unicodedata.normalize("NFC", line.strip())
            if text and left > 0:
                chosen.append(text)
                left -= len(text)
    return chosen


def table(texts: list[str]) -> bytes:
    """Costs in sixteenths of a bit, by context and symbol: SYMBOLS**3 bytes. Witten and Bell's interpolation of counts."""
    one, two, three = Counter[int](), Counter[tuple[int, int]](), Counter[tuple[int, int, int]]()
    for text in texts:
        first = second = 0
        for symbol in [*symbols_of(text), 0]:
            one[symbol] += 1
            two[second, symbol] += 1
            three[first, second, symbol] += 1
            first, second = second, symbol
    total = sum(one.values())
    uniform = 1 / SYMBOLS
    base = [0.98 * one[s] / total + 0.02 * uniform for s in range(SYMBOLS)]
    rows2: list[list[float]] = []
    for second in range(SYMBOLS):
        seen = [two[second, s] for s in range(SYMBOLS)]
        rows2.append(_mixed(seen, base))
    costs = bytearray()
    for first in range(SYMBOLS):
        for second in range(SYMBOLS):
            seen = [n if n > 1 else 0 for n in (three[first, second, s] for s in range(SYMBOLS))]
            row = _mixed(seen, rows2[second]) if any(seen) else rows2[second]
            row = [0.99 * p + 0.01 * uniform for p in row]
            costs += bytes(min(255, math.ceil(-16 * math.log2(p) - 1e-9)) for p in row)
    return bytes(costs)


def _mixed(seen: list[int], below: list[float]) -> list[float]:
    count, kinds = sum(seen), sum(1 for n in seen if n)
    if not count:
        return below
    return [(n + kinds * p) / (count + kinds) for n, p in zip(seen, below, strict=True)]


def main() -> None:
    """Writes the table and prints what it makes of its own text."""
    sys.path.insert(0, sys.argv[1])  # CLDR, as Babel packs it, names classes of Babel
    texts = training(Path(sys.argv[1]))
    common = Counter(c for text in texts for c in text if ord(c) > 0x7E and textmodel.script(c) in {"", "Latin"})
    print("most common beyond ASCII:", "".join(c for c, _ in common.most_common(60)))
    print("symbols:", "".join(textmodel.BEYOND))
    costs = table(texts)
    path = Path(TABLE)
    path.write_bytes(lzma.compress(costs, preset=9))
    symbols = sum(len(text) + 1 for text in texts)
    print(f"{symbols} characters of {len(texts)} texts; {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
