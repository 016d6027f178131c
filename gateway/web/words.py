"""Payloads as lines that a person reads: title, value and unit; before and after side by side. Pure.

Whatever a device or a vendor wrote comes out as plain text without control and bidirectional characters; escaping for HTML is
the templates'. It must never drop a field in silence: what is beyond the bounds is said to be there.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.plain import plain
from gateway.standard.refusal import token
from gateway.standard.schema import Schema
from gateway.standard.wording import unit

MOST_LINES = 400
MOST_VALUE = 2048  # characters
MOST_DEPTH = 32
MOST_RAW = 200_000
MOST_LAID = 4 * 1024 * 1024  # length times depth: what is laid out grows with both, and a device chooses them
_BRACKETS = re.compile(r"[][{}]")
RANKS = {"number": 0, "integer": 0, "boolean": 1, "string": 2, "array": 3, "object": 3}


@dataclass(frozen=True, slots=True)
class Line:
    """One field. ``before`` and ``after``: values in words, None where it was not there; ``withheld``: by a rule."""

    pointer: str
    title: str
    before: str | None
    after: str | None
    withheld: bool = False

    @property
    def changed(self) -> bool:
        """Whether what left differs from what the device sent."""
        return self.before != self.after


def value(schema: Schema | None, found: Any) -> str:
    """One value in words."""
    if found is None:
        return "nothing (null)"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, str):
        return cut(plain(found), MOST_VALUE)
    if isinstance(found, int | float):
        return f"{_number(found)}{unit(schema) if schema else ''}"
    return "none" if not found else cut(plain(json.dumps(found, ensure_ascii=False)), MOST_VALUE)


def _number(found: int | float) -> str:
    if isinstance(found, int):
        return f"{found:,}" if abs(found) < 10**15 else f"{found:.3e}" if abs(found) < 10**300 else "a very large number"
    text = repr(found)
    return text if "e" in text else f"{found:,}".removesuffix(".0")


def cut(text: str, most: int) -> str:
    """At most so many characters, and a sign where there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def leaves(
    schema: Schema | None, found: Any, pointer: str = "", title: str = "", depth: int = 0
) -> Iterator[tuple[str, str, str]]:
    """Every value of a payload: pointer, title, words. An empty group or list is a value, too."""
    if isinstance(found, dict) and found and depth < MOST_DEPTH:
        known = dict(schema.properties) if schema is not None and schema.type == "object" else {}
        for name in _telling(schema if known else None, found):
            inner = known.get(name)
            own = plain(inner.title) if inner is not None and inner.title else cut(plain(name), 64)
            yield from leaves(inner, found[name], f"{pointer}/{token(name)}", f"{title}: {own}" if title else own, depth + 1)
    elif isinstance(found, list) and found and depth < MOST_DEPTH:
        inner = schema.items if schema is not None and schema.type == "array" else None
        for index, item in enumerate(found):
            yield from leaves(inner, item, f"{pointer}/{index}", f"{title} {index + 1}", depth + 1)
    else:
        yield pointer, title or "everything", value(schema, found)


def _telling(schema: Schema | None, names: dict[str, Any]) -> list[str]:
    """A group's members, what tells most first: what must be there before what may, measures before texts and times."""
    known = dict(schema.properties) if schema is not None else {}

    def rank(name: str) -> tuple[bool, bool, int]:
        kind = known[name].type if name in known else ""
        free = kind == "string" and not known[name].enum
        return kind == "time", schema is None or name not in schema.required, RANKS.get(kind, 5) + 3 * free

    return sorted(names, key=rank)


def sheet(schema: Schema | None, before: Any, after: Any, withheld: tuple[str, ...] = ()) -> tuple[list[Line], int]:
    """Before and after, field by field, and how many lines are beyond the bound. ``withheld``: pointers into the payload."""
    sent, left = (
        {pointer: (title, words) for pointer, title, words in leaves(schema, tree)} if tree != {} else {}
        for tree in (before, after)
    )
    lines = []
    for pointer in (*left, *(p for p in sent if p not in left)):
        title = (left.get(pointer) or sent[pointer])[0]
        hidden = any(pointer == each or pointer.startswith(each + "/") for each in withheld)
        was, now = sent.get(pointer), left.get(pointer)
        lines.append(Line(pointer, title, was[1] if was else None, now[1] if now else None, hidden))
    told = {line.pointer for line in lines}
    lines += [Line(each, cut(plain(each), 128), None, None, True) for each in withheld if each not in told]
    return lines[:MOST_LINES], max(len(lines) - MOST_LINES, 0)


def opened(text: bytes) -> Any:
    """JSON that was on record; None where it is none (an answer may be anything, a refused message too)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def raw(text: bytes) -> str:
    """A record's bytes as text for reading: JSON laid out, everything else, and what would get too long by that, as it is."""
    shown = text.decode(errors="replace")
    found = opened(text) if len(text) * _depth(shown) <= MOST_LAID else None
    if found is not None:
        shown = json.dumps(found, indent=2, ensure_ascii=False)
    return "\n".join(plain(line) for line in cut(shown, MOST_RAW).split("\n"))


def _depth(text: str) -> int:
    """How deeply a JSON text nests at the most: brackets within texts count, too."""
    most = depth = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most


def withheld_of(envelope: Any) -> tuple[str, ...]:
    """Pointers into the payload of what the envelope says is withheld."""
    found = envelope.get("withheld") if isinstance(envelope, dict) else None
    texts = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    return tuple(each.removeprefix("/payload") for each in texts[:MOST_LINES])


def ago(nanoseconds: int, now: float | None = None) -> str:
    """How long ago, in words; "never" for 0."""
    if not nanoseconds:
        return "never"
    seconds = (time.time() if now is None else now) - nanoseconds / 1e9
    if seconds < 45:
        return "just now"
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size * 0.75:
            number = max(round(seconds / size), 1)
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    return "just now"


def moment(nanoseconds: int) -> str:
    """Local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(nanoseconds / 1e9)) if nanoseconds else ""


def stamp(nanoseconds: int) -> str:
    """For a `time` element's `datetime`."""
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if nanoseconds else ""


def times(count: int) -> str:
    """How often."""
    return "once" if count == 1 else "twice" if count == 2 else f"{count:,} times"
