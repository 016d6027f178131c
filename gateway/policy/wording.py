"""Rules in words for their owner, and as the text of a file. It must never say less than a rule does."""

from __future__ import annotations

import json
from typing import Any

from gateway.policy.rule import DAYS, GRAINS, Action, Rule

_GRAIN = {seconds: name for name, seconds in GRAINS.items()}


def said(rule: Rule) -> str:
    """One sentence: for whom, when, what."""
    return f"{_whom(rule)}{_when(rule)}: {_what(rule)}"


def table(rule: Rule) -> dict[str, Any]:
    """The rule as a table of a file; ``parse`` makes the same rule of it."""
    made: dict[str, Any] = {"name": rule.name}
    for word in ("note", "purpose", "value_of", "presence"):
        if getattr(rule, word):
            made[word] = getattr(rule, word)
    for word in ("device", "kind", "vendor", "type", "use", "field", "value"):
        found = getattr(rule, word)
        if found:
            made[word] = found[0] if len(found) == 1 else list(found)
    for word in ("below", "above"):
        if getattr(rule, word) is not None:
            made[word] = getattr(rule, word)
    if rule.between is not None:
        made["between"] = [_clock(minute) for minute in rule.between]
    if rule.days:
        made["days"] = [DAYS[day] for day in sorted(rule.days)]
    made["do"] = str(rule.do)
    if rule.constant is not None:
        made["with"] = rule.constant
    if rule.buckets:
        made["buckets"] = list(rule.buckets)
    for word in ("step", "grain", "seconds", "per_hour"):
        if getattr(rule, word):
            made[word] = getattr(rule, word)
    return made


def _whom(rule: Rule) -> str:
    parts = [", ".join(rule.device) if rule.device else "every device"]
    if rule.kind:
        parts.append(f"of kind {', '.join(rule.kind)}")
    if rule.vendor:
        parts.append(f"of {', '.join(rule.vendor)}")
    if rule.type:
        parts.append(f"in {', '.join(rule.type)}")
    if rule.use:
        parts.append(f"in messages whose use is {' or '.join(rule.use)}")
    if rule.purpose:
        parts.append(f'in messages whose purpose says "{rule.purpose}"')
    return " ".join(parts)


def _when(rule: Rule) -> str:
    parts = []
    if rule.value:
        parts.append(f"is {' or '.join(json.dumps(value, ensure_ascii=False) for value in rule.value)}")
    if rule.above is not None:
        parts.append(f"is above {rule.above}")
    if rule.below is not None:
        parts.append(f"is below {rule.below}")
    words = f", when {rule.value_of or 'the value'} {' and '.join(parts)}" if parts else ""
    if rule.between is not None:
        words += f", from {_clock(rule.between[0])} to {_clock(rule.between[1])}"
    if rule.days:
        words += f", on {', '.join(DAYS[day] for day in sorted(rule.days))}"
    if rule.presence:
        words += f", while the owner is {rule.presence}" + ("" if rule.do is Action.ALLOW else " or it is not known")
    return words


def _what(rule: Rule) -> str:
    fields = ", ".join(rule.field)
    match rule.do:
        case Action.ALLOW:
            return f"{fields or 'the message'} may leave"
        case Action.WITHHOLD:
            return f"{fields} is withheld"
        case Action.REPLACE:
            return f"{fields} is replaced by {json.dumps(rule.constant, ensure_ascii=False)}"
        case Action.COARSEN if rule.grain:
            return f"{fields} is told to the {_GRAIN.get(rule.grain, f'{rule.grain} s')} only"
        case Action.COARSEN if rule.buckets:
            return f"{fields} is told as one of {', '.join(str(edge) for edge in rule.buckets)}"
        case Action.COARSEN:
            return f"{fields} is rounded to {rule.step}"
        case Action.DELAY:
            return f"the message leaves {rule.seconds} s later"
        case Action.LIMIT:
            return f"at most {rule.per_hour} messages leave in an hour"
        case Action.DENY:
            return "the message does not leave"
        case Action.QUARANTINE:
            return "the message does not leave, nor any later one of the device"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
