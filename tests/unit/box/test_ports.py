"""Ports: whose is which, by whatever word the owner calls it; and what cannot be shared."""

from __future__ import annotations

import pytest

from gateway.box import ports
from gateway.box.ports import Port, PortError
from gateway.config import Config, Dmz, Lan, Wan, parse


def port(number: int, name: str = "") -> Port:
    return Port(name or f"enp{number}s0", f"52:54:00:00:00:{number:02x}", f"pci0000:00/0000:00:1c.{number}/0000:0{number}:00.0")


ONE, TWO, THREE, FOUR = (port(number) for number in (1, 2, 3, 4))
DEFAULTS = Config(wan=Wan(port="1"), lan=Lan(ports=("rest",)), dmz=Dmz(trunk="last"))


def test_positions_follow_the_bus_and_usb_comes_last() -> None:
    usb = Port("enx0", "02:00:00:00:00:01", "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0")
    late = Port("ens10", "02:00:00:00:00:0a", "pci0000:00/0000:00:0a.0")
    early = Port("ens9", "02:00:00:00:00:09", "pci0000:00/0000:00:09.0")
    second = Port("eno1np1", "02:00:00:00:00:02", "pci0000:00/0000:00:03.0", index=1)
    first = Port("eno1np0", "02:00:00:00:00:03", "pci0000:00/0000:00:03.0", index=0)
    assert ports.in_order([usb, late, second, early, first]) == [first, second, early, late, usb]


def test_the_shipped_settings_on_boxes_with_two_three_and_four_ports() -> None:
    two = ports.resolve(DEFAULTS, [TWO, ONE])
    assert (two.names, two.wan, two.lan, two.trunk) == (("wan0", "port2"), "wan0", ("port2",), "port2")
    three = ports.resolve(DEFAULTS, [ONE, TWO, THREE])
    assert (three.wan, three.lan, three.trunk) == ("wan0", ("port2",), "port3")
    four = ports.resolve(DEFAULTS, [ONE, TWO, THREE, FOUR])
    assert (four.lan, four.trunk) == (("port2", "port3"), "port4")
    assert four.renames == (("enp1s0", "wan0"), ("enp2s0", "port2"), ("enp3s0", "port3"), ("enp4s0", "port4"))


def test_one_port_carries_all_three_networks_as_vlans() -> None:
    config = Config(wan=Wan(port="1", vlan_id=10), lan=Lan(ports=("rest",), vlan_id=20), dmz=Dmz(trunk="last", vlan_id=77))
    found = ports.resolve(config, [ONE])
    assert (found.names, found.wan, found.lan, found.trunk) == (("port1",), "port1", ("port1",), "port1")


@pytest.mark.parametrize(
    ("wan", "lan", "dmz", "setting", "words"),
    [
        (0, 20, 77, "wan.port", ["share", "set wan.vlan_id"]),
        (10, 0, 77, "wan.port", ["share", "set lan.vlan_id"]),
        (10, 10, 77, "wan.port", ["same VLAN number"]),
        (77, 20, 77, "wan.port", ["same VLAN number"]),
        (10, 77, 77, "wan.port", ["same VLAN number"]),
    ],
)
def test_one_port_without_three_different_vlans_is_refused(wan: int, lan: int, dmz: int, setting: str, words: list[str]) -> None:
    config = Config(wan=Wan(port="1", vlan_id=wan), lan=Lan(ports=("rest",), vlan_id=lan), dmz=Dmz(trunk="last", vlan_id=dmz))
    with pytest.raises(PortError) as caught:
        ports.resolve(config, [ONE])
    assert caught.value.setting == setting
    for word in [*words, "enp1s0", ONE.mac]:
        assert word in str(caught.value)


def test_every_word_for_a_port_finds_it() -> None:
    named = Port("enp2s0", TWO.mac, TWO.path, other_names=("eth1",))
    for word in ("2", TWO.mac.upper(), TWO.mac.replace(":", "-"), "enp2s0", "eth1", "port2"):
        assert ports.resolve(Config(wan=Wan(port=word)), [ONE, named]).renames[1] == ("enp2s0", "wan0"), word


def test_words_mean_the_same_ports_after_they_were_renamed() -> None:
    first = ports.resolve(DEFAULTS, [ONE, TWO, THREE])
    then = [
        Port(name, one.mac, one.path, other_names=(one.name,)) for name, one in zip(first.names, (ONE, TWO, THREE), strict=True)
    ]
    again = ports.resolve(DEFAULTS, then)
    assert again.renames == ()
    assert (again.wan, again.lan, again.trunk) == (first.wan, first.lan, first.trunk)
    assert ports.resolve(ports.resolved(DEFAULTS, first), then) == again


