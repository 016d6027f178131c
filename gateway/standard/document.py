"""How many bits a JSON document without a schema could carry unread. It must never answer with anything but a verdict.

It asks of each value what Clear Envelope could declare of it: a boolean, a number with a step, a time, a choice, a text that can
be read. What it could declare says what it means; the rest is opaque and counts at the choice that it leaves. Then come the
choices of spelling that the canonical form takes away: white space, number format, escapes, names twice.
Equal values count once. Work and memory are linear in the size of the line.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.standard import spelling_out, timestamps
from gateway.standard.canonical import MAX_INTEGER
from gateway.standard.reading import ADDRESSES, NAMES, opaque
from gateway.standard.refusal import MAX_POINTER, bounded, token

# Bits of one kind from which a document counts as not readable. Real payloads hold honest names, versions and serial numbers
# of some hundred bits, so that a limit at what a short key takes would mostly find those.
LIMIT = 170.0
MAX_LINE = 8 * 1024 * 1024  # bytes

_ALL_NAMES = 72.0  # bits of models, codes and short names together: they tell what a product is, and could be declared as choices
_FEW = 3  # addresses that a home's devices name; each further one counts in full

_DIGIT = math.log2(10)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``hidden_bits``: an estimate; ``readable``: whether that is little; ``worst``: JSON Pointer to the most; ``why``: words."""

    hidden_bits: float
    readable: bool
    worst: str
    why: str


@dataclass(slots=True)
class _Account:
    """What has been found so far, by kind of finding."""

    places: dict[str, dict[str, float]] = field(default_factory=dict)  # kind -> pointer -> bits
    kinds: dict[str, float] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    names: float = 0.0  # bits
    addresses: int = 0  # how many
    last: dict[int, str] = field(default_factory=dict)  # the last part of each length

    def fresh(self, part: str) -> float:
        """The share of ``part`` that the one before it did not have in the same place: serials often differ in their ends."""
        before = self.last.get(len(part))
        self.last[len(part)] = part
        if before is None:
            return 1.0
        return min(1.0, 1.15 * sum(1 for one, two in zip(part, before, strict=True) if one != two) / len(part))

    def new(self, value: str) -> bool:
        """Whether it is the first such value: what is repeated says nothing more."""
        known = len(self.seen)
        self.seen.add(value)
        return len(self.seen) > known

    def add(self, bits: float, what: str, pointer: str) -> None:
        if what == NAMES:
            bits = min(bits, _ALL_NAMES - self.names)
            self.names += bits
        if bits <= 0:
            return
        self.kinds[what] = self.kinds.get(what, 0.0) + bits
        places = self.places.setdefault(what, {})
        if pointer in places or len(places) < 1024:
            places[pointer] = places.get(pointer, 0.0) + bits

    def verdict(self) -> Verdict:
        # Of different kinds the largest counts, or a third of all: a long honest document holds a little of each, and shall not
        # add up to a secret; a secret in slices of each kind shall not stay below the limit either.
        bits = max(max(self.kinds.values(), default=0.0), sum(self.kinds.values()) / 3)
        kind = max(self.kinds, key=lambda one: self.kinds[one], default="")
        places = self.places.get(kind, {})
        worst = max(places, key=lambda place: places[place], default="")
        readable = bits < LIMIT
        if not self.kinds:
            return Verdict(0.0, True, "", "all of it can be read")
        parts = sorted(self.kinds, key=lambda kind: -self.kinds[kind])[:3]
        why = "; ".join(f"{kind} ({round(self.kinds[kind])} bits)" for kind in parts)
        if not readable:
            why += "; declare what it means as number, time, choice or readable text, or leave it out"
        return Verdict(round(bits, 1), readable, bounded(worst, MAX_POINTER), why)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class Members:
    """An object as it was written: names in order, twice where they were."""

    pairs: tuple[tuple[str, Any], ...]


_decoder = json.JSONDecoder(
    object_pairs_hook=lambda pairs: Members(tuple(pairs)), parse_int=Number, parse_float=Number, parse_constant=Number
)


def line_judged(line: bytes) -> dict[str, Any]:
    """The answer to one line ``{"id", "raw" or "payload"}``: ``id`` and the members of a Verdict. Raises nothing.

    ``raw`` is the document's own text, ``payload`` the document where its spelling is of no account.
    """
    name: Any = None
    try:
        name, verdict = _line(line)
    except Exception as error:  # whatever it is: an answer, and not a good one
        verdict = _unjudged(len(line), f"could not be judged ({type(error).__name__})")
    return {"id": name, **asdict(verdict)}


