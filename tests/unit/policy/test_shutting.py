"""Whom the rules shut out as it is: by what is plain without a message, and by nothing that one says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.policy.moment import Moment
from gateway.policy.shutting import shuts_out
from tests.unit.policy.homes import NOON, PLUG, rules

ALARM = replace(PLUG, type="alarm")
OUT = '[[rule]]\nname = "out"\ndo = "quarantine"\n'


@pytest.mark.parametrize(
    ("text", "out"),
    [
        (OUT, True),
        (OUT + 'device = "plug"\n', True),
        (OUT + 'device = "lamp"\n', False),
        (OUT + 'vendor = "Acme"\n', True),
        (OUT + 'type = "alarm"\n', False),  # the other message may still leave
        (OUT + 'type = ["alarm", "power-reading"]\n', True),
        (OUT + 'value_of = "/payload/power"\nabove = 1\n', False),  # a message has to say it
        (OUT + 'between = ["11:00", "13:00"]\n', True),
        (OUT + 'between = ["13:00", "11:00"]\n', False),
        (OUT + 'presence = "away"\n', True),  # what protects holds where nobody knows
        ('[[rule]]\ndo = "allow"\ntype = "alarm"\n' + OUT, False),
        ('[[rule]]\ndo = "allow"\nvalue_of = "/payload/on"\nvalue = true\n' + OUT, False),
        ('[[rule]]\ndo = "allow"\nfield = "/payload/power"\n' + OUT, True),
        ('[[rule]]\ndo = "deny"\n' + OUT, False),
        (OUT + '[[rule]]\ndo = "allow"\n', True),
        ('[[rule]]\nname = "first"\nvalue_of = "/payload/on"\nvalue = true\ndo = "quarantine"\n' + OUT, True),
        ('[[rule]]\ndo = "deny"\n', False),
        ("# none\n", False),
    ],
)
def test_who_is_shut_out(text: str, out: bool) -> None:
    found = shuts_out(rules(text), (PLUG, ALARM), NOON)
    assert (found.name if found else "") == ("out" if out else "")


def test_nobody_is_shut_out_for_nothing() -> None:
    assert shuts_out(rules(OUT), (), NOON) is None
    assert shuts_out(rules(OUT + 'days = ["sun"]\n'), (PLUG,), Moment(0, 6)) is not None
