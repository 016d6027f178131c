"""One rule of the owner's: what it matches and what it does, read from TOML and checked when it is made.

It must never be lenient: a word that it does not know is an error that names file, line, rule, word and remedy, for a rule
that is half understood would protect less than its owner believes.

A file is a list of tables ``[[rule]]``:

- ``name`` (1 to 64 of a-z, 0-9 and inner hyphens; once in the whole folder), ``do``, ``note`` (for people),
- whom it is for, each a text or a list of texts, absent: any: ``device``, ``kind``, ``vendor`` (the manifest's vendor name),
  ``type`` (message type); ``purpose``: a text that stands in the type's declared purpose, in capitals or not;
  ``use``: of the registry of purposes, or "unsaid" where the vendor names none,
- ``field``: JSON Pointers (RFC 6901) into the envelope, from ``/payload/`` on; ``-`` stands for each item of an array; one that
  ends with ``*`` means every field whose pointer begins so,
- when it matches: ``value``, ``below``, ``above`` of ``value_of`` (a pointer; absent: the field itself); ``between`` (two times
  of day, local), ``days``; ``presence`` ("home" or "away"),
- ``do``: "allow", "withhold", "replace" (``with``), "coarsen" (``step``, ``buckets`` or ``grain``), "delay" (``seconds``),
  "limit" (``per_hour``), "deny", "quarantine".
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any, NoReturn

from gateway.standard.manifest import USES
from gateway.standard.naming import is_type_name

MAX_FILE = 262_144  # bytes
MAX_RULES = 1_000  # in all files together
MAX_CHOICES = 256  # texts, pointers, values or edges in one list
MAX_TEXT = 512
MAX_DELAY = 86_400  # seconds
MAX_LIMIT = 36_000  # messages an hour
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GRAINS = {"minute": 60, "hour": 3_600, "day": 86_400}
KINDS = ("local", "quarantined", "standard", "unknown")
ROOT = "/payload"
UNSAID = "unsaid"  # a use: the vendor names none

Scalar = str | int | float | bool


class RuleError(ValueError):
    """A file of rules cannot be used. Says where, what and the remedy."""


class Action(StrEnum):
    """What a rule does."""

    ALLOW = "allow"
    WITHHOLD = "withhold"
    REPLACE = "replace"
    COARSEN = "coarsen"
    DELAY = "delay"
    LIMIT = "limit"
    DENY = "deny"
    QUARANTINE = "quarantine"


FIELD_ACTIONS = frozenset({Action.WITHHOLD, Action.REPLACE, Action.COARSEN})
_PARAMETERS = {
    Action.REPLACE: ("with",),
    Action.COARSEN: ("step", "buckets", "grain"),
    Action.DELAY: ("seconds",),
    Action.LIMIT: ("per_hour",),
}
_VALUES = ("value", "below", "above", "value_of")
_WORDS = (
    "name", "note", "device", "kind", "vendor", "type", "purpose", "use", "field", *_VALUES, "between", "days", "presence", "do",
    "with", "step", "buckets", "grain", "seconds", "per_hour",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule. Empty tuples and None: any. ``file`` and ``line``: where it stands; ``between``: minutes of the day."""

    name: str
    do: Action
    file: str = ""
    line: int = 0
    note: str = ""
    device: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    vendor: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    purpose: str = ""
    use: tuple[str, ...] = ()
    field: tuple[str, ...] = ()
    value_of: str = ""
    value: tuple[Scalar, ...] = ()
    below: int | float | None = None
    above: int | float | None = None
    between: tuple[int, int] | None = None
    days: frozenset[int] = frozenset()
    presence: str = ""
    constant: Scalar | None = None
    step: int | float | None = None
    buckets: tuple[int | float, ...] = ()
    grain: int = 0
    seconds: int = 0
    per_hour: int = 0

    @property
    def looks_at_value(self) -> bool:
        """Whether what the device says decides about it."""
        return bool(self.value) or self.below is not None or self.above is not None

    @property
    def always(self) -> bool:
        """Whether it matches every message of what it is for, whatever that says and whenever it comes."""
        return not (self.looks_at_value or self.between or self.days or self.presence)


@dataclass(frozen=True)
class _Table:
    """One ``[[rule]]`` being read."""

    raw: dict[str, Any]
    file: str
    line: int
    number: int
    name: str = field(default="")

    def fail(self, word: str, problem: str, remedy: str) -> NoReturn:
        called = f' "{self.name}"' if self.name else ""
        raise RuleError(f"{self.file}, line {self.line}, rule {self.number}{called}: {word}: {problem}; {remedy}")

    def texts(self, word: str) -> tuple[str, ...]:
        if word not in self.raw:
            return ()
        found = self.raw[word]
        several = found if isinstance(found, list) else [found]
        if not 1 <= len(several) <= MAX_CHOICES or not all(isinstance(text, str) for text in several):
            self.fail(
                word, f"is a text, or a list of 1 to {MAX_CHOICES} texts", 'write for example "plug-1" or ["plug-1", "plug-2"]'
            )
        for text in several:
            if not 1 <= len(text) <= MAX_TEXT or not text.isprintable():
                self.fail(word, f"each text has 1 to {MAX_TEXT} printable characters", "correct it")
        return tuple(several)

    def text(self, word: str) -> str:
        found = self.texts(word)
        if len(found) > 1:
            self.fail(word, "is one text", "leave one")
        return found[0] if found else ""

    def number_of(self, word: str) -> int | float | None:
        found = self.raw.get(word)
        if found is not None and (type(found) not in (int, float) or not abs(found) <= 2**53 - 1):
            self.fail(word, "is a number within ±(2^53-1)", "write one without quotes")
        return found

    def whole(self, word: str, most: int, what: str) -> int:
        found = self.raw[word]
        if type(found) is not int or not 1 <= found <= most:
            self.fail(word, f"is a whole number of {what} from 1 to {most}", "correct it")
        return found


