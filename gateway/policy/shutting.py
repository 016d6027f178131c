"""Whether the owner's rules shut a device out as it is, whatever it says. Pure.

A rule that waits for a message, or for a value in one, shuts out once that came; who saw the message knows of it. This module
must never look at anything that a device sent: what it says may decide when a vendor is asked, and that must tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.policy.moment import Moment, matches
from gateway.policy.plan import Subject, covers
from gateway.policy.rule import Action, Rule

_WHETHER = (Action.ALLOW, Action.DENY, Action.QUARANTINE)


def shuts_out(rules: Iterable[Rule], subjects: Iterable[Subject], moment: Moment) -> Rule | None:
    """The rule that shuts the device out now; None where none does. ``subjects``: all that it may send, at least one.

    One type of message that another rule decides about is enough: then it is not shut out before it sends one of the others.
    """
    known = [rule for rule in rules if not rule.field and rule.do in _WHETHER and not _waits(rule)]
    found: Rule | None = None
    for subject in subjects:
        first = next((rule for rule in known if covers(rule, subject) and matches(rule, moment)), None)
        if first is None or first.do is not Action.QUARANTINE:
            return None
        found = found or first
    return found


def _waits(rule: Rule) -> bool:
    """A quarantine by a value. An exception by a value stays: where it may decide, the device is not shut out as it is."""
    return rule.do is Action.QUARANTINE and rule.looks_at_value
