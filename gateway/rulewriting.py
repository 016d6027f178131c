"""The file of rules that `mudroom rules` and the pages write for their owner. It must never leave the folder worse than it was.

Each change is checked as part of the whole folder before it is put in place by rename(2), whole and on disk. The newest rule
stands first, so that the owner's last word decides; rules of his own hand belong in files of other names.
"""

from __future__ import annotations

import fcntl
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.lasting import replace_shared
from gateway.policy.rule import Rule, RuleError
from gateway.rules import read

OWNERS_FILE = "50-owner.toml"
_HEAD = "# Written by `mudroom rules`, which does not keep comments. The first rule that matches decides; files go by name.\n"


def add(folder: Path, table: dict[str, Any]) -> Rule:
    """Put a rule before the others of the file, in place of one of the same name there. Raises RuleError, OSError."""

    def changed(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [table, *(other for other in tables if other.get("name") != table["name"])]

    rules = _change(folder, changed)
    return next(rule for rule in rules if rule.name == table["name"])


def would(folder: Path, table: dict[str, Any]) -> tuple[Rule, ...]:
    """The rules as ``add`` would leave them; nothing is written. Raises RuleError."""
    others = [other for other in _tables(folder / OWNERS_FILE) if other.get("name") != table["name"]]
    return read(folder, {OWNERS_FILE: text([table, *others])}).rules


def remove(folder: Path, name: str) -> None:
    """Take a rule out of the file. Raises RuleError, OSError."""

    def changed(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = [table for table in tables if table.get("name") != name]
        if len(kept) == len(tables):
            there = next((rule.file for rule in read(folder).rules if rule.name == name), "")
            if there:
                raise RuleError(f'rule "{name}" stands in {there}, which is written by hand: remove it there')
            raise RuleError(f'there is no rule "{name}"; `mudroom rules list` shows them')
        return kept

    _change(folder, changed)


def text(tables: list[dict[str, Any]]) -> bytes:
    """The file's content."""
    import tomli_w

    return "\n".join([_HEAD, *(f"[[rule]]\n{tomli_w.dumps(table)}" for table in tables)]).encode()


def _tables(path: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = tomllib.loads(path.read_text()).get("rule", []) if path.exists() else []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: {error}; mend or remove the file first") from error
    return found


def _change(folder: Path, changed: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> tuple[Rule, ...]:
    from gateway.service import GROUP

    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    path = folder / OWNERS_FILE
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content = text(changed(_tables(path)))
        rules = read(folder, {OWNERS_FILE: content}).rules  # nothing is put in place that would not come into force
        replace_shared(path, content, GROUP)
        return rules
    finally:
        os.close(lock)