def parse(file: str, content: bytes) -> tuple[Rule, ...]:
    """The rules of one file, in its order. ``file``: its name, for what is said. Raises RuleError."""
    if not content.strip():
        # also what a reader sees while an editor writes it anew
        raise RuleError(f"{file}: the file is empty; remove it, or write a comment into it")
    if len(content) > MAX_FILE:
        raise RuleError(f"{file}: {len(content)} bytes; a file of rules has at most {MAX_FILE}: split it")
    try:
        text = content.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError:
        raise RuleError(f"{file}: not UTF-8; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RuleError(f"{file}: not TOML: {error}; correct it there") from None
    stray = next((word for word in document if word != "rule"), None)
    if stray is not None:
        raise RuleError(f"{file}: {_shown(stray)}: a file of rules holds [[rule]] tables only; remove it")
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RuleError(f"{file}: rule: each rule is a table of its own; write [[rule]] with two brackets")
    if len(tables) > MAX_RULES:
        raise RuleError(f"{file}: {len(tables)} rules; at most {MAX_RULES}: remove some")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.replace(" ", "").startswith("[[rule]]")]
    lines += [1] * (len(tables) - len(lines))
    return tuple(_rule(_Table(table, file, lines[n], n + 1)) for n, table in enumerate(tables))


def joined(files: Iterable[tuple[Rule, ...]]) -> tuple[Rule, ...]:
    """All rules in order. Raises RuleError where there are too many, or a name occurs twice."""
    rules = tuple(rule for file in files for rule in file)
    if len(rules) > MAX_RULES:
        raise RuleError(f"{len(rules)} rules in all; at most {MAX_RULES}: remove some")
    by_name: dict[str, Rule] = {}
    for rule in rules:
        other = by_name.setdefault(rule.name, rule)
        if other is not rule:
            raise RuleError(
                f'{rule.file}, line {rule.line}: name: another rule is called "{rule.name}", in {other.file}, line {other.line}; '
                "rename one of them, so that what is decided by it can be told"
            )
    return rules


def _rule(table: _Table) -> Rule:
    raw = table.raw
    name = raw.get("name")
    if not isinstance(name, str) or not is_type_name(name):
        table.fail("name", "every rule has a name of 1 to 64 of a-z, 0-9 and inner hyphens", 'write for example name = "no-room"')
    table = _Table(raw, table.file, table.line, table.number, name)
    stray = next((word for word in raw if word not in _WORDS), None)
    if stray is not None:
        table.fail(_shown(stray), "no rule has this word", f"correct it; the words are {', '.join(_WORDS)}")
    if raw.get("do") not in tuple(Action):
        table.fail("do", "says what the rule does", f"write one of {', '.join(Action)}")
    do = Action(raw["do"])
    _check_parameters(table, do)
    pointers = _pointers(table, "field")
    if do in FIELD_ACTIONS and not pointers:
        table.fail(
            "field", f'"{do}" is for fields', 'say which: field = "/payload/…"; to stop the whole message write do = "deny"'
        )
    if pointers and do not in FIELD_ACTIONS and do is not Action.ALLOW:
        table.fail("field", f'"{do}" is for whole messages', "remove it; conditions on a value say value_of")
    return Rule(
        name=name,
        do=do,
        file=table.file,
        line=table.line,
        note=table.text("note"),
        device=table.texts("device"),
        kind=_known(table, "kind", KINDS),
        vendor=table.texts("vendor"),
        type=table.texts("type"),
        purpose=table.text("purpose").casefold(),
        use=_known(table, "use", (*USES, UNSAID)),
        field=pointers,
        **_conditions(table, do, pointers),
        **_doing(table),
    )


def _check_parameters(table: _Table, do: Action) -> None:
    wanted = _PARAMETERS.get(do, ())
    for action, words in _PARAMETERS.items():
        for word in words:
            if word in table.raw and word not in wanted:
                table.fail(word, f'belongs to do = "{action}"', "remove one of the two")
    if wanted and sum(word in table.raw for word in wanted) != 1:
        table.fail("do", f'"{do}" needs {" or ".join(wanted)}', "add it" if len(wanted) == 1 else "write exactly one of them")


