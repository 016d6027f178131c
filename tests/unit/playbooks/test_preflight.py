"""The judgement before the first change: whoever provisions a machine is not cut off, and hears which setting to change."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import config
from gateway.box import ports as box_ports

FILE = "library/mudroom_preflight.py"
SHIPPED: dict[str, Any] = {"wan": {"port": "1"}, "lan": {"ports": ["rest"]}, "dmz": {"trunk": "last"}}


def port(number: int, name: str = "") -> dict[str, Any]:
    return {
        "name": name or f"enp{number}s0",
        "mac": f"52:54:00:00:00:{number:02x}",
        "path": f"pci0000:00/0000:00:{number:02x}.0",
        "index": 0,
        "other_names": (),
    }


THREE = [port(1), port(2), port(3)]


@pytest.fixture
def preflight(load: Callable[[str], ModuleType]) -> ModuleType:
    return load(FILE)


@pytest.mark.parametrize(
    ("client", "interface", "change", "refused"),
    [
        ("192.168.77.20", "enp2s0", {}, ""),
        ("fd4d:7564:726d:1::20", "enp2s0", {}, ""),
        ("fe80::1%enp2s0", "enp2s0", {}, ""),
        ("192.168.1.20", "enp2s0", {}, "mudroom_lan: {address4"),
        ("192.168.1.20", "enp2s0", {"lan": {"ports": ["rest"], "address4": "192.168.1.1/24"}}, ""),
        ("203.0.113.9", "enp1s0", {}, r'mudroom_firewall: {ssh_from_wan: \["203.0.113.9/32"\]}'),
        ("203.0.113.9", "enp1s0", {"firewall": {"ssh_from_wan": ["203.0.113.0/24"]}}, ""),
        ("::ffff:203.0.113.9", "enp1s0", {"firewall": {"ssh_from_wan": ["203.0.113.0/24"]}}, ""),
        ("203.0.114.9", "enp1s0", {"firewall": {"ssh_from_wan": ["203.0.113.0/24"]}}, "ssh_from_wan"),
        ("2001:db8::9", "enp1s0", {"firewall": {"ssh_from_wan": ["0.0.0.0/0"]}}, r'"2001:db8::9/128"'),
        ("192.168.77.20", "enp3s0", {}, "carries devices only"),
        ("192.168.77.20", "enp9s0", {}, "used for nothing"),
        ("192.168.77.20", "", {}, "used for nothing"),
        ("192.168.77.20", "lan0", {}, ""),
        ("192.168.77.20", "wan0", {}, "ssh_from_wan"),
        ("127.0.0.1", "lo", {}, ""),
    ],
)
def test_who_would_be_cut_off_hears_it(preflight: ModuleType, client: str, interface: str, change: Any, refused: str) -> None:
    words, arrival = preflight.lockout(SHIPPED | change, f"{client} 40000 192.0.2.1 22", interface, THREE)
    if refused:
        import re

        assert re.search(refused, words), words
        assert "mudroom_allow_lockout" in words
    else:
        assert words == ""
    assert arrival["client"] == client.partition("%")[0].removeprefix("::ffff:")


def test_no_ssh_no_lockout(preflight: ModuleType) -> None:
    assert preflight.lockout(SHIPPED, "", "", THREE)[0] == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"os_version": "12"}, "Debian 13"),
        ({"arch": "aarch64"}, "amd64"),
        ({"uid": 1000}, "become"),
        ({"memory": 512}, "memory"),
        ({"disk": 100}, "left"),
        ({"ports": []}, "Ethernet"),
    ],
)
def test_machines_that_cannot_be_routers_are_told_why(preflight: ModuleType, wrong: Any, said: str) -> None:
    good = {"os_id": "debian", "os_version": "13", "arch": "x86_64", "uid": 0, "memory": 2000, "disk": 9000, "router": False}
    assert preflight.machine(good | {"ports": ["a"]}, 900, 2000) == []
    refusals = preflight.machine(good | {"ports": ["a"]} | wrong, 900, 2000)
    assert len(refusals) == 1 and said in refusals[0]


specs = st.sampled_from(["1", "2", "3", "last", "enp1s0", "enp2s0", "52:54:00:00:00:02", "52-54-00-00-00-03"])


def test_ports_become_what_the_box_makes_of_them(preflight: ModuleType) -> None:
    @settings(max_examples=200, deadline=None)
    @given(specs, st.lists(specs | st.just("rest"), min_size=1, max_size=2), specs, st.permutations(THREE), st.integers(1, 3))
    def same(wan: str, lan: list[str], trunk: str, found: list[dict[str, Any]], count: int) -> None:
        found = found[:count]
        chosen = {"wan": {"port": wan}, "lan": {"ports": lan}, "dmz": {"trunk": trunk}}
        theirs = [box_ports.Port(**row) for row in found]
        try:
            settings_ = config.Config(wan=config.Wan(port=wan), lan=config.Lan(ports=tuple(lan)), dmz=config.Dmz(trunk=trunk))
            uses = box_ports.uses(settings_, theirs)
        except box_ports.PortError:
            return
        expected: dict[str, set[str]] = {row["name"]: set() for row in found}
        for use in uses:
            expected[use.port.name].add({"WAN": "wan", "LAN": "lan", "DMZ": "trunk"}[use.words])
        assert preflight.future(chosen, found) == (expected, [])

    same()


def test_a_port_that_is_not_there_is_named(preflight: ModuleType) -> None:
    assert preflight.future(SHIPPED | {"wan": {"port": "7"}}, THREE)[1] == [("wan.port", "7")]
