"""The table of who at home may reach which device, as text and back; what it does to packets: tests/ebpf/test_replies.py."""

from __future__ import annotations

from ipaddress import ip_address

from gateway.network import opened
from gateway.registry import ANYONE

LAPTOP = "02:00:5e:00:00:01"


def test_it_marks_what_is_open_and_nothing_else() -> None:
    text = opened.render("lan0", "dmz0", [(LAPTOP, ip_address("10.77.0.21")), (ANYONE, ip_address("fd00::21"))])
    assert f"set hosts4 {{ type ether_addr . ipv4_addr; elements = {{ {LAPTOP} . 10.77.0.21 }}; }}" in text
    assert "set anyone6 { type ipv6_addr; elements = { fd00::21 }; }" in text
    assert text.count("elements") == 2
    assert "accept;" in text and " accept\n" not in text, "its chain lets pass; no rule of it accepts"
    rules = [line.strip() for line in text.splitlines() if "meta mark set" in line]
    assert len(rules) == 4
    assert [("ether saddr ." in rule, "saddr" in rule) for rule in rules] == [(True, True), (False, False)] * 2
    assert all(rule.startswith('iifname "lan0" oifname "dmz0" ') and rule.endswith(" meta mark set 0x4d03") for rule in rules)


def test_a_listed_table_says_who_is_let_in() -> None:
    parts = [
        {"table": {"family": "inet", "name": "mudroom_lan"}},
        {"set": {"name": "hosts4", "elem": [{"concat": [LAPTOP, "10.77.0.21"]}]}},
        {"set": {"name": "anyone6", "elem": ["fd00::21"]}},
        {"set": {"name": "hosts6"}},
    ]
    assert opened.pairs(parts) == {(LAPTOP, "10.77.0.21"), (ANYONE, "fd00::21")}
