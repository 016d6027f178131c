"""Whatever a page can do or show, the command can: each decision and each fact of the pages has a command's name here."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
import typer

from gateway.cli.command import app
from gateway.ipc.rulebook import DecideRule, Wish
from gateway.ipc.steward import Decide
from gateway.web.app import PAGES
from gateway.web.calls import CALLS
from gateway.web.decisions import Decision

DECISIONS = {
    "kind": "devices kind",
    "approve": "devices approve",
    "decline": "manifest refuse",
    "admit": "devices add",
    "forget": "devices forget",
    "budget": "devices budget",
    "pace": "devices pace",
    "household": "password set",  # and `password remove`
    "password": "password set",
}
RULES = {  # "add" has a command for each thing that a rule may do
    "remove": ("rules remove",),
    "off": ("rules off",),
    "on": ("rules on",),
    "add": ("rules withhold", "rules coarsen", "rules replace", "rules allow"),
}
LOOKS = {"fetch": "manifest fetch"}  # of POST /api/decisions, beside those of a Decide
LAN = ("devices lan", "devices allow", "devices deny")
RECORD = ("messages", "ledger export", "ledger verify", "ledger erase")
PROGRAMS_TOKENS = ("tokens create", "tokens list", "tokens revoke")
FACTS = {
    "/api/devices": ("devices",),
    "/api/messages": ("messages",),
    "/api/refusals": ("messages",),
    "/api/messages/{id}": ("messages",),
    "/api/attempts": ("drops",),
    "/api/leaks": ("leaks",),
    "/api/newcomers": ("manifest waiting", "devices strangers"),
    "/api/notices": ("notices",),
    "/api/pairings": ("devices",),
    "/api/looks": ("devices", "manifest looks", "manifest waiting"),
    "/api/vendors": ("vendors",),
}
SHOWN = {
    "/": ("devices",),
    "/devices/{device}": ("devices", "messages", "drops", "leaks"),
    "/devices/{device}/forget": ("devices forget",),
    "/messages/{id}": ("messages",),
    "/attempts": ("drops",),
    "/leaks": ("leaks",),
    "/newcomers": ("manifest waiting", "devices strangers"),
    "/notices": ("notices",),
    "/settings": ("deeds", "password set", "tokens list"),
    "/rules": ("rules list",),
    "/api": ("tokens create",),  # what a token opens
    "/devices/{device}/fields": ("rules choices",),
    "/devices/{device}/fields/try": ("rules try",),
    "/rules/try": ("rules try",),
    "/vendors": ("vendors",),
    "/vendors/{key}": ("vendors",),
    "/vendors/{key}/preview": ("vendors",),
    "/vendors/{key}/page": ("vendors",),
}


TOLD = {call.path: call for call in CALLS if call.method == "GET" and not call.token_only}


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each command with its whole name."""
    if not hasattr(group, "commands"):
        yield " ".join(before), group
        return
    if group.invoke_without_command:
        yield " ".join(before), group
    for name, command in group.commands.items():
        yield from commands(command, (*before, name))


ALL = dict(commands(typer.main.get_command(app)))


def tells_programs(name: str) -> bool:
    return any("--json" in parameter.opts for parameter in ALL[name].params)


def test_each_decision_has_a_command() -> None:
    assert set(DECISIONS) == set(get_args(get_type_hints(Decide)["what"]))
    assert set(DECISIONS.values()) <= set(ALL)


def test_each_decision_of_programs_is_one_of_the_pages_and_has_a_command() -> None:
    programs = set(get_args(get_type_hints(Decision)["what"]))
    assert programs == set(DECISIONS) - {"household", "password"} | set(LOOKS)
    assert set(LOOKS.values()) <= set(ALL)


def test_each_decision_about_rules_the_record_and_programs_has_a_command() -> None:
    assert set(RULES) == set(get_args(get_type_hints(DecideRule)["act"]))
    assert {f"rules {do}" for do in get_args(get_type_hints(Wish)["do"])} == set(RULES["add"])
    assert {command for several in RULES.values() for command in several} <= set(ALL)
    assert {*LAN, *RECORD, *PROGRAMS_TOKENS} <= set(ALL)


@pytest.mark.parametrize(("there", "named"), [(TOLD, FACTS), (PAGES, SHOWN)], ids=["facts", "pages"])
def test_each_fact_and_each_page_has_a_command(there: dict[str, Any], named: dict[str, tuple[str, ...]]) -> None:
    assert set(named) == set(there)
    assert {command for several in named.values() for command in several} <= set(ALL)


def test_each_fact_is_told_to_programs() -> None:
    assert [name for several in FACTS.values() for name in several if not tells_programs(name)] == []


SPEAKS_OTHERWISE = {  # no --json, and why
    "console": "a screen for people; `mudroom doctor --json` has its facts",
    "judge readability": "JSON Lines are all that it prints",
    "network dhcp": "prints a file for dnsmasq",
    "box clock": "for systemd, at boot and by its timer; `mudroom doctor --json` tells how the clock is",
    "box setup": "for systemd, at boot; what it found is in notices.json and in `mudroom doctor --json`",
} | {name: "a process that systemd runs" for name in ALL if name.startswith("serve ")}


def test_every_command_tells_programs() -> None:
    assert {name for name in ALL if not tells_programs(name)} == set(SPEAKS_OTHERWISE)


def test_whatever_lists_tells_programs_too() -> None:
    """`show` prints a table, and JSON where it is asked to: a command that calls it can be asked."""
    lists = [name for name, command in ALL.items() if " show(" in inspect.getsource(inspect.unwrap(command.callback))]
    assert len(lists) > 20
    assert [name for name in lists if not tells_programs(name)] == []
