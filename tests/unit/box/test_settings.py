"""The owner's file: refused by line, setting, reason and remedy; and which text comes into force."""

from __future__ import annotations

import ipaddress
import tomllib

import pytest

from gateway.box import settings
from gateway.box.notices import Severity
from gateway.box.ports import Port
from gateway.box.settings import Candidate, Origin, SettingsError
from gateway.config import parse

PORTS = [Port(f"eth{n}", f"52:54:00:00:00:0{n}", f"pci0000:00/0000:00:0{n}.0") for n in (1, 2, 3)]
GOOD = '[wan]\nport = "1"\n[lan]\nports = ["rest"]\n[dmz]\ntrunk = "last"\n'
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here"


@pytest.mark.parametrize(
    ("text", "start", "words"),
    [
        (
            "[lan]\nlease_first = 'x'",
            "box.toml:2: lan.lease_first: must be a whole number, not a text in quotes; ",
            ["default: 100"],
        ),
        ("[door]\n\nwokers = 3", "box.toml:3: door.wokers: there is no such setting; did you mean workers?", []),
        ("[dor]\nworkers = 3", "box.toml:1: dor: there is no such setting; did you mean door?", []),
        ("a = 1\n[wan\n", "box.toml:2: not TOML: ", ["[table]"]),
        ("[wan]\na = 1\na = 2\n", "box.toml:3: not TOML: ", []),
        ("wan.method = 'static'", "box.toml:1: wan.address4: ", ["needs it", "wan.method"]),
        (
            "[wan]\nmethod = 'static'\naddress4 = '203.0.113.2/24'\n# the router\ngateway4 = '203.0.114.1'",
            "box.toml:5: wan.gateway4: 203.0.114.1 is not inside 203.0.113.0/24",
            ["correct one"],
        ),
        ("[wan]\naddress4 = '203.0.113.2/24'", "box.toml:2: wan.address4: is for wan.method", ["remove"]),
        (
            "[wan]\nipv6 = 'static'\naddress6 = '10.0.0.1/8'\ngateway6 = 'fe80::1'",
            "box.toml:3: wan.address6: is not of IPv6",
            [],
        ),
        ("[wan]\nname_servers = ['9.9.9.9', 'dns.example']", "box.toml:2: wan.name_servers[1]: ", ["dns.example"]),
        (
            "[lan]\naddress4 = '8.8.8.1/24'",
            "box.toml:2: lan.address4: 8.8.8.0/24 is not a private range; take",
            ["192.168.0.0/16"],
        ),
        ("[lan]\naddress4 = '192.168.1.0/24'", "box.toml:2: lan.address4: 192.168.1.0/24 is not an address", ["like its first"]),
        ("[dmz]\n\n\naddress4 = '192.168.77.5/24'", "box.toml:4: dmz.address4: ", ["overlap", "own prefix"]),
        (
            "[wan]\nmethod = 'static'\naddress4 = '192.168.77.2/24'\ngateway4 = '192.168.77.3'",
            "box.toml:3: wan.address4: ",
            ["overlap", "lan.address4"],
        ),
        (
            "[[firewall.forwards]]\nprotocol = 'tcp'\nport = 80\nto = '192.168.77.20'\n"
            "[[firewall.forwards]]\nprotocol = 'tcp'\nto = '192.168.77.21'\nport = 80\n",
            "box.toml:8: firewall.forwards[1].port: tcp port 80 is forwarded already",
            ["number 1", "remove"],
        ),
        (
            "[firewall]\nforwards = [\n{ protocol = 'tcp', port = 1, to = '10.1.2.3' },\n]",
            "box.toml:3: firewall.forwards[0].to: ",
            ["LAN"],
        ),
        (
            "[[firewall.forwards]]\nprotocol = 'tcp'\nto = '192.168.77.21'",
            "box.toml:1: firewall.forwards[0].port: is missing",
            [],
        ),
        (
            "[firewall]\nssh_from_wan = [\n  '203.0.113.0/24',\n  '203.0.113.7/24',\n]",
            "box.toml:4: firewall.ssh_from_wan[1]: ",
            ["host bits"],
        ),
        (
            "[box]\nssh_keys = ['-----BEGIN OPENSSH PRIVATE KEY-----']",
            "box.toml:2: box.ssh_keys[0]: this is a PRIVATE key",
            ["make a new pair"],
        ),
        (
            f"[box]\nssh_keys = [\n'{KEY}',\n'command=\"x\" {KEY}']",
            "box.toml:4: box.ssh_keys[1]: does not begin with a key type",
            [".pub"],
        ),
        (f"[box]\nssh_keys = ['{KEY[:40]}']", "box.toml:2: box.ssh_keys[0]: ", ["cut short"]),
        (f'[box]\nssh_keys = ["{KEY}\\n{KEY}"]', "box.toml:2: box.ssh_keys[0]: must be one line", []),
        ("[wan]\nport = 'rest'", "box.toml:2: wan.port: ", ["lan.ports only", "2: eth2"]),
        ("[lan]\nports = ['7']", "box.toml:2: lan.ports: there is no port 7; ", ["3: eth3"]),
        ("[lan]\ninterface = 'wan0'", "box.toml:2: lan.interface: ", ["of their own"]),
        ("[dmz]\ntrunk = '-x'", "box.toml:2: dmz.trunk: ", ["mudroom box ports"]),
        ("a = " + "[" * 5000, "box.toml", ["not TOML|nested"]),
    ],
)
def test_a_wrong_file_is_refused_by_line_setting_reason_and_remedy(text: str, start: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.check(Candidate(Origin.OWNER, "box.toml", text), PORTS)
    assert str(caught.value).startswith(start)
    for word in words:
        assert any(one in str(caught.value) for one in word.split("|"))
    assert "; " in str(caught.value) or ": give" in str(caught.value) or ": change" in str(caught.value)  # a remedy


def test_bytes_that_are_no_text_or_too_many_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^m\.toml:2: is not UTF-8"):
        settings.decoded(b"a = 1\nb = '\xff'", "m.toml")
    with pytest.raises(SettingsError, match="larger than 262144"):
        settings.decoded(b"#" * 262_145, "m.toml")
    assert settings.decoded(b"\xef\xbb\xbf[wan]\r\n", "m.toml") == "[wan]\n"


def test_good_settings_come_into_force_resolved_and_can_be_read_back() -> None:
    extra = f"[box]\nssh_keys = ['{KEY}']\n[[firewall.forwards]]\nprotocol = 'udp'\nport = 9\nto = '192.168.77.9'\n"
    decision = settings.decide([Candidate(Origin.OWNER, "o", GOOD + extra)], PORTS)
    assert decision.config is not None
    assert (decision.config.dmz.trunk, decision.config.wan.port, decision.config.lan.ports) == ("port3", "wan0", ("port2",))
    assert parse(settings.in_force(decision.config, decision.origin)) == decision.config
    assert decision.notices == ()


def test_a_wrong_file_leaves_the_last_good_one_in_force_and_says_so() -> None:
    decision = settings.decide(
        [
            Candidate(Origin.OWNER, "/etc/m.toml", GOOD + "vlan_id = 1"),
            Candidate(Origin.LAST_GOOD, "l", GOOD),
            Candidate(Origin.SHIPPED, "s", GOOD),
        ],
        PORTS,
    )
    assert (decision.origin, decision.text) == (Origin.LAST_GOOD, GOOD)
    first, second = decision.notices
    assert (first.severity, first.words.startswith("/etc/m.toml:7: dmz.vlan_id: "), second.words) == (
        Severity.ERROR,
        True,
        "The last good settings stay in force.",
    )


def test_a_new_box_with_a_wrong_file_gets_the_shipped_settings() -> None:
    decision = settings.decide([Candidate(Origin.OWNER, "o", "x"), Candidate(Origin.SHIPPED, "s", GOOD)], PORTS)
    assert decision.origin is Origin.SHIPPED
    assert [notice.severity for notice in decision.notices] == [Severity.ERROR, Severity.WARNING]


def test_last_good_settings_that_fit_the_ports_no_more_are_not_replaced_by_shipped_ones() -> None:
    mine = GOOD.replace('"1"', '"52:54:00:00:00:99"')
    decision = settings.decide([Candidate(Origin.LAST_GOOD, "l", mine), Candidate(Origin.SHIPPED, "s", GOOD)], PORTS)
    assert (decision.origin, decision.config) == (Origin.NONE, None)
    assert "the box is closed" in decision.notices[-1].words


def test_a_file_that_cannot_be_read_is_a_notice() -> None:
    decision = settings.decide(
        [Candidate(Origin.OWNER, "o", problem="cannot be read: x; see y"), Candidate(Origin.SHIPPED, "s", GOOD)], PORTS
    )
    assert (decision.notices[0].words, decision.notices[0].remedy) == ("o: cannot be read: x", "see y")


def test_a_box_of_its_own_prefix_uses_it_where_the_owner_names_none() -> None:
    ula = settings.make_ula(bytes.fromhex("0102030405"))
    assert ula == "fd01:203:405::/48"
    config = settings.read("[lan]\naddress6 = 'fdaa::1/64'", "m", ula)
    assert (config.lan.address6, config.dmz.address6, config.dmz.pool6) == (
        "fdaa::1/64",
        "fd01:203:405:2::1/64",
        "fd01:203:405:7f::/64",
    )
    assert ipaddress.ip_network(ula).subnet_of(ipaddress.ip_network("fd00::/8"))
    assert settings.with_ula(tomllib.loads("lan = 3"), ula)["lan"] == 3  # left for the check to refuse


def test_changed_sections_are_named() -> None:
    assert settings.changed_sections(parse(""), parse("[door]\nworkers = 3")) == {"door"}
    assert "wan" in settings.changed_sections(None, parse(""))
