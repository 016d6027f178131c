"""The plan decides from values alone: the guards first, the links last, nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.config import Config, Dmz, Lan
from gateway.network.errors import NetworkError
from gateway.network.plan import (
    Action,
    Address,
    Bridge,
    Firewall,
    LinkState,
    Observed,
    Part,
    Port,
    Route,
    Rule,
    Step,
    Sysctl,
    Table,
    Up,
    Vlan,
    bridge_mac,
    desired,
    difference,
    guards,
    house,
    removal,
)

BRIDGE = Config(dmz=Dmz(mode="bridge", ports=("port1", "port2")))
VLAN = Config(dmz=Dmz(mode="vlan", trunk="eth1"))
PORT = Config(dmz=Dmz(mode="port"))
BARE = Observed(
    links={
        "lo": LinkState(up=True),
        "lan0": LinkState(up=True, mac="52:54:00:00:00:02"),
        "eth1": LinkState(up=False, mac="52:54:00:00:00:03"),
        "port1": LinkState(up=False, mac="52:54:00:00:00:04"),
        "port2": LinkState(up=False, mac="52:54:00:00:00:05"),
    }
)


def steps(config: Config, have: Observed) -> list[Step]:
    return difference(config, desired(config, "table"), have)


def settled(config: Config) -> Observed:
    """A kernel as the bridge's settings want it."""
    want = desired(config, "table")
    return Observed(
        links={
            "lo": LinkState(up=True),
            "lan0": LinkState(up=True),
            "dmz0": LinkState(up=True, kind="bridge", mac="52:54:00:00:00:04", plain_bridge=True),
            "port1": LinkState(up=True, mac="50:54:00:00:00:04", master="dmz0", isolated=True),
            "port2": LinkState(up=True, mac="52:54:00:00:00:05", master="dmz0", isolated=True),
        },
        addresses=frozenset(want.addresses),
        rules=frozenset({*want.rules, *want.guards}),
        routes=frozenset(want.routes),
        sysctls={setting.path: setting.value for setting in want.sysctls},
        firewall=Firewall.SAME,
    )


@pytest.mark.parametrize("config", [BRIDGE, VLAN], ids=["bridge", "vlan"])
def test_the_guards_of_both_families_come_before_everything(config: Config) -> None:
    found = [(step.action, step.part) for step in steps(config, BARE)]
    assert found[:3] == [
        (Action.ADD, Rule(4, 7709, "dmz0")),
        (Action.ADD, Rule(6, 7709, "dmz0")),
        (Action.ADD, Table("table")),
    ]
    assert last_link(found) == Up("dmz0")


def last_link(found: list[tuple[Action, Part]]) -> Part:
    """What comes up last; only routes through it may follow, for a link that is down takes none."""
    ups = [number for number, (_, part) in enumerate(found) if isinstance(part, Up)]
    assert all(isinstance(part, Route) and part.device == "dmz0" for _, part in found[ups[-1] + 1 :])
    return found[ups[-1]][1]


def test_the_way_home_is_ours_and_no_device_gets_as_far() -> None:
    """A longer prefix from the WAN (DHCP option 121, a router advertisement) must not lead the home's packets away."""
    want = desired(BRIDGE, "table")
    home = [rule for rule in want.rules if rule.table == 7703]
    assert {(rule.family, rule.to, rule.iif, rule.mark) for rule in home} == {
        (4, "192.168.77.0/24", "", 0),
        (4, "10.77.0.0/24", "", 0),
        (6, "fd4d:7564:726d:1::/64", "", 0),
        (6, "fd4d:7564:726d:2::/64", "", 0),
    }
    assert all(rule.priority > guard.priority for rule in home for guard in want.guards)
    assert {(route.destination, route.device) for route in want.routes if route.table == 7703} == {
        ("192.168.77.0/24", "lan0"),
        ("10.77.0.0/24", "dmz0"),
        ("fd4d:7564:726d:1::/64", "lan0"),
        ("fd4d:7564:726d:2::/64", "dmz0"),
    }
    have = replace(BARE, links={name: link for name, link in BARE.links.items() if name == "lan0"})
    house_too = [step.part for step in house(VLAN, desired(VLAN, "table"), have)]
    assert Route(4, 7703, "unicast", "192.168.77.0/24", "lan0") in house_too
    assert all(rule in house_too for rule in home)
    assert Route(4, 7703, "unicast", "10.77.0.0/24", "dmz0") not in house_too


