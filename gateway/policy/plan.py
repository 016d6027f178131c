"""The rules for one message type of one device, compiled once: a judged payload in, what may leave out.

It must never let out what the derived declaration (``Plan.schema``) does not admit: that declaration is made from the rules
alone and holds whatever they can leave of a payload, so charging a message by it charges all that the message can carry,
whichever value, hour or presence decided.

Order: for each thing that can be decided (whether a message goes, when, how often, and each field) the first rule that matches
decides; files in the order of their names, rules in the order of the file. What lies inside a withheld member goes with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from gateway.policy import deriving
from gateway.policy.coarse import Unfit
from gateway.policy.deriving import Decision, Look
from gateway.policy.moment import Moment, matches
from gateway.policy.rule import UNSAID, Action, Rule
from gateway.reasons import Reason
from gateway.standard.refusal import MAX_DETAIL, Refusal, bounded
from gateway.standard.schema import Schema
from gateway.standard.validator import Mismatch
from gateway.standard.withholding import MAX_WITHHELD, MAX_WITHHELD_TEXT, in_order

MAX_RECORD = 8_192  # characters of pointers in one record
_WHETHER = (Action.ALLOW, Action.DENY, Action.QUARANTINE)
_TOLD = {
    Action.DENY: (Reason.RULE_DENIED, "the owner does not let this message leave; do not send it again"),
    Action.QUARANTINE: (Reason.RULE_QUARANTINED, "the owner's rules shut this device out; nothing of it leaves"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose message it is: what a rule may match before it looks at a payload."""

    device: str
    kind: str
    vendor: str
    type: str
    purpose: str
    uses: tuple[str, ...] = ()


class RuledOut(Refusal):
    """The owner's rules let a message not leave. ``record``: which rule and why, for the owner and never for the device.

    ``rule``: its name, where it is a single one's doing; ``retry_after``: seconds, 0 where trying again is of no use.
    """

    def __init__(self, reason: Reason, told: str, record: str, *, rule: str = "", retry_after: int = 0) -> None:
        super().__init__(reason, told)
        self.rule = rule
        self.record = bounded(record, MAX_DETAIL)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Ruled:
    """What may leave. ``bare``: the same without fixed constants, which ``Plan.schema`` declares."""

    payload: dict[str, object]
    bare: dict[str, object]
    decisions: tuple[Decision, ...]
    delay: Rule | None
    limit: Rule | None


@dataclass(frozen=True)
class Plan:
    """``withheld``: for the envelope, from the rules alone; ``schema``: of ``Ruled.bare``."""

    schema: Schema
    withheld: tuple[str, ...]
    message: tuple[Rule, ...]
    _whether: tuple[Rule, ...]
    _delay: tuple[Rule, ...]
    _limit: tuple[Rule, ...]
    _strip: Callable[[dict[str, Any], Look], dict[str, Any]] | None = None
    _fill: Callable[[dict[str, Any]], None] | None = None
    timed: bool = False  # whether some rule looks at the time

    @property
    def idle(self) -> bool:
        """Whether no rule can change anything for this type."""
        return self._strip is None and not self.message

    def apply(self, payload: dict[str, Any], moment: Moment) -> Ruled:
        """``payload``: as the judge rebuilt it; not changed. Raises RuledOut; Refusal (RULE_ERROR) for whatever goes wrong."""
        try:
            return self._apply(payload, moment)
        except Refusal:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise Refusal(Reason.RULE_ERROR, f"{kind} inside the owner's rules; the message was dropped, report this") from error

    def _apply(self, payload: dict[str, Any], moment: Moment) -> Ruled:
        look = Look(payload, moment)
        deciding = _first(self._whether, look)
        if deciding is not None and deciding.do in _TOLD:
            reason, told = _TOLD[deciding.do]
            record = f"rule {deciding.name} ({deciding.file}, line {deciding.line}) says {deciding.do}"
            raise RuledOut(reason, told, record, rule=deciding.name)
        delay, limit = _first(self._delay, look), _first(self._limit, look)
        for rule in (deciding, delay, limit):
            if rule is not None:
                look.decided(rule, "")
        if self._strip is None:
            return Ruled(payload, payload, tuple(look.decisions), delay, limit)
        stripped = self._strip(payload, look)
        try:
            bare = self.schema.rebuild(stripped)
        except Mismatch as mismatch:
            raise Refusal(Reason.RULE_ERROR, f"the rules left what they should not have: {mismatch.detail}") from None
        if bare != stripped:
            raise Refusal(Reason.RULE_ERROR, "the rules left a value that is not in canonical form")
        if self._fill is not None:
            self._fill(stripped)
        return Ruled(stripped, bare, tuple(look.decisions), delay, limit)


