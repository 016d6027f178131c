"""The readability judge on real device payloads: what it finds, what it flags wrongly, and how fast it is.

    ./image/userland run -- python3 -m tests.bench.readability [FOLDER]

FOLDER holds readable.jsonl, smuggled.jsonl and sham_controls.jsonl (MUDROOM_CORPUS, or ../shared/corpus/public beside the
checkout). Vendors are split by a hash of their names: rules were made while looking at documents of the first part; of the
rest only sums were seen.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.standard.document import LIMIT, line_judged
from gateway.standard.textmodel import code_length

GOAL_FAMILIES = ("file_shape", "envelope", "unicode", "text_encoding", "shaped_ids")
GOAL_BITS = 128

# What answers a carrier that one document cannot show: the canonical form removes it, or the leak bound charges it.
REMOVED = {
    "json_whitespace": "canonical form writes no white space",
    "number_format": "canonical form writes each number in one way",
    "trailing_spaces": "spaces at the ends of a text do not leave, nor two beside each other",
    "timestamp_low_digits": "rounded to the grain (1 s or more); the rest is charged",
    "unicode_normalisation": "text is brought into NFC",
    "empty_value_choice": "no place: a field has one declared type, and null at most",
    "key_names": "no place: names are declared",
    "tree_shape": "no place: shape is declared; lengths of arrays are charged",
}
CHARGED = {
    "bip39_words": "text model",
    "diceware_words": "text model",
    "markov_sentences": "text model",
    "syllable_names": "text model",
    "short_field_chunks": "text model, where there is free text at all",
    "array_order": "text model or choice, value by value",
    "int8_signed_array": "by range and step",
    "int_array_bytes": "by range and step",
    "int32_array": "by range and step",
    "float64_packed": "by range and step",
    "random_enum": "by choice",
    "sensor_lsb": "by range and step, rounded to the step",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the corpus with its verdict."""

    source: str
    bits: float
    readable: bool
    facts: dict[str, Any]


def folder(words: list[str]) -> Path:
    """Where the corpus is."""
    beside = Path(__file__).parents[3] / "shared" / "corpus" / "public"
    return Path(words[0] if words else os.environ.get("MUDROOM_CORPUS", str(beside)))