def test_a_kernel_as_wanted_needs_nothing() -> None:
    assert steps(BRIDGE, settled(BRIDGE)) == []


@pytest.mark.parametrize(
    ("what", "change", "words"),
    [
        ("a rule is missing", {"rules": frozenset()}, "add rule iif dmz0 blackhole (IPv6)"),
        ("a mark's rule is missing", {"rules": frozenset()}, "add rule fwmark 0x4d01 iif dmz0 lookup 7701 (IPv4)"),
        ("a route is missing", {"routes": frozenset()}, "add route local default dev lo table 7701 (IPv6)"),
        ("an address is missing", {"addresses": frozenset()}, "add address 10.77.0.1/24 on dmz0"),
        ("the table is gone", {"firewall": Firewall.ABSENT}, "add nftables table inet mudroom"),
        ("the table was changed", {"firewall": Firewall.CHANGED}, "set nftables table inet mudroom (it differs from ours)"),
    ],
)
def test_what_is_missing_is_put_back(what: str, change: dict[str, object], words: str) -> None:
    assert words in [str(step) for step in steps(BRIDGE, replace(settled(BRIDGE), **change))], what  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "stray", "words"),
    [
        ("rules", Rule(4, 7705, "dmz0", 0, 254), "remove rule iif dmz0 lookup 254 (IPv4) (not ours)"),
        ("rules", Rule(6, 7709, "eth9"), "remove rule iif eth9 blackhole (IPv6) (not ours)"),
        ("routes", Route(4, 7702, "unicast", "default", "wan0"), "remove route default dev wan0 table 7702 (IPv4) (not ours)"),
        ("addresses", Address("dmz0", "192.168.77.9/24"), "remove address 192.168.77.9/24 on dmz0 (not in the settings)"),
    ],
)
def test_what_nobody_asked_for_is_removed(field: str, stray: object, words: str) -> None:
    have = settled(BRIDGE)
    assert [str(step) for step in steps(BRIDGE, replace(have, **{field: getattr(have, field) | {stray}}))] == [words]


def test_another_interfaces_addresses_are_left_alone() -> None:
    have = settled(BRIDGE)
    assert steps(BRIDGE, replace(have, addresses=have.addresses | {Address("wan0", "192.0.2.2/24")})) == []


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (LinkState(up=True, master="dmz0", isolated=False), "set isolated port port2 in dmz0"),
        (LinkState(up=True, master="dmz0", isolated=True, learning=False), "set isolated port port2 in dmz0"),
        (LinkState(up=True), "add isolated port port2 in dmz0"),
    ],
)
def test_a_port_is_isolated(port: LinkState, words: str) -> None:
    have = settled(BRIDGE)
    assert [str(step) for step in steps(BRIDGE, replace(have, links={**have.links, "port2": port}))] == [words]


def test_a_foreign_port_is_taken_out_of_the_bridge() -> None:
    have = settled(BRIDGE)
    links = {**have.links, "eth9": LinkState(up=True, master="dmz0")}
    assert steps(BRIDGE, replace(have, links=links)) == [Step(Action.REMOVE, Port("eth9", "dmz0"), "not in dmz.ports")]


