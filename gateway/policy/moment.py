"""When a rule matches: time of day and the owner's presence. It must never take what is not known for what is harmless.

Pure: the caller brings the moment. Where presence is not known, a rule that protects matches, and one that allows does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.policy.rule import Action, Rule


@dataclass(frozen=True, slots=True)
class Moment:
    """``minute`` of the day and ``weekday`` (0: Monday), local; ``presence``: "home", "away", or "" where nobody knows."""

    minute: int
    weekday: int
    presence: str = ""


def matches(rule: Rule, moment: Moment) -> bool:
    """Whether the rule's times and presence are those of ``moment``."""
    if rule.between is not None:
        first, last = rule.between
        inside = first <= moment.minute < last if first < last else moment.minute >= first or moment.minute < last
        if not inside:
            return False
    if rule.days and moment.weekday not in rule.days:
        return False
    if rule.presence:
        return rule.presence == moment.presence if moment.presence else rule.do is not Action.ALLOW
    return True
