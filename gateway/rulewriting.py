"""The file of rules that `mudroom rules` and the pages write for their owner. It must never leave the folder worse than it was.

Each change is checked as part of the whole folder before it is put in place by rename(2), whole and on disk. The newest rule
stands first, so that the owner's last word decides; rules of his own hand belong in files of other names. A rule that is
switched off stands in a file beside it, which nobody reads for rules.
"""

from __future__ import annotations

import fcntl
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gateway.giving import adds
from gateway.lasting import replace_shared
from gateway.policy.rule import Action, Rule, RuleError, parse
from gateway.rules import read

OWNERS_FILE = "50-owner.toml"
OFF_FILE = ".switched-off.toml"  # hidden: no process takes it for rules
MAX_NAME = 64
_HEAD = "# Written by `mudroom rules`, which does not keep comments. The first rule that matches decides; files go by name.\n"


Tables = list[dict[str, Any]]


def add(folder: Path, table: dict[str, Any]) -> Rule:
    """Put a rule before the others of the file, in place of one of the same name there. Raises RuleError, OSError."""

    def changed(on: Tables, off: Tables) -> tuple[Tables, Tables]:
        return [table, *_without(on, table["name"])], _without(off, table["name"])

    rules = _change(folder, changed)
    return next(rule for rule in rules if rule.name == table["name"])


def switch(folder: Path, act: str, name: str) -> None:
    """Take a rule that stands here ``off`` (it holds no more, and is kept), ``on`` again, or ``remove`` it.

    Raises RuleError, OSError.
    """
    # should power fail between the two files, it is in both, and not in none
    _change(folder, lambda on, off: _switched(folder, act, name, on, off), off_first=act == "off")


def lets(folder: Path, act: str, name: str) -> bool:
    """Whether that may let something leave which is held back now. Raises RuleError where it could not be done."""
    on, kept = _tables(folder)
    _switched(folder, act, name, on, kept)
    there = read(folder).rules
    if act == "on":
        return any(adds(there, rule) for rule, _ in off(folder) if rule.name == name)
    return any(rule.do is not Action.ALLOW for rule in there if rule.name == name and rule.file == OWNERS_FILE)


def _switched(folder: Path, act: str, name: str, on: Tables, off: Tables) -> tuple[Tables, Tables]:
    is_on, is_off = _has(on, name), _has(off, name)
    if not is_on and not is_off:
        raise _absent(folder, name)
    match act:
        case "remove":
            return _without(on, name), _without(off, name)
        case "off" if is_on:
            return _without(on, name), [*_named(on, name), *_without(off, name)]
        case "off":
            raise RuleError(f'rule "{name}" is switched off already')
        case "on" if is_off:  # before the others: it is the owner's newest word
            return [*_named(off, name), *_without(on, name)], _without(off, name)
        case "on":
            raise RuleError(f'rule "{name}" holds already')
        case _:
            raise RuleError(f"no rule can {act}")


def would(folder: Path, table: dict[str, Any]) -> tuple[Rule, ...]:
    """The rules as ``add`` would leave them; nothing is written. Raises RuleError."""
    on, _ = _tables(folder)
    return read(folder, {OWNERS_FILE: text([table, *_without(on, table["name"])])}).rules


def without(rules: Iterable[Rule], name: str) -> tuple[Rule, ...]:
    """The rules as they would be without one of them."""
    return tuple(rule for rule in rules if rule.name != name)


def off(folder: Path) -> tuple[tuple[Rule, dict[str, Any]], ...]:
    """The rules that are switched off, each with its table. Raises RuleError."""
    on, tables = _tables(folder)
    kept = [table for table in tables if not _has(on, str(table.get("name")))]  # in both: power was cut while it was switched
    return tuple(zip(parse(OFF_FILE, text(kept)), kept, strict=True))


def named(rules: Iterable[Rule], *, device: str = "", vendor: str = "", type: str = "", field: str = "", suffix: str = "") -> str:
    """A name for a rule of this target, that no rule for another one has: else the newer would take the older's place."""
    words = (device or vendor or "any", type or "any", field.removeprefix("/payload/"), suffix)
    base = re.sub(r"[^a-z0-9]+", "-", "-".join(word for word in words if word).lower()).strip("-")[:MAX_NAME].strip("-") or "rule"
    taken = {rule.name: rule for rule in rules}
    name, number = base, 1
    while name in taken and not _is_for(taken[name], device, vendor, type, field):
        number += 1
        name = f"{base[: MAX_NAME - 6].rstrip('-')}-{number}"
    return name


def _is_for(rule: Rule, device: str, vendor: str, type: str, field: str) -> bool:
    mine = tuple((word,) if word else () for word in (device, vendor, type, field))
    plain = rule.always and not (rule.kind or rule.purpose or rule.use)
    return plain and rule.file in (OWNERS_FILE, OFF_FILE) and (rule.device, rule.vendor, rule.type, rule.field) == mine


def _has(tables: Tables, name: str) -> bool:
    return bool(_named(tables, name))


def _named(tables: Tables, name: str) -> Tables:
    return [table for table in tables if table.get("name") == name]


def _without(tables: Tables, name: str) -> Tables:
    return [table for table in tables if table.get("name") != name]


def _absent(folder: Path, name: str) -> RuleError:
    there = next((rule.file for rule in read(folder).rules if rule.name == name), "")
    if there:
        return RuleError(f'rule "{name}" stands in {there}, which is written by hand: change it there')
    return RuleError(f'there is no rule "{name}"; `mudroom rules list` shows them')


def text(tables: list[dict[str, Any]]) -> bytes:
    """The file's content."""
    import tomli_w

    return "\n".join([_HEAD, *(f"[[rule]]\n{tomli_w.dumps(table)}" for table in tables)]).encode()


def _tables(folder: Path) -> tuple[Tables, Tables]:
    """Of the rules that hold, and of those that are switched off. Raises RuleError."""
    found = []
    for path in (folder / OWNERS_FILE, folder / OFF_FILE):
        try:
            tables = tomllib.loads(path.read_text()).get("rule", []) if path.exists() else []
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RuleError(f"{path}: {error}; mend or remove the file first") from error
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise RuleError(f"{path}: rule: each rule is a table of its own; write [[rule]] with two brackets")
        found.append(tables)
    return found[0], found[1]


def _change(
    folder: Path, changed: Callable[[Tables, Tables], tuple[Tables, Tables]], *, off_first: bool = False
) -> tuple[Rule, ...]:
    """``off_first``: which file is written first, so that a rule is in both, and not in none, should power fail between."""
    from gateway.service import GROUP

    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _tables(folder)
        on, kept = changed(*before)
        content = text(on)
        rules = read(folder, {OWNERS_FILE: content}).rules  # nothing is put in place that would not come into force
        steps = [(folder / OWNERS_FILE, content)]
        if kept != before[1]:
            parse(OFF_FILE, text(kept))
            steps.insert(0 if off_first else 1, (folder / OFF_FILE, text(kept)))
        for path, new in steps:
            replace_shared(path, new, GROUP)
        return rules
    finally:
        os.close(lock)