@pytest.mark.parametrize(
    ("config", "links", "error"),
    [
        (BRIDGE, {"lan0"}, "dmz.ports: there is no interface port1; plug it in or correct the setting (present: lan0)"),
        (VLAN, {"lan0"}, "dmz.trunk: there is no interface eth1"),
        (Config(dmz=Dmz(mode="vlan")), {"lan0"}, "dmz.trunk: mode vlan needs the trunk port's name"),
        (PORT, {"lan0"}, "dmz.interface: there is no interface dmz0"),
        (PORT, {"dmz0"}, "lan.interface: there is no interface lan0"),
    ],
)
def test_a_port_that_is_not_there_is_named(config: Config, links: set[str], error: str) -> None:
    have = Observed(links=dict.fromkeys(links, LinkState(up=True)))
    with pytest.raises(NetworkError) as raised:
        steps(config, have)
    assert error in str(raised.value)
    assert guards(desired(config, "t"), have)  # what keeps devices in does not depend on it


@pytest.mark.parametrize("config", [BRIDGE, VLAN])
def test_the_house_has_its_network_though_the_devices_port_is_missing(config: Config) -> None:
    forwarding = ("net", "ipv4", "ip_forward")
    have = replace(BARE, links={"lan0": LinkState(up=False), "lo": LinkState(up=True)}, sysctls={forwarding: "0"})
    found = house(config, desired(config, "t"), have)
    parts = [step.part for step in found]
    assert found[: len(guards(desired(config, "t"), have))] == guards(desired(config, "t"), have)
    assert Sysctl(forwarding, "1") in parts
    assert Up("lan0") in parts
    assert {part.device for part in parts if isinstance(part, Address)} == {"lan0"}
    assert not [part for part in parts if isinstance(part, Sysctl) and "dmz0" in part.path]
    assert not [part for part in parts if isinstance(part, Bridge | Vlan | Port)]


@pytest.mark.parametrize(("config", "kind"), [(BRIDGE, ""), (BRIDGE, "vlan"), (VLAN, "bridge"), (VLAN, "")])
def test_another_kind_of_interface_in_the_way(config: Config, kind: str) -> None:
    with pytest.raises(NetworkError, match=r"dmz.interface: dmz0 exists and is a .*; remove it or choose another name"):
        steps(config, replace(BARE, links={**BARE.links, "dmz0": LinkState(up=True, kind=kind)}))


def test_a_vlan_is_made_on_its_trunk_and_the_trunk_comes_up_before_it() -> None:
    found = [step.part for step in steps(VLAN, BARE)]
    assert found.index(Vlan("dmz0", "eth1", 77)) < found.index(Up("eth1")) < found.index(Up("dmz0"))


def test_a_new_interface_gets_all_its_switches_before_it_is_up() -> None:
    found = [step.part for step in steps(BRIDGE, BARE)]
    up = found.index(Up("dmz0"))
    for name in ("accept_ra", "accept_redirects", "accept_dad"):
        assert found.index(Sysctl(("net", "ipv6", "conf", "dmz0", name), "0")) < up
    assert found.index(Sysctl(("net", "ipv4", "conf", "dmz0", "arp_ignore"), "1")) < up


def test_the_bridge_has_a_fixed_address() -> None:
    assert bridge_mac("52:54:00:00:00:04") == "52:54:00:00:00:04"
    assert bridge_mac("00:1b:21:00:00:04") == "02:1b:21:00:00:04"
    assert Bridge("dmz0", "52:54:00:00:00:04") in [step.part for step in steps(BRIDGE, BARE)]


def test_replies_reach_the_lan_and_nothing_else() -> None:
    routes = [route for route in desired(BRIDGE, "").routes if route.table == 7702]
    assert {(route.family, route.kind, route.destination, route.device) for route in routes} == {
        (4, "unicast", "192.168.77.0/24", "lan0"),
        (6, "unicast", "fd4d:7564:726d:1::/64", "lan0"),
        (4, "blackhole", "default", ""),
        (6, "blackhole", "default", ""),
    }


def test_a_lan_that_may_not_open_needs_no_forwarding_from_the_dmz() -> None:
    closed = Config(dmz=BRIDGE.dmz, lan=Lan(may_open_to_dmz=False))
    assert Sysctl(("net", "ipv4", "conf", "dmz0", "forwarding"), "0") in desired(closed, "").sysctls