def judged(path: Path) -> Iterator[Line]:
    """The judge sees of each line its id and its document, and nothing that says what it is."""
    with path.open("rb") as file:
        for text in file:
            facts = json.loads(text)
            seen = {name: facts[name] for name in ("id", "raw", "payload") if name in facts}
            answer = line_judged(json.dumps(seen, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            yield Line(facts["source"], answer["hidden_bits"], answer["readable"], facts)


def part(source: str) -> str:
    """Which part of the split a vendor is in."""
    first, second, *_ = hashlib.sha256(source.encode()).digest()
    return "made on" if first % 2 == 0 or second % 2 == 0 else "held out"


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one part: false alarms and clean documents, found and hidden documents of the goal's families, shams.

    ``original_alarms``: shams whose host or donor is flagged; ``splice_alarms``: shams flagged though neither of the two is.
    """

    alarms: int
    clean: int
    found: int
    hidden: int
    shams: int
    sham_alarms: int
    original_alarms: int
    splice_alarms: int


def result(readable: list[Line], smuggled: list[Line], shams: list[Line], chosen: Callable[[str], bool]) -> Result:
    """The goal's figures for the vendors that are chosen."""
    clean = [line for line in readable if chosen(line.source) and not line.facts["hard"] and not line.facts["opaque_blob"]]
    hidden = [
        line
        for line in smuggled
        if chosen(line.source) and line.facts["family"] in GOAL_FAMILIES and line.facts["bits_hidden"] >= GOAL_BITS
    ]
    mine = [line for line in shams if chosen(line.source)]
    verdicts = {line.facts["id"]: line for line in readable}
    origins = [[verdicts[line.facts[name]] for name in ("host_id", "donor_id") if line.facts[name] in verdicts] for line in mine]
    of_originals = [any(not line.readable for line in origin) for origin in origins]
    return Result(
        sum(not line.readable for line in clean),
        len(clean),
        sum(not line.readable for line in hidden),
        len(hidden),
        len(mine),
        sum(not line.readable for line in mine),
        sum(of_originals),
        sum(not line.readable and not known for line, known in zip(mine, of_originals, strict=True)),
    )


def carriers(smuggled: list[Line], readable: list[Line]) -> Iterator[tuple[str, str, int, int, float, str]]:
    """For each carrier: family, name, found, all (128 bits or more where there are such), share estimated, what answers it."""
    hosts = {line.facts["id"]: line for line in readable}
    rows: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in smuggled:
        rows[line.facts["family"], line.facts["carrier"]].append(line)
    for (family, carrier), lines in sorted(rows.items()):
        large = [line for line in lines if line.facts["bits_hidden"] >= GOAL_BITS] or lines
        found = sum(not line.readable for line in large)
        share = sum(line.bits for line in lines) / sum(line.facts["bits_hidden"] for line in lines)
        if found >= 0.9 * len(large):
            answer = "found"
        elif carrier in REMOVED:
            answer = "removed: " + REMOVED[carrier]
        elif carrier in CHARGED:
            answer = f"charged {100 * charge(lines, hosts):.0f} % of what it hides: {CHARGED[carrier]}"
        else:
            answer = "missed"
        yield family, carrier, found, len(large), share, answer


def charge(lines: list[Line], hosts: dict[str, Line]) -> float:
    """Bits that a declaration charges for each bit that a carrier hides, in the leaves that the document has beyond its host's.

    Values that repeat as a choice of those that occur; else a text by the text model, as free text, and numbers by the
    narrowest range and step that admit them.
    """
    charged = hidden = 0.0
    for line in lines:
        host = hosts.get(line.facts["host_id"])
        if host is None:
            continue
        hidden += line.facts["bits_hidden"]
        before = Counter(map(repr, _leaves(host.facts["payload"])))
        new = []
        for leaf in _leaves(line.facts["payload"]):
            if before[repr(leaf)] > 0:
                before[repr(leaf)] -= 1
            else:
                new.append(leaf)
        kinds = set(map(repr, new))
        if 2 * len(kinds) <= len(new):
            charged += len(new) * math.log2(len(kinds) + 1)
            continue
        charged += sum(code_length(leaf, 512) for leaf in new if isinstance(leaf, str) and len(leaf) > 3)
        numbers = [leaf for leaf in new if isinstance(leaf, int | float) and not isinstance(leaf, bool)]
        if numbers:
            step = min(10.0 ** Decimal(repr(one)).as_tuple().exponent if isinstance(one, float) else 1.0 for one in numbers)
            charged += len(numbers) * math.log2((max(numbers) - min(numbers)) / step + 1)
    return charged / hidden if hidden else 0.0


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def main() -> None:
    """Prints the tables of docs/benchmarks.md."""
    place = folder(sys.argv[1:])
    readable, smuggled, shams = (list(judged(place / f"{name}.jsonl")) for name in ("readable", "smuggled", "sham_controls"))
    print(f"limit: {LIMIT:.0f} bits\n")
    print(f"| vendors | false alarms | found, {GOAL_BITS} bits or more | shams flagged | originals | by the splice |")
    print("|---|---|---|---|---|---|")
    for name, chosen in (
        ("made on", lambda source: part(source) == "made on"),
        ("held out", lambda source: part(source) == "held out"),
        ("all", lambda source: True),
    ):
        r = result(readable, smuggled, shams, chosen)
        print(
            f"| {name} | {r.alarms} of {r.clean} ({100 * r.alarms / r.clean:.2f} %) | {r.found} of {r.hidden} "
            f"({100 * r.found / r.hidden:.1f} %) | {r.sham_alarms} of {r.shams} | {r.original_alarms} | {r.splice_alarms} |"
        )
    print("\n| family | carrier | found | estimated of hidden bits | what answers it |\n|---|---|---|---:|---|")
    for family, carrier, found, all_, share, answer in carriers(smuggled, readable):
        print(f"| {family} | {carrier} | {found} of {all_} | {100 * share:.0f} % | {answer} |")
    begun = time.process_time()
    count = size = 0
    for path in (place / "readable.jsonl", place / "smuggled.jsonl"):
        with path.open("rb") as file:
            for text in file:
                line_judged(text)
                count, size = count + 1, size + len(text)
    spent = time.process_time() - begun
    print(f"\n{count} lines, {size / 1e6:.1f} MB: {1e6 * spent / count:.0f} µs a line, {size / 1e6 / spent:.1f} MB/s")


if __name__ == "__main__":
    main()