def test_the_wan_moves_to_another_port_by_a_swap_of_names() -> None:
    now = [Port("wan0", ONE.mac, ONE.path), Port("port2", TWO.mac, TWO.path), Port("port3", THREE.mac, THREE.path)]
    config = Config(wan=Wan(port="2"), lan=Lan(ports=("rest",)), dmz=Dmz(trunk="last"))
    assert ports.resolve(config, now).renames == (("wan0", "port1"), ("port2", "wan0"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[wan]\nport = "5"', ["wan.port", "there is no port 5", "2: enp2s0"]),
        ('[wan]\nport = "rest"', ["wan.port", "lan.ports only"]),
        ('[wan]\nport = "02:00:00:00:00:77"', ["wan.port", "02:00:00:00:00:77"]),
        ('[wan]\nport = "1"\n[lan]\nports = ["1"]', ["share", "enp1s0"]),
        ('[wan]\nport = "1"\n[lan]\nports = ["2"]\n[dmz]\nmode = "bridge"\nports = ["2"]', ["dmz.ports", "alone"]),
        ('[wan]\nport = "1"\n[lan]\nports = ["2"]\nvlan_id = 77\n[dmz]\ntrunk = "2"', ["same VLAN number"]),
        ('[lan]\nports = ["2"]\ninterface = "port2"', ["lan.interface", "hardware port"]),
    ],
)
def test_what_cannot_be_is_refused_by_setting_with_the_ports_that_are_there(text: str, words: list[str]) -> None:
    with pytest.raises(PortError) as caught:
        ports.resolve(parse(text), [ONE, TWO])
    for word in words:
        assert word in str(caught.value)


def test_access_ports_are_not_the_lans() -> None:
    config = Config(wan=Wan(port="1"), lan=Lan(ports=("rest",)), dmz=Dmz(mode="bridge", ports=("3", "4")))
    found = ports.resolve(config, [ONE, TWO, THREE, FOUR])
    assert (found.lan, found.access, found.trunk) == (("port2",), ("port3", "port4"), "")
    assert ports.resolved(config, found).dmz.ports == ("port3", "port4")


def test_without_ports_in_the_settings_everything_keeps_its_name() -> None:
    config = Config(dmz=Dmz(trunk="veth7"))
    found = ports.resolve(config, [ONE, TWO])
    assert (found.renames, found.wan, found.lan, found.trunk) == ((), "", (), "")
    assert ports.resolved(config, found).dmz.trunk == "veth7"


def test_the_table_of_ports_says_what_each_is_for() -> None:
    assert [row["use"] for row in ports.rows(DEFAULTS, [ONE, TWO])] == ["WAN", "DMZ (VLAN 77), LAN"]


# --- positions are remembered -----------------------------------------------------------------------------------------

MACS = [one.mac for one in (ONE, TWO, THREE)]


def test_a_port_that_is_gone_moves_no_other() -> None:
    found = ports.resolve(DEFAULTS, ports.as_remembered([TWO, THREE], MACS))
    assert (found.wan, found.lan, found.trunk, found.names) == ("", ("port2",), "port3", ("port2", "port3"))
    (gone,) = found.gone
    assert "wan.port: the port for the WAN (52:54:00:00:00:01) has gone" in str(gone)
    assert "1: 52:54:00:00:00:01 (gone)" in str(gone)
    late = ports.resolve(DEFAULTS, ports.as_remembered([ONE, TWO], MACS))
    assert (late.wan, late.lan, late.trunk) == ("wan0", ("port2",), "")


def test_a_new_port_moves_no_other_and_is_not_the_last() -> None:
    early = Port("enp0s1", "52:54:00:00:00:0a", "pci0000:00/0000:00:01.0")
    found = ports.resolve(DEFAULTS, ports.as_remembered([early, ONE, TWO, THREE], MACS))
    assert (found.wan, found.lan, found.trunk) == ("wan0", ("port2", "port4"), "port3")


def test_a_disk_in_another_machine_counts_anew() -> None:
    assert ports.as_remembered([FOUR], MACS) == [FOUR]
    twins = [ONE, Port("x", ONE.mac, THREE.path)]
    assert ports.as_remembered(twins, [ONE.mac, ONE.mac]) == twins  # they never had addresses of their own


def test_a_port_that_comes_with_the_address_of_another_moves_nobody() -> None:
    """A stick with the LAN port's hardware address must not make the LAN's port the WAN, nor the devices' port the LAN."""
    wan, lan, trunk = (Port(f"enp{n}s0", f"02:00:00:00:00:0{n}", f"pci0000:00/0000:0{n}:00.0") for n in (1, 2, 3))
    stick = Port("enx1", lan.mac, "pci0000:00/0000:00:14.0/usb1/1-1")
    config = parse('[wan]\nport = "1"\n[lan]\nports = ["2"]\n[dmz]\ntrunk = "last"\n')
    macs = [port.mac for port in (wan, lan, trunk)]
    for there in ([wan, lan, trunk, stick], [stick, lan, trunk], [stick, trunk, lan, wan]):
        found = ports.resolve(config, ports.as_remembered(there, macs))
        assert found.macs.get(found.wan) in (wan.mac, None)
        assert ("enp2s0", found.lan[0]) in found.renames
        assert found.macs[found.trunk] == trunk.mac
        assert bool(found.gone) is (wan not in there)