def _pointers(table: _Table, word: str) -> tuple[str, ...]:
    found = table.texts(word)
    for pointer in found:
        if not pointer.startswith(f"{ROOT}/") or not all(piece[:1] in {"0", "1"} for piece in pointer.split("~")[1:]):
            table.fail(
                word, f"{_shown(pointer)} is no place in a payload", f'write a JSON Pointer such as "{ROOT}/power" (RFC 6901)'
            )
        if "*" in pointer[:-1]:
            table.fail(word, "a star stands at the end only", f'write for example "{ROOT}/place/*"')
    return found


def _known(table: _Table, word: str, known: tuple[str, ...]) -> tuple[str, ...]:
    found = table.texts(word)
    for text in found:
        if text not in known:
            table.fail(word, f"{_shown(text)} is none of {', '.join(known)}", "write one of these")
    return found


def _conditions(table: _Table, do: Action, pointers: tuple[str, ...]) -> dict[str, Any]:
    raw = table.raw
    values = raw.get("value", [])
    values = values if isinstance(values, list) else [values]
    if len(values) > MAX_CHOICES or not all(type(value) in (str, int, float, bool) for value in values):
        table.fail("value", f"is a text, a number, true or false, or a list of at most {MAX_CHOICES} of them", "correct it")
    if "value" in raw and not values:
        table.fail("value", "the list is empty, so the rule would never match", "add a value, or remove it")
    found: dict[str, Any] = {"value": tuple(values), "below": table.number_of("below"), "above": table.number_of("above")}
    looks = bool(values) or found["below"] is not None or found["above"] is not None
    of = _pointers(table, "value_of")
    if len(of) > 1 or (of and of[0].endswith("*")):
        table.fail("value_of", "is one field", "name it by its whole pointer")
    if of and not looks:
        table.fail("value_of", "says whose value is looked at, but not which value", "add value, below or above, or remove it")
    if looks and not of and not pointers:
        table.fail("value_of", "a rule for whole messages that looks at a value says whose", 'write value_of = "/payload/…"')
    if looks and do in {Action.DELAY, Action.LIMIT}:
        table.fail(
            "value",
            f'"{do}" must not depend on a value: when a message comes would tell its vendor what is in it, free of charge',
            "remove it, or deny such messages",
        )
    presence = _known(table, "presence", ("home", "away"))
    found |= {
        "value_of": of[0] if of else "",
        "between": _between(table),
        "days": frozenset(DAYS.index(day) for day in _known(table, "days", DAYS)),
        "presence": presence[0] if len(presence) == 1 else "",
    }
    return found


def _between(table: _Table) -> tuple[int, int] | None:
    if "between" not in table.raw:
        return None
    times = table.texts("between")
    if len(times) != 2:
        table.fail("between", "is two times of day", 'write for example ["22:00", "06:00"]')
    first, last = (_minute(table, text) for text in times)
    if first == last:
        table.fail("between", "begins and ends at the same time", "leave it out to mean the whole day")
    return first, last


def _minute(table: _Table, text: str) -> int:
    hour, _, minute = text.partition(":")
    digits = hour + minute
    if not (len(hour) == len(minute) == 2 and digits.isascii() and digits.isdigit() and hour < "24" and minute < "60"):
        table.fail("between", f"{_shown(text)} is no time of day", 'write hours and minutes: "06:30"')
    return int(hour) * 60 + int(minute)


def _doing(table: _Table) -> dict[str, Any]:
    raw = table.raw
    found: dict[str, Any] = {}
    if "with" in raw:
        if type(raw["with"]) not in (str, int, float, bool):
            table.fail("with", "is a text, a number, true or false", "write one that the field's declaration admits")
        found["constant"] = raw["with"]
    if "step" in raw:
        found["step"] = table.number_of("step")
        if not found["step"] > 0:
            table.fail("step", "is greater than zero", "write for example step = 10")
    if "buckets" in raw:
        edges = raw["buckets"]
        listed = isinstance(edges, list) and 1 <= len(edges) <= MAX_CHOICES
        if not listed or not all(type(edge) in (int, float) and abs(edge) <= 2**53 - 1 for edge in edges):
            table.fail("buckets", f"is a list of 1 to {MAX_CHOICES} numbers", "write for example buckets = [0, 100, 1000]")
        if any(below >= above for below, above in pairwise(edges)):
            table.fail("buckets", "each edge is greater than the one before", "sort them")
        found["buckets"] = tuple(edges)
    if "grain" in raw:
        grain = GRAINS.get(raw["grain"], 0) if isinstance(raw["grain"], str) else raw["grain"]
        if type(grain) is not int or not 1 <= grain <= 86_400 or 86_400 % grain:
            table.fail("grain", "is minute, hour or day, or seconds that divide a day", 'write for example grain = "hour"')
        found["grain"] = grain
    if "seconds" in raw:
        found["seconds"] = table.whole("seconds", MAX_DELAY, "seconds")
    if "per_hour" in raw:
        found["per_hour"] = table.whole("per_hour", MAX_LIMIT, "messages")
    return found


def _shown(text: str) -> str:
    return ascii(text[:64])
