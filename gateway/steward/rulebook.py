"""The owner's rules for the pages: shown, made, switched and removed, by the functions that the command uses.

It must never write a rule before the decision is on record, nor one that the folder or a manifest would not take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway import rulewriting
from gateway.config import Config
from gateway.decisions import DecisionError
from gateway.giving import adds
from gateway.ipc.rulebook import DecideRule, RuleRow, Rules, RulingRow, Wish
from gateway.ledger.reader import Reader
from gateway.ledger.rulings import rulings
from gateway.plain import plain
from gateway.policy.offering import place_of, table
from gateway.policy.review import Doubt, review, unfit
from gateway.policy.rule import Action, Rule, RuleError
from gateway.policy.wording import said
from gateway.registry import Home
from gateway.rules import closed, declared, read
from gateway.standard.manifest import Direction

MOST_ROWS = 300
MOST_WORDS = 1_000  # characters of a rule
MOST_DOUBTS = 8
MOST_RULINGS, MOST_POINTERS = 64, 256


def shown(config: Config, home: Home, ref: int) -> Rules:
    """All rules, with what is wrong and doubtful about them. Where the folder is wrong: why."""
    folder = config.paths.rules
    try:
        found = read(folder)
        rules, doubts = found.rules, review(found.rules, declared(home))
        doubts += [Doubt("", f"{name}: not read, for its name does not end with .toml", wrong=True) for name in found.ignored]
        doubts += [Doubt("", f"{name}: the gateway's processes cannot read it", wrong=True) for name in closed(folder)]
        wrong = [doubt.says for doubt in doubts if doubt.wrong]
    except RuleError as error:
        rules, doubts = (), []
        wrong = [f"{error}. The rules that were good before stay in force until this is mended; none of these files holds."]
    try:
        off = tuple(rule for rule, _ in rulewriting.off(folder))
    except RuleError as error:
        off, wrong = (), [*wrong, str(error)]
    rows = [_row(rule, doubts, holds=True) for rule in rules] + [_row(rule, [], holds=False) for rule in off]
    return Rules(
        ref, tuple(rows[:MOST_ROWS]), tuple(_cut(plain(each)) for each in wrong[:MOST_DOUBTS]), max(len(rows) - MOST_ROWS, 0)
    )


def _row(rule: Rule, doubts: list[Doubt], *, holds: bool) -> RuleRow:
    ours = rule.file in (rulewriting.OWNERS_FILE, rulewriting.OFF_FILE)
    mine = tuple(_cut(plain(doubt.says)) for doubt in doubts if doubt.rule == rule.name)[:MOST_DOUBTS]
    return RuleRow(rule.name, _cut(plain(said(rule))), rule.file[:255], rule.line, plain(rule.note), holds, ours, mine)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "…"


def decided(reader: Reader, id: str) -> tuple[RulingRow, ...]:
    """Which rule decided what in a message."""
    found = reader.message(id)
    rows = rulings(found.message) if found else []
    return tuple(
        RulingRow(row["rule"][:64], row["do"][:32], tuple(at[:512] for at in row["at"][:MOST_POINTERS]))
        for row in rows[:MOST_RULINGS]
    )


Note = Callable[[str, str, str, bool], str]  # of gateway.deeds.noted: device, what, detail, giving


def decide(config: Config, home: Home, message: DecideRule, note: Note) -> str:
    """Why it was done without a record; empty where it is on record.

    Raises RuleError, DecisionError, OSError and what ``note`` raises.
    """
    folder = config.paths.rules
    if message.act == "add":
        new = proposed(config, home, message.wish)
        unrecorded = note(new.device, "rule", f"{new.rule.name}: {said(new.rule)}"[:512], adds(new.there, new.rule))
        rulewriting.add(folder, new.table)
        return unrecorded
    names = {rule.name for rule in read(folder).rules} | {rule.name for rule, _ in rulewriting.off(folder)}
    if message.name not in names:
        raise DecisionError("there is no such rule; it may have been removed already")
    unrecorded = note("", f"rule {message.act}", message.name, rulewriting.lets(folder, message.act, message.name))
    rulewriting.switch(folder, message.act, message.name)
    return unrecorded


@dataclass(frozen=True)
class Proposed:
    """A new rule, its table, and all rules as they are ``there`` and would be ``then``. ``device``: empty for a vendor's."""

    rule: Rule
    table: dict[str, Any]
    device: str
    there: tuple[Rule, ...]
    then: tuple[Rule, ...]


def proposed(config: Config, home: Home, wish: Wish | None) -> Proposed:
    """What would be; nothing is written. Raises DecisionError, RuleError."""
    if wish is None:
        raise DecisionError("nothing was wished for")
    folder = config.paths.rules
    made = wished(config, home, wish)
    there, then = read(folder).rules, rulewriting.would(folder, made)
    before = {doubt.says for doubt in unfit(there, declared(home))}
    new = next((doubt for doubt in unfit(then, declared(home)) if doubt.says not in before), None)
    if new is not None:
        raise DecisionError(f"not done: {new.says}")
    rule = next(rule for rule in then if rule.name == made["name"])
    return Proposed(rule, made, "" if wish.everywhere else wish.device, there, then)


def wished(config: Config, home: Home, wish: Wish) -> dict[str, Any]:
    """The rule's table, named. Raises DecisionError, RuleError."""
    device = home.by_id.get(wish.device)
    manifest = home.manifests.get(device.manifest) if device else None
    one = manifest.messages.get(wish.type) if manifest else None
    if (
        manifest is None
        or one is None
        or one.direction is not Direction.FROM_DEVICE
        or place_of(one.schema, wish.pointer) is None
    ):
        raise DecisionError("the device's manifest declares no such field")
    vendor = manifest.vendor.name if wish.everywhere else ""
    target = {"device": "" if wish.everywhere else wish.device, "vendor": vendor, "type": wish.type}
    try:
        made = table(Action(wish.do), wish.how, pointer=wish.pointer, **target)
    except ValueError as error:
        raise DecisionError(str(error)) from None
    folder = config.paths.rules
    there = (*read(folder).rules, *(rule for rule, _ in rulewriting.off(folder)))
    return {"name": rulewriting.named(there, field=wish.pointer, **target), **made}