def covers(rule: Rule, subject: Subject) -> bool:
    """Whether the rule is for messages of this kind at all."""
    return (
        (not rule.device or subject.device in rule.device)
        and (not rule.kind or subject.kind in rule.kind)
        and (not rule.vendor or subject.vendor in rule.vendor)
        and (not rule.type or subject.type in rule.type)
        and rule.purpose in subject.purpose.casefold()
        and (not rule.use or any(use in rule.use for use in subject.uses or (UNSAID,)))
    )


def compiled(rules: Iterable[Rule], subject: Subject, schema: Schema) -> Plan:
    """The plan for messages of ``subject``, whose payload ``schema`` declares. Raises Unfit with the rule's name and place."""
    mine = tuple(rule for rule in rules if covers(rule, subject))
    message = tuple(rule for rule in mine if not rule.field)
    fields = tuple(rule for rule in mine if rule.field)
    for rule in message:
        if rule.value_of:
            deriving.check_looked_at(rule, schema)
    derived = deriving.derive(fields, schema)
    withheld = tuple(sorted(derived.withheld))
    if not in_order(withheld):
        raise Unfit(
            f"more than {MAX_WITHHELD} members ({MAX_WITHHELD_TEXT} characters) would be withheld: withhold the object that "
            "holds them, or deny the message"
        )
    return Plan(
        schema=derived.schema,
        withheld=withheld,
        message=message,
        _whether=_up_to_first_sure(message, _WHETHER),
        _delay=_up_to_first_sure(message, (Action.DELAY,)),
        _limit=_up_to_first_sure(message, (Action.LIMIT,)),
        _strip=derived.strip,
        _fill=derived.fill,
        timed=any(rule.between or rule.days for rule in mine),
    )


def certain(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """What can be held against an envelope that has been ruled already, by somebody who does not know what the device said.

    A rule that matches sometimes says nothing then, and neither do those that it stands before. What is left always holds, and
    ruled twice is ruled once.
    """
    known = (rule for rule in rules if rule.do not in {Action.DELAY, Action.LIMIT})
    return tuple(
        rule
        if rule.always
        else replace(rule, do=Action.ALLOW, value=(), below=None, above=None, between=None, days=frozenset(), presence="")
        for rule in known
    )


def recorded(decisions: Iterable[Decision]) -> str:
    """Which rule decided what, as the ledger keeps it: JSON of at most MAX_RECORD characters or so, "" where no rule did.

    ``at``: pointers, none where the message as a whole is meant; ``more``: how many did not find room.
    """
    rows: dict[str, dict[str, Any]] = {}
    room = MAX_RECORD
    for decision in dict.fromkeys(decisions):
        row = rows.setdefault(decision.rule, {"rule": decision.rule, "do": str(decision.do), "at": []})
        room -= len(decision.pointer) + 4
        if decision.pointer and room > 0:
            row["at"].append(decision.pointer)
        elif decision.pointer:
            row["more"] = row.get("more", 0) + 1
    return json.dumps(list(rows.values()), separators=(",", ":")) if rows else ""


def _up_to_first_sure(rules: tuple[Rule, ...], actions: tuple[Action, ...]) -> tuple[Rule, ...]:
    return deriving.up_to_first_sure(rule for rule in rules if rule.do in actions)


def _first(rules: tuple[Rule, ...], look: Look) -> Rule | None:
    for rule in rules:
        if matches(rule, look.moment) and deriving.value_matches(rule, rule.value_of, look):
            return rule
    return None