@pytest.mark.parametrize("config", [BRIDGE, PORT], ids=["bridge", "port"])
def test_removal_takes_the_links_first_and_the_blackhole_last(config: Config) -> None:
    have = settled(BRIDGE)
    found = removal(config, have)
    assert found[0] == Step(Action.REMOVE, Up("dmz0"))
    assert found[-2:] == [Step(Action.REMOVE, Rule(4, 7709, "dmz0")), Step(Action.REMOVE, Rule(6, 7709, "dmz0"))]
    assert isinstance(found[-3].part, Table)
    assert not any(isinstance(step.part, Address) and step.part.device == "lan0" for step in found)
    assert any(isinstance(step.part, Bridge) for step in found) == (config is BRIDGE)


def test_removal_takes_the_table_of_who_may_reach_devices_too() -> None:
    found = [str(step) for step in removal(BRIDGE, replace(settled(BRIDGE), opened=True))]
    assert found.index("remove nftables table inet mudroom_lan") < found.index("remove nftables table inet mudroom")
    assert difference(BRIDGE, desired(BRIDGE, ""), replace(settled(BRIDGE), opened=True)) == [], "steering's, not ours to mend"


def test_nothing_to_remove() -> None:
    assert removal(BRIDGE, BARE) == []


def test_the_trunk_may_be_a_port_of_the_lans_bridge() -> None:
    """LAN untagged, DMZ tagged, on one port: the VLAN hangs on the port, which keeps its place in the bridge."""
    have = replace(
        BARE,
        links={
            "lo": LinkState(up=True),
            "lan0": LinkState(up=True, kind="bridge"),
            "eth1": LinkState(up=True, mac="52:54:00:00:00:03", master="lan0"),
        },
        sysctls={("net", "ipv6", "conf", "eth1", "disable_ipv6"): "0", ("net", "ipv4", "conf", "eth1", "arp_ignore"): "0"},
    )
    found = steps(VLAN, have)
    assert Step(Action.ADD, Vlan("dmz0", "eth1", 77)) in found
    assert Step(Action.SET, Sysctl(("net", "ipv6", "conf", "eth1", "disable_ipv6"), "1")) in found
    assert Step(Action.SET, Sysctl(("net", "ipv4", "conf", "eth1", "arp_ignore"), "8")) in found
    assert not [step for step in found if isinstance(step.part, Port | Bridge)]
    assert not [step for step in found if isinstance(step.part, Address) and step.part.device == "eth1"]
    assert last_link([(step.action, step.part) for step in found]) == Up("dmz0")


def test_one_port_may_carry_wan_lan_and_dmz_as_vlans() -> None:
    have = replace(
        BARE,
        links={
            "lo": LinkState(up=True),
            "port1": LinkState(up=True, mac="52:54:00:00:00:03"),
            "wan0": LinkState(up=True, kind="vlan", trunk="port1", vlan_id=10),
            "lan0": LinkState(up=True, kind="bridge"),
            "lan0.20": LinkState(up=True, kind="vlan", trunk="port1", vlan_id=20, master="lan0"),
            "dmz0": LinkState(up=True, kind="vlan", trunk="port1", vlan_id=77),
        },
    )
    config = Config(dmz=Dmz(mode="vlan", trunk="port1"))
    assert not [step for step in steps(config, have) if isinstance(step.part, Vlan | Bridge | Port | Up)]
    assert Step(Action.ADD, Vlan("dmz0", "port1", 77)) in steps(
        config, replace(have, links={name: link for name, link in have.links.items() if name != "dmz0"})
    )


@pytest.mark.parametrize("shared", ["lan0", "wan0"])
def test_a_trunk_that_is_itself_the_lan_or_wan_keeps_its_ipv6(shared: str) -> None:
    settings = desired(Config(dmz=Dmz(mode="vlan", trunk=shared)), "table").sysctls
    assert Sysctl(("net", "ipv6", "conf", shared, "disable_ipv6"), "1") not in settings
