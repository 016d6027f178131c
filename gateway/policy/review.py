"""What is doubtful about rules that are right in form: it looks at what they mean for the messages that are declared.

Pure. It must never keep silent about a rule that protects less than it looks, or that tells a vendor something of its owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.policy import deriving
from gateway.policy.coarse import Unfit
from gateway.policy.plan import Subject, compiled, covers
from gateway.policy.rule import FIELD_ACTIONS, Action, Rule
from gateway.standard.schema import Schema


@dataclass(frozen=True, slots=True)
class Declared:
    """One message type of one device. ``from_device``: false for what its vendor sends."""

    subject: Subject
    schema: Schema
    from_device: bool = True


@dataclass(frozen=True, slots=True)
class Doubt:
    """``wrong``: such messages are refused until it is mended. ``rule``: empty where it is not about a single one."""

    rule: str
    says: str
    wrong: bool = False


def review(rules: tuple[Rule, ...], declared: Iterable[Declared]) -> list[Doubt]:
    """All doubts: first what is wrong, then rule by rule."""
    known = list(declared)
    found = unfit(rules, known)
    for number, rule in enumerate(rules):
        found += [Doubt(rule.name, says) for says in _of(rule, known)]
        shadow = next((before for before in rules[:number] if _shadows(before, rule)), None)
        if shadow is not None:
            found.append(Doubt(rule.name, f'never decides: "{shadow.name}" stands before it and matches whatever it matches'))
    return found


def unfit(rules: tuple[Rule, ...], declared: Iterable[Declared]) -> list[Doubt]:
    """The messages that are refused as long as these rules stand, because one does not fit what is declared."""
    found = []
    for one in declared:
        if not one.from_device:
            continue
        try:
            compiled(rules, one.subject, one.schema)
        except Unfit as error:
            says = f"{one.subject.type} of {one.subject.device} is refused, because a rule does not fit it: {error}"
            found.append(Doubt("", says, wrong=True))
    return found


def _of(rule: Rule, known: list[Declared]) -> list[str]:
    mine = [one for one in known if covers(rule, one.subject)]
    sent = [one for one in mine if one.from_device]
    found = []
    if not sent:
        found.append(
            "is for messages that vendors send, and rules decide about those from devices only"
            if mine
            else "matches no message that an approved manifest declares: look at its device, vendor and type"
        )
    for pointer in (*rule.field, *((rule.value_of,) if rule.value_of else ())):
        if sent and not pointer.endswith("*") and all(deriving.node(one.schema, pointer) is None for one in sent):
            found.append(f"{pointer} is declared by none of the messages that it is for")
    if rule.presence:
        found.append(
            "nothing tells Mudroom yet whether the owner is at home, so it "
            + ("never matches" if rule.do is Action.ALLOW else "always matches")
        )
        found.append("TELLS THE VENDOR WHO IS AT HOME, once something does: what leaves changes as the owner comes and goes")
    if (rule.between or rule.days) and rule.do is not Action.LIMIT:
        found.append("tells the vendor which hours its owner chose: what leaves changes at these times")
    if rule.looks_at_value and rule.do in FIELD_ACTIONS:
        found.append("tells the vendor something of the value by what it does to it; the field is charged in full for that")
    if rule.do is Action.ALLOW and (rule.purpose or rule.use or rule.vendor):
        found.append("goes by words of the vendor's own manifest: its vendor decides whether it matches")
    if rule.do is Action.QUARANTINE and not rule.always:
        found.append("shuts out until the rules change or the door restarts: `mudroom devices quarantine` makes it last")
    return found


def _shadows(before: Rule, rule: Rule) -> bool:
    """Whether ``before`` always decides where ``rule`` could: by what is plain from both, so not every case is found."""
    whether = {Action.ALLOW, Action.DENY, Action.QUARANTINE}
    same = (before.do in whether and rule.do in whether) if not rule.field else True
    return (
        before.always
        and bool(before.field) == bool(rule.field)
        and (same or before.do is rule.do)
        and set(rule.field) <= set(before.field)
        and before.purpose in rule.purpose
        and all(
            not mine or (bool(theirs) and set(theirs) <= set(mine))
            for mine, theirs in (
                (before.device, rule.device),
                (before.kind, rule.kind),
                (before.vendor, rule.vendor),
                (before.type, rule.type),
                (before.use, rule.use),
            )
        )
    )
