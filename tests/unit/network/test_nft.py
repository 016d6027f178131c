"""The ruleset as text; what it does to packets is shown in tests/home/test_network.py."""

from __future__ import annotations

import pytest

from gateway.config import Config, Firewall, Forward, Lan, Web
from gateway.network import nft
from gateway.service import TELLING_UID

USERS = nft.uids(
    {
        "door": 951,
        "names": 952,
        "signer": 953,
        "ledger": 954,
        "courier": 955,
        "dhcp": 956,
        "lan": 957,
        "enrolment": 959,
        "web": 960,
    },
    time=958,
)


def test_every_chain_of_ours_ends_in_a_counted_drop_or_has_nothing_to_refuse() -> None:
    chains = {}
    for part in nft.render(Config(), USERS).split("chain ")[1:]:
        name, _, body = part.partition(" {")
        chains[name] = [line.strip() for line in body.split("}\n\n")[0].splitlines() if line.strip() not in ("", "}")]
    ending = {name for name, lines in chains.items() if lines[-1] == "counter drop"}
    services = {"from_confined", "from_courier", "from_lan_service", "from_web", "from_telling", "from_time", "from_time_server"}
    assert ending == {"input", "from_dmz", "from_lan", "from_wan", "ssh_from_wan", "forward", "forwarded"} | services
    for name in ("input", "forward"):
        assert "policy drop;" in chains[name][0]


def test_a_lan_that_may_not_open_connections() -> None:
    text = nft.render(Config(lan=Lan(may_open_to_dmz=False)), USERS)
    assert 'oifname "dmz0" ip daddr' not in text
    assert 'oifname "lan0" meta mark' not in text


def test_resolvers_are_read_as_the_c_library_does() -> None:
    text = "# comment\nnameserver 192.168.1.1\nnameserver fe80::1%wan0\nsearch home\nnameserver nonsense\nnameserver\n" * 2
    assert [str(address) for address in nft.resolvers(text)] == ["192.168.1.1", "fe80::1"]


def test_the_couriers_resolvers_are_for_dns_alone() -> None:
    text = nft.render(Config(), USERS, nft.resolvers("nameserver 192.168.1.1\nnameserver 127.0.0.53\n"))
    assert 'oifname "wan0" ip daddr { 192.168.1.1 } meta l4proto { tcp, udp } th dport 53 accept' in text
    assert 'oifname "lo" ip daddr { 127.0.0.53 } meta l4proto { tcp, udp } th dport 53 accept' in text


def test_overlapping_prefixes_for_ssh_stand_in_rules_of_their_own() -> None:
    text = nft.render(Config(firewall=Firewall(ssh_from_wan=("203.0.113.0/24", "203.0.113.7/32", "2001:db8::/32"))), USERS)
    for rule in ("ip saddr 203.0.113.0/24 accept", "ip saddr 203.0.113.7/32 accept", "ip6 saddr 2001:db8::/32 accept"):
        assert rule in text


def test_a_forward_names_its_own_port_where_none_is_given() -> None:
    forwards = (
        Forward(protocol="tcp", port=8080, to="192.168.77.10", to_port=80),
        Forward(protocol="udp", port=5000, to="192.168.77.11"),
    )
    text = nft.render(Config(firewall=Firewall(forwards=forwards)), USERS)
    assert "tcp dport 8080 dnat ip to 192.168.77.10:80" in text
    assert "udp dport 5000 dnat ip to 192.168.77.11:5000" in text
    assert "{ tcp . 8080 . 192.168.77.10 . 80, udp . 5000 . 192.168.77.11 . 5000 } accept" in text


def test_a_forward_never_takes_the_boxs_own_lease_away() -> None:
    with pytest.raises(ValueError, match=r"firewall\.forwards\[0\]\.port: udp port 68 .*take another port"):
        Config(firewall=Firewall(forwards=(Forward(protocol="udp", port=68, to="192.168.77.10"),)))


def test_only_flows_between_lan_and_wan_are_carried_past_the_chains() -> None:
    text = nft.render(Config(), USERS, flowtable=True)
    assert nft.has_flowtable(text)
    devices = next(line for line in text.splitlines() if "devices =" in line)
    assert devices.strip() == 'devices = { "lan0", "wan0" };'
    adding = [line.strip() for line in text.splitlines() if "flow add" in line]
    assert adding == ['iifname "lan0" oifname "wan0" meta l4proto { tcp, udp } ct state established flow add @fast']
    # whatever concerns the DMZ, and every port forward, is decided before it
    forward = text[text.index("chain forward {") :]
    assert forward.index('oifname "dmz0" counter drop') < forward.index("goto forwarded") < forward.index("flow add")
    assert not nft.has_flowtable(nft.render(Config(), USERS))


def test_without_a_time_service_no_rule_names_its_user() -> None:
    without = nft.uids(
        {
            "door": 951,
            "names": 952,
            "signer": 953,
            "ledger": 954,
            "courier": 955,
            "dhcp": 956,
            "lan": 957,
            "enrolment": 959,
            "web": 960,
        }
    )
    assert "goto from_time\n" not in nft.render(Config(), without)
    assert "meta skuid 958 goto from_time" in nft.render(Config(), USERS)


def test_the_pages_answer_the_lan_at_their_port_and_open_nothing() -> None:
    text = nft.render(Config(web=Web(port=8443)), USERS)
    assert "tcp dport { 22, 53, 8443 } accept" in text and "443 }" not in text.replace("8443 }", "")
    chain = text[text.index("chain from_web {") :].partition("}")[0]
    assert [line.strip() for line in chain.splitlines()[1:] if line.strip()] == [
        'oifname != "lan0" counter drop',
        "tcp flags & (syn | ack) == syn counter drop",
        "tcp sport 8443 accept",
        "counter drop",
    ]
    assert "meta skuid 960 goto from_web" in text
    assert "dport { 22, 53" not in text[text.index("chain from_wan {") : text.index("chain ssh_from_wan {")]


def test_who_tells_notices_reaches_machines_in_the_lan_and_nobody_else() -> None:
    text = nft.render(Config(), USERS)
    chain = text[text.index("chain from_telling {") :].partition("}")[0]
    assert [line.strip() for line in chain.splitlines()[1:] if line.strip()] == [
        'oifname != "lan0" counter drop',
        "ip daddr 192.168.77.0/24 meta l4proto tcp accept",
        f"ip6 daddr {Config().lan.ipv6.network} meta l4proto tcp accept",
        "counter drop",
    ]
    assert f"meta skuid {TELLING_UID} goto from_telling" in text


@pytest.mark.parametrize("port", [22, 53])
def test_the_pages_take_no_port_of_another_service(port: int) -> None:
    with pytest.raises(ValueError, match=r"web\.port: .*take another"):
        Config(web=Web(port=port))