def _line(line: bytes) -> tuple[Any, Verdict]:
    if len(line) > MAX_LINE:
        return None, _unjudged(len(line), f"longer than {MAX_LINE} bytes; send it in parts")
    try:
        tree = _decoder.decode(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        return None, _unjudged(len(line), f"{_not_json(error)} on this line")
    found = tree.pairs if isinstance(tree, Members) else ()
    names = [value for name, value in found if name == "id" and isinstance(value, str)]
    name = bounded(names[0], MAX_POINTER) if len(names) == 1 else None
    for wanted in ("raw", "payload"):
        values = [value for name, value in found if name == wanted]
        if len(values) == 1 and (wanted == "payload" or isinstance(values[0], str)):
            return name, judged(values[0]) if wanted == "raw" else _tree_judged(values[0], _Account())
        if values:
            break
    return name, _unjudged(len(line), 'not an object with one "raw" (a text) or one "payload"')


def judged(text: str) -> Verdict:
    """The verdict on a JSON text, its spelling included."""
    try:
        tree = _decoder.decode(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return _unjudged(len(text), _not_json(error))
    account = _Account()
    for bits, what in spelling_out.choices(text):
        account.add(bits, what, "")
    return _tree_judged(tree, account)


def _tree_judged(tree: Any, account: _Account) -> Verdict:
    _walk(tree, account)
    return account.verdict()


def _not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} (character {error.pos}); send one JSON value"
    if isinstance(error, RecursionError):
        return "objects and arrays inside each other without end; send it flatter"
    return "not UTF-8; send JSON in UTF-8"


def _unjudged(size: int, why: str) -> Verdict:
    """Of what could not be read as a document, all could be hidden."""
    return Verdict(8.0 * size, False, "", why)


def _walk(tree: Any, account: _Account) -> None:
    """All leaves and names, each with its pointer, without recursion."""
    times: dict[timestamps.Time, str] = {}
    stack: list[tuple[Any, str, bool]] = [(tree, "", False)]
    while stack:
        value, pointer, series = stack.pop()
        if isinstance(value, Members):
            twice = len(value.pairs) - len({name for name, _ in value.pairs})
            account.add(8.0 * twice, "member names that occur twice", pointer)
            for name, inner in reversed(value.pairs):
                place = _below(pointer, name)
                if account.new(name):
                    _text(name, place, account)
                stack.append((inner, place, False))
        elif isinstance(value, list):
            stack.extend((inner, _below(pointer, str(at)), len(value) >= 4) for at, inner in reversed(list(enumerate(value))))
        elif isinstance(value, Number):
            if account.new(value.text):
                account.add(*_number(value.text, series), pointer)
        elif isinstance(value, str) and account.new(value):
            when = timestamps.read(value)
            if when is None:
                _text(value, pointer, account)
            else:
                times.setdefault(when, pointer)
    finest = times[max(times, key=lambda when: when.digits)] if times else ""
    account.add(timestamps.hidden(list(times)), "times that lie anywhere, to the microsecond", finest)


def _below(pointer: str, step: str) -> str:
    """A place inside ``pointer``; deep ones are cut, so that a deep document does not cost its square."""
    return f"{pointer}/{token(step)}" if len(pointer) < MAX_POINTER else pointer


def _text(text: str, pointer: str, account: _Account) -> None:
    for bits, what, part, full in opaque(text):
        if part.lower() not in account.parts:
            account.parts.add(part.lower())
            account.addresses += what == ADDRESSES
            price = full if what == ADDRESSES and account.addresses > _FEW else bits
            account.add(price * account.fresh(part), what, pointer)


def _number(text: str, series: bool) -> tuple[float, str]:
    """Bits of a number beyond what a declared step could mean, and the words for them. ``series``: it stands among others."""
    value = float(text) if len(text) <= 400 else math.inf
    if not math.isfinite(value) or abs(value) > MAX_INTEGER or 0 < abs(value) < 1e-12:
        return (
            _DIGIT * len(text) if text.isdecimal() else min(64.0, _DIGIT * len(text))
        ), "numbers beyond what a declared range can hold"
    if abs(value) > 2**24 and value.is_integer() and not any(low <= value < high for low, high in _CLOCKS):
        bits = max(0.0, math.log2(abs(value)) - 12)
        return (bits if series else bits / 4), "large numbers of no known meaning"  # a counter has a name of its own
    return 0.0, ""


_CLOCKS = ((1.0e9, 2.2e9), (1.0e12, 2.2e12), (1.0e15, 2.2e15))  # times in seconds, milliseconds, microseconds since 1970
